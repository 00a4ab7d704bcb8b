"""Finding numbers by inode number."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.errors import TapekitError
from tapekit_dump.hard_links import UNTRUSTED
from tapekit_dump.number_index import NumberIndex
from tapekit_dump.spool import SpoolRoom

ROOM = SpoolRoom(None, 200)


@given(
    st.lists(st.one_of(st.integers(1, 3000), st.integers(1, 2**64 - 1)), unique=True, max_size=60),
    st.integers(1, 2**32 - 100),
)
def test_numbers_are_found(inodes: list[int], first: int) -> None:
    with closing(NumberIndex(ROOM)) as index:
        index.add(first, inodes)
        assert [index.find(inode) for inode in inodes] == list(range(first, first + len(inodes)))
        for other in (0, 5000, 2**63):
            if other not in inodes:
                assert index.find(other) == 0


def test_untrusted_inode_numbers_are_nobodys() -> None:
    with closing(NumberIndex(ROOM)) as index:
        index.add(2, [UNTRUSTED, 77, UNTRUSTED])
        assert (index.find(UNTRUSTED), index.find(77)) == (0, 3)


def test_index_grows_by_segments() -> None:
    far_apart = range(1024, 1024 * 3000, 1024)
    with closing(NumberIndex(ROOM)) as index:
        index.add(2, far_apart)
        assert [index.find(inode) for inode in far_apart] == list(range(2, 2 + len(far_apart)))


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_nothing_stays_open() -> None:
    before = open_descriptors()
    index = NumberIndex(ROOM)
    index.add(2, [5])
    index.close()
    index.close()
    assert index.find(5) == 0
    assert open_descriptors() == before


def test_missing_spool_directory_is_told() -> None:
    with closing(NumberIndex(SpoolRoom(Path("/nowhere"), 200))) as index:
        with pytest.raises(TapekitError, match="/nowhere cannot be used") as failed:
            index.add(2, [5])
        assert failed.value.id == "dump.spool-failed"
