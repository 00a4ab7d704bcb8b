"""Names that come back in the order of inode numbers."""

from __future__ import annotations

import heapq
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.errors import TapekitError
from tapekit_dump.recover_spool import BlobSpool, EntrySpool, pack_entry, unpack_entry
from tapekit_dump.spool import SpoolRoom

if TYPE_CHECKING:
    from pathlib import Path

ROOM = SpoolRoom(None, 64)
NUMBER = st.integers(0, 2**32 - 1)
ENTRY = st.tuples(NUMBER, NUMBER, st.binary(max_size=300))


@given(st.lists(ENTRY, max_size=60), st.integers(1, 20))
def test_entries_come_back_sorted_and_as_often_as_wanted(
    entries: list[tuple[int, int, bytes]], run: int
) -> None:
    with closing(EntrySpool(ROOM, run)) as spool:
        for entry in entries:
            spool.add(pack_entry(*entry))
        for _ in range(2):
            found = [unpack_entry(packed) for packed in spool.in_order()]
            assert found == sorted(entries)


def test_runs_longer_than_the_read_ahead() -> None:
    with closing(EntrySpool(ROOM, 3000)) as spool:
        entries = [(n * 7919 % 10_007, n, b"x" * (n % 250)) for n in range(10_000)]
        for entry in entries:
            spool.add(pack_entry(*entry))
        found = [unpack_entry(packed)[0] for packed in spool.in_order()]
        assert found == sorted(entry[0] for entry in entries)
        assert len(spool._runs) == 3
        assert len(spool._entries) == 1000


def test_two_readings_may_run_at_once() -> None:
    with closing(EntrySpool(ROOM, 4)) as spool:
        for n in range(50):
            spool.add(pack_entry(49 - n, 0, b"n"))
        both = heapq.merge(spool.in_order(), spool.in_order())
        assert [unpack_entry(packed)[0] for packed in both] == sorted([*range(50)] * 2)


def test_blobs_are_found_by_their_keys() -> None:
    with closing(BlobSpool(ROOM)) as spool:
        blobs = [bytes([n]) * (n * 37) for n in range(100)]
        keys = [spool.add(blob) for blob in blobs]
        assert [spool.get(key) for key in keys] == blobs


def test_a_spool_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    with closing(EntrySpool(SpoolRoom(tmp_path / "missing", 1), 2)) as spool:
        spool.add(pack_entry(1, 1, b"a"))
        with pytest.raises(TapekitError) as caught:
            spool.add(pack_entry(2, 1, b"b"))
        assert caught.value.id == "dump.spool-failed"
