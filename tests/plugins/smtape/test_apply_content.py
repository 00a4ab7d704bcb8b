"""Contents of restored files: shared where the file system can, and copied elsewhere."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tapekit.hookspecs.storage import for_ever
from tapekit_smtape.apply_content import ContentWriter, write_all
from tapekit_trees.btrfs import mounted_btrfs
from tapekit_trees.comparing import data_ranges

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK = 4096


@pytest.fixture(params=["plain", "btrfs"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if request.param == "plain":
        yield tmp_path
        return
    with mounted_btrfs(tmp_path) as place:
        yield place


def open_new(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def test_a_shared_range_is_equal(folder: Path) -> None:
    source, target = open_new(folder / "source"), open_new(folder / "target")
    content = os.urandom(5 * BLOCK)
    write_all(source, content, 0)
    writer = ContentWriter(for_ever)
    writer.share(source, BLOCK, target, 2 * BLOCK, 3 * BLOCK)
    writer.share(source, 4 * BLOCK, source, 0, BLOCK)
    expected = bytes(2 * BLOCK) + content[BLOCK : 4 * BLOCK]
    assert (folder / "target").read_bytes() == expected
    assert (folder / "source").read_bytes() == content[4 * BLOCK :] + content[BLOCK:]
    os.close(source)
    os.close(target)


def test_btrfs_shares_blocks(tmp_path: Path) -> None:
    with mounted_btrfs(tmp_path) as place:
        source, target = open_new(place / "source"), open_new(place / "target")
        write_all(source, os.urandom(8 * BLOCK), 0)
        writer = ContentWriter(for_ever)
        writer.share(source, 0, target, 0, 8 * BLOCK)
        assert writer.shared_bytes == 8 * BLOCK
        os.close(source)
        os.close(target)


def test_what_is_not_there_cannot_be_shared(tmp_path: Path) -> None:
    source, target = open_new(tmp_path / "source"), open_new(tmp_path / "target")
    write_all(source, b"short", 0)
    with pytest.raises(OSError, match="No data"):
        ContentWriter(for_ever).share(source, 0, target, 0, BLOCK)
    os.close(source)
    os.close(target)


def test_holes(folder: Path) -> None:
    target = open_new(folder / "target")
    write_all(target, b"x" * (6 * BLOCK), 0)
    os.fsync(target)
    ContentWriter(for_ever).empty(target, BLOCK, 2 * BLOCK)
    # Beyond the end is nothing to be made a hole.
    ContentWriter(for_ever).empty(target, 5 * BLOCK, 100 * BLOCK)
    ContentWriter(for_ever).empty(target, 9 * BLOCK, BLOCK)
    found = (folder / "target").read_bytes()
    assert found == b"x" * BLOCK + bytes(2 * BLOCK) + b"x" * (2 * BLOCK) + bytes(BLOCK)
    assert list(data_ranges(target)) == [(0, BLOCK), (3 * BLOCK, 5 * BLOCK)]
    os.close(target)


def test_somebody_may_end_it(tmp_path: Path) -> None:
    source, target = open_new(tmp_path / "source"), open_new(tmp_path / "target")
    write_all(source, b"x" * BLOCK, 0)

    def end() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        ContentWriter(end).share(source, 0, target, 0, BLOCK)
    os.close(source)
    os.close(target)
