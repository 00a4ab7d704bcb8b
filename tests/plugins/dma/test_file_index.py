"""File history comes back as paths, in both of its forms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit_dma.file_index import open_index, written_index
from tapekit_ndmp_v4.messages import (
    FhAddDirPost,
    FhAddFilePost,
    FhAddNodePost,
    FhDir,
    FhFile,
    FhNode,
    FileStat,
    UnixFileName,
)
from tapekit_ndmp_v4.numbers import UNLIMITED, FileType, FsType

if TYPE_CHECKING:
    from pathlib import Path


def stat(kind: FileType, size: int = 0) -> FileStat:
    return FileStat(0, FsType.UNIX, kind, 1, 1, 1, 0, 0, 0o644, size, 1)


def entry(name: str, node: int, parent: int) -> FhDir:
    return FhDir((UnixFileName(name),), node, parent)


def test_names_and_nodes_meet(tmp_path: Path) -> None:
    far = 2**63 + 5
    with written_index(tmp_path / "index") as writer:
        writer.add(
            FhAddDirPost(
                dirs=(
                    entry(".", 2, 2),
                    entry("dir", 3, 2),
                    entry("caf\udce9", far, 3),
                    entry("old", 9, 3),
                )
            )
        )
        writer.add(
            FhAddNodePost(
                nodes=(
                    FhNode((stat(FileType.DIR),), 3, 1024),
                    FhNode((stat(FileType.REG, 7),), far, UNLIMITED),
                )
            )
        )
        assert writer.count == 2
    with open_index(tmp_path / "index") as index:
        index.check()
        found = index.find("/dir/caf\udce9")
        assert found is not None
        assert (found.node, found.position, found.size) == (far, UNLIMITED, 7)
        directory = index.find("dir")
        assert directory is not None
        assert directory.is_directory
        # Named in its directory, but not in this backup.
        assert index.find("dir/old") is None
        assert index.find("none/at/all") is None
        assert list(index.matching("d*")) == [directory]


def test_paths_are_as_good_as_nodes(tmp_path: Path) -> None:
    with written_index(tmp_path / "index") as writer:
        file = FhFile((UnixFileName("/a/b"),), (stat(FileType.REG, 3),), 7, 512)
        writer.add(FhAddFilePost(files=(file,)))
    with open_index(tmp_path / "index") as index:
        found = index.find("a/b")
        assert found is not None
        assert (found.node, found.position) == (7, 512)
        assert list(index.matching("a/*")) == [found]


def test_an_index_that_was_not_finished_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broken off"), written_index(tmp_path / "index"):
        raise ValueError("broken off")
    with pytest.raises(TapekitError, match="cannot be used"), open_index(tmp_path / "index"):
        pass


def test_an_index_that_cannot_be_written_fails_at_its_end(tmp_path: Path) -> None:
    """Whoever reads posts goes on; two sessions are read in tasks of one nursery."""
    with pytest.raises(TapekitError, match="cannot be written"):
        write_what_breaks(tmp_path / "index")
    assert not (tmp_path / "index").exists()


def write_what_breaks(file: Path) -> None:
    with written_index(file) as writer:
        writer._connection.execute("DROP TABLE name")
        for _ in range(2):
            writer.add(FhAddDirPost(dirs=(entry("dir", 3, 2),)))
