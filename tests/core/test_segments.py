from __future__ import annotations

import ctypes
import errno
import mmap
import os
from typing import TYPE_CHECKING

import pytest

from tapekit.segments import Batch, Extent, Piece, piece_length, pread_exactly, slice_piece

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def file() -> Iterator[int]:
    fd = os.memfd_create("segments")
    os.write(fd, b"0123456789")
    yield fd
    os.close(fd)


@pytest.mark.parametrize(
    ("piece", "length"), [(memoryview(b"abc"), 3), (Extent(0, 5, 7), 7), (memoryview(b""), 0)]
)
def test_piece_length_counts_stream_bytes(piece: Piece, length: int) -> None:
    assert piece_length(piece) == length


def test_slicing_does_not_copy() -> None:
    data = bytearray(b"0123456789")
    part = slice_piece(memoryview(data), 2, 5)
    assert isinstance(part, memoryview)
    data[2] = ord("x")
    assert bytes(part) == b"x34"
    assert slice_piece(Extent(9, 100, 50), 10, 30) == Extent(9, 110, 20)


def test_pread_reads_the_extent_and_nothing_else(file: int) -> None:
    into = memoryview(bytearray(b"........"))
    pread_exactly(Extent(file, 3, 4), into)
    assert bytes(into) == b"3456...."


def test_bytes_that_a_file_has_lost_are_zeros(file: int) -> None:
    into = memoryview(bytearray(b"xxxxxxxx"))
    pread_exactly(Extent(file, 8, 6), into)
    assert bytes(into) == b"89\0\0\0\0xx"


def test_pread_tells_that_a_file_cannot_be_read(file: int) -> None:
    gone = os.dup(file)
    os.close(gone)
    with pytest.raises(OSError, match="Bad file descriptor"):
        pread_exactly(Extent(gone, 0, 1), memoryview(bytearray(1)))


def test_a_batch_counts_its_pieces() -> None:
    assert Batch.of([memoryview(b"abc"), Extent(0, 0, 10)]).length == 13


def test_a_batch_is_released_once() -> None:
    released: list[str] = []
    batch = Batch.of([], lambda: released.append("once"))
    batch.release()
    batch.release()
    assert released == ["once"]


def test_a_batch_without_buffers_can_be_released() -> None:
    batch = Batch.of([memoryview(b"abc")])
    batch.release()
    assert [bytes(piece) for piece in batch.pieces if isinstance(piece, memoryview)] == [b"abc"]


@pytest.fixture
def holey() -> Iterator[int]:
    """A descriptor of this process's memory: reading where nothing is mapped
    gives EIO, as a bad block of a disk does.
    """
    fd = os.open("/proc/self/mem", os.O_RDONLY)
    yield fd
    os.close(fd)


def test_bytes_that_cannot_be_read_are_zeros_where_somebody_hears_of_them(holey: int) -> None:
    lost: list[tuple[int, int, int | None]] = []
    extent = Extent(holey, 0, 10_000, lambda *what: lost.append((*what[:2], what[2].errno)))
    into = memoryview(bytearray(b"x" * 10_000))
    pread_exactly(extent, into)
    assert bytes(into) == bytes(10_000)
    assert lost == [(0, 4096, errno.EIO), (4096, 4096, errno.EIO), (8192, 1808, errno.EIO)]


def test_what_can_be_read_before_them_is_kept(holey: int) -> None:
    page = mmap.PAGESIZE
    fd = os.memfd_create("short")
    os.write(fd, b"m" * 4 * page)
    area = mmap.mmap(fd, 4 * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    # The pages of a mapping behind the file's end cannot be read.
    os.ftruncate(fd, 2 * page)
    os.close(fd)
    lost: list[int] = []
    into = memoryview(bytearray(4 * page))
    pread_exactly(Extent(holey, start, 4 * page, lambda at, *_: lost.append(at - start)), into)
    assert lost == [2 * page, 3 * page]
    assert bytes(into) == b"m" * 2 * page + bytes(2 * page)


def test_an_unreadable_file_raises_where_nobody_hears_of_it(holey: int) -> None:
    with pytest.raises(OSError, match="Input/output error"):
        pread_exactly(Extent(holey, 0, 4096), memoryview(bytearray(4096)))


def test_a_part_of_an_extent_keeps_who_hears_of_losses() -> None:
    def lost(_offset: int, _length: int, _error: OSError) -> None:
        raise AssertionError

    assert Extent(9, 100, 50, lost).part(10, 30) == Extent(9, 110, 20, lost)
