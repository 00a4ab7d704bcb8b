from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit_snap_copy.content import ContentCopier
from tapekit_trees.btrfs import mounted_btrfs
from tapekit_trees.comparing import data_ranges

BLOCK = 4096


def copied(source: Path, target: Path, size: int | None = None) -> None:
    with source.open("rb") as one, target.open("xb") as two:
        wanted = source.stat().st_size if size is None else size
        ContentCopier().copy(one.fileno(), two.fileno(), wanted)


def ranges(path: Path) -> list[tuple[int, int]]:
    with path.open("rb") as file:
        return list(data_ranges(file.fileno()))


@pytest.mark.parametrize("size", [0, 1, 511, BLOCK, 65_536, 65_537, (3 << 20) + 17])
def test_content_is_the_same(tmp_path: Path, size: int) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(os.urandom(size))
    copied(source, target)
    assert target.read_bytes() == source.read_bytes()


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, BLOCK))
def test_holes_stay_holes(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[bool], tail: int
) -> None:
    folder = tmp_path_factory.mktemp("holes")
    source, target = folder / "a", folder / "b"
    with source.open("wb") as file:
        file.truncate(len(blocks) * BLOCK + tail)
        for number, has_data in enumerate(blocks):
            if has_data:
                file.seek(number * BLOCK)
                file.write(os.urandom(BLOCK))
    copied(source, target)
    assert target.read_bytes() == source.read_bytes()
    assert ranges(target) == ranges(source)


@pytest.mark.parametrize("left", [0, 100_000])
def test_a_source_that_became_shorter_gives_what_is_left(tmp_path: Path, left: int) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"x" * left)
    copied(source, target, 5 << 20)
    assert target.read_bytes().rstrip(b"\0") == b"x" * left


def test_between_file_systems_content_goes_through_memory(tmp_path: Path) -> None:
    if not Path("/dev/shm").is_dir() or Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        source, target = Path(folder) / "a", tmp_path / "b"
        source.write_bytes(os.urandom((3 << 20) + 5))
        copied(source, target)
        assert target.read_bytes() == source.read_bytes()


@pytest.mark.slow
def test_blocks_are_shared_where_the_file_system_can(tmp_path: Path) -> None:
    with mounted_btrfs(tmp_path) as place:
        source, target = place / "a", place / "b"
        source.write_bytes(os.urandom(20 << 20))
        os.sync()
        before = os.statvfs(place).f_bfree
        copied(source, target)
        os.sync()
        used = (before - os.statvfs(place).f_bfree) * os.statvfs(place).f_bsize
        assert target.read_bytes() == source.read_bytes()
        assert used < 5 << 20
