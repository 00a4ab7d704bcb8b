"""The backlog gives back the stream, and holds no batch longer than it must."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tapekit.segments import Batch, Extent, piece_length
from tapekit.testing import MemorySource, bytes_of
from tapekit_mover.backlog import Backlog

if TYPE_CHECKING:
    from pathlib import Path


def batch_of(data: bytes, released: list[bytes]) -> Batch:
    return Batch.of([memoryview(data)], lambda: released.append(data))


@given(
    data=st.binary(max_size=4000),
    cuts=st.lists(st.integers(1, 700), min_size=1, max_size=5),
    per_batch=st.integers(1, 3),
    record_size=st.integers(1, 600),
    at_once=st.integers(1, 9),
)
def test_records_are_the_stream_padded_with_zeros(
    data: bytes, cuts: list[int], per_batch: int, record_size: int, at_once: int
) -> None:
    source = MemorySource(data, cuts=cuts, per_batch=per_batch)
    backlog = Backlog(record_size)
    written = b""

    def write() -> bytes:
        found = b""
        while records := min(backlog.length // record_size, at_once):
            found += bytes_of(backlog.first(records * record_size))
            backlog.take(records * record_size)
        return found

    while (batch := source.get()) is not None:
        backlog.add(batch)
        written += write()
        assert source.taken - source.released <= 1
    backlog.pad()
    written += write()
    assert written == data + bytes(-len(data) % record_size)
    assert backlog.length == 0
    assert source.taken == source.released


def test_whole_records_are_not_copied() -> None:
    data = b"0123456789"
    backlog = Backlog(4)
    backlog.add(batch_of(data, []))
    (piece,) = backlog.first(8)
    assert isinstance(piece, memoryview)
    assert piece.obj is data


def test_a_partial_record_holds_no_batch_back() -> None:
    released: list[bytes] = []
    backlog = Backlog(4)
    backlog.add(batch_of(b"012345", released))
    assert released == []
    backlog.take(4)
    assert released == [b"012345"]
    backlog.add(batch_of(b"67", released))
    assert bytes_of(backlog.first(4)) == b"4567"
    backlog.take(4)
    assert released == [b"012345", b"67"]


def test_small_batches_are_gathered_and_released_before_a_record_is_full() -> None:
    released: list[bytes] = []
    backlog = Backlog(100)
    parts = [b"%02d" % number for number in range(20)]
    for part in parts:
        backlog.add(batch_of(part, released))
    assert released == parts
    backlog.pad()
    assert bytes_of(backlog.first(100)) == b"".join(parts) + bytes(60)


def test_extents_are_gathered_too(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_bytes(b"abcdefgh")
    fd = os.open(file, os.O_RDONLY)
    try:
        backlog = Backlog(10)
        backlog.add(Batch.of([Extent(fd, 0, 3)]))
        backlog.add(Batch.of([Extent(fd, 3, 2), Extent(fd, 5, 0)]))
        backlog.add(Batch.of([Extent(fd, 5, 9)]))
        assert bytes_of(backlog.first(10)) == b"abcdefgh\0\0"
        assert sum(map(piece_length, backlog.first(10))) == 10
        backlog.take(10)
        assert backlog.length == 4
    finally:
        os.close(fd)


def test_release_lets_everything_go() -> None:
    released: list[bytes] = []
    backlog = Backlog(4)
    backlog.add(batch_of(b"012345678", released))
    backlog.release()
    assert released == [b"012345678"]
    assert backlog.length == 0


def test_an_empty_batch_is_released_at_once() -> None:
    released: list[bytes] = []
    backlog = Backlog(4)
    backlog.add(batch_of(b"", released))
    assert released == [b""]


def test_a_full_backlog_needs_no_padding() -> None:
    backlog = Backlog(4)
    backlog.add(batch_of(b"0123", []))
    backlog.pad()
    assert backlog.length == 4
