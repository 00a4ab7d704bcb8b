from __future__ import annotations

import errno
import os
from collections import deque
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapekit.segments import BUFFER_BYTES, Batch, Extent
from tapekit.streams import EndOfStream, StreamReader, StreamWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGE = 200_000
"""Longer than what is copied through memory."""


class MemoryConnection:
    """Both ends in one thread: batches wait in a queue, buffers are counted."""

    def __init__(self, buffer_bytes: int = BUFFER_BYTES) -> None:
        self.batches: deque[Batch] = deque()
        self.buffer_bytes = buffer_bytes
        self.lent = 0
        self.finished = False

    def acquire(self) -> memoryview:
        self.lent += 1
        return memoryview(bytearray(self.buffer_bytes))

    def recycle(self, buffer: memoryview) -> None:
        assert len(buffer) == self.buffer_bytes
        self.lent -= 1

    def put(self, batch: Batch) -> None:
        assert not self.finished
        self.batches.append(batch)

    def drain(self) -> None:
        assert not self.batches

    def finish(self) -> None:
        self.finished = True

    def get(self) -> Batch | None:
        return self.batches.popleft() if self.batches else None


def memory_file(data: bytes) -> int:
    fd = os.memfd_create("streams")
    os.write(fd, data)
    return fd


@pytest.fixture
def target() -> Iterator[int]:
    fd = os.memfd_create("target")
    yield fd
    os.close(fd)


def content(fd: int) -> bytes:
    return os.pread(fd, os.fstat(fd).st_size, 0)


def pattern(length: int) -> bytes:
    return bytes(i * 7 % 251 for i in range(length))


class TestWriter:
    def test_data_of_any_length_crosses_buffers(self) -> None:
        connection = MemoryConnection(buffer_bytes=10)
        writer = StreamWriter(connection)
        writer.write(pattern(25))
        assert writer.position == 25
        assert [batch.length for batch in connection.batches] == [10, 10]
        writer.finish()
        assert connection.finished
        assert b"".join(bytes(StreamReader(connection).take(25)) for _ in range(1)) == pattern(25)

    def test_bytes_put_into_the_buffer_count(self) -> None:
        connection = MemoryConnection()
        writer = StreamWriter(connection)
        writer.buffer[writer.end : writer.end + 3] = b"abc"
        writer.end += 3
        assert (writer.position, writer.room) == (3, BUFFER_BYTES - 3)
        writer.finish()
        assert bytes(StreamReader(connection).take(3)) == b"abc"

    def test_an_extent_stands_between_the_bytes_around_it(self) -> None:
        connection = MemoryConnection()
        writer = StreamWriter(connection)
        writer.write(b"head")
        writer.extent(99, 5, 1000)
        writer.write(b"tail")
        writer.finish()
        (batch,) = connection.batches
        head, extent, tail = batch.pieces
        assert isinstance(head, memoryview)
        assert isinstance(tail, memoryview)
        assert (bytes(head), extent, bytes(tail)) == (b"head", Extent(99, 5, 1000), b"tail")
        assert batch.length == writer.position == 1008

    def test_extents_are_handed_over_every_eight_buffers(self) -> None:
        connection = MemoryConnection()
        writer = StreamWriter(connection)
        for _ in range(8):
            assert not connection.batches
            writer.extent(99, 0, BUFFER_BYTES)
        assert [batch.length for batch in connection.batches] == [8 * BUFFER_BYTES]

    def test_a_file_is_closed_when_its_extents_have_been_used(self) -> None:
        connection = MemoryConnection()
        writer = StreamWriter(connection)
        fd = memory_file(b"abc")
        writer.extent(fd, 0, 3)
        writer.close_when_used(fd)
        writer.finish()
        os.fstat(fd)
        reader = StreamReader(connection)
        assert bytes(reader.take(3)) == b"abc"
        reader.close()
        with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
            os.fstat(fd)

    def test_abandoning_closes_the_files(self) -> None:
        writer = StreamWriter(MemoryConnection())
        fd = memory_file(b"abc")
        writer.close_when_used(fd)
        writer.abandon()
        with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
            os.fstat(fd)

    def test_all_buffers_come_back(self) -> None:
        connection = MemoryConnection(buffer_bytes=100)
        writer = StreamWriter(connection)
        writer.write(pattern(1234))
        writer.finish()
        reader = StreamReader(connection)
        reader.skip(1234)
        reader.close()
        assert connection.lent == 0


def reader_of(*pieces: memoryview | Extent) -> StreamReader:
    connection = MemoryConnection()
    for piece in pieces:
        connection.put(Batch.of([piece]))
    return StreamReader(connection)


class TestReader:
    def test_a_take_within_a_view_does_not_copy(self) -> None:
        data = bytearray(b"abcdef")
        reader = reader_of(memoryview(data))
        reader.take(1)
        view = reader.take(2)
        data[1] = ord("x")
        assert bytes(view) == b"xc"

    def test_a_take_joins_pieces(self) -> None:
        fd = memory_file(b"..cd..")
        reader = reader_of(memoryview(b"ab"), Extent(fd, 2, 2), memoryview(b"ef"))
        assert bytes(reader.take(5)) == b"abcde"
        assert reader.position == 5
        os.close(fd)

    def test_taking_beyond_the_end_uses_up_the_rest(self) -> None:
        reader = reader_of(memoryview(b"abc"))
        with pytest.raises(EndOfStream):
            reader.take(4)
        assert reader.position == 3
        with pytest.raises(EndOfStream):
            reader.take(1)

    def test_empty_pieces_are_passed_over(self) -> None:
        reader = reader_of(memoryview(b""), Extent(-1, 0, 0), memoryview(b"abc"))
        assert bytes(reader.take(3)) == b"abc"

    def test_skipping_an_extent_does_not_read_it(self) -> None:
        reader = reader_of(Extent(-1, 0, 10**12), memoryview(b"abc"))
        reader.skip(10**12 + 1)
        assert (bytes(reader.take(2)), reader.position) == (b"bc", 10**12 + 3)

    def test_skipping_beyond_the_end_is_told(self) -> None:
        reader = reader_of(memoryview(b"abc"))
        with pytest.raises(EndOfStream):
            reader.skip(4)
        assert reader.position == 3

    def test_a_long_run_is_copied_in_order(self, target: int) -> None:
        data = pattern(3 * LARGE)
        fd = memory_file(data)
        reader = reader_of(memoryview(b"head"), Extent(fd, 0, len(data)), memoryview(b"tail"))
        reader.take(2)
        reader.copy_to(target, 5, 2 + len(data) + 2)
        assert content(target) == b"\0" * 5 + b"ad" + data + b"ta"
        assert bytes(reader.take(2)) == b"il"
        os.close(fd)

    def test_long_runs_behind_short_headers_are_copied_in_the_kernel(
        self, target: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        header, run = 1024, 512 * 1024
        count = 6
        data = pattern(count * (header + run))
        source = memory_file(data)
        copied: list[int] = []
        copy_file_range = os.copy_file_range

        def counting(*arguments: int) -> int:
            copied.append(copy_file_range(*arguments))
            return copied[-1]

        monkeypatch.setattr(os, "copy_file_range", counting)
        reader = reader_of(Extent(source, 0, len(data)))
        for number in range(count):
            start = number * (header + run)
            assert reader.take(header) == data[start : start + header]
            reader.copy_to(target, number * run, run)
        # Only what the very first read took along went through memory.
        assert sum(copied) >= (count - 2) * run
        expected = b"".join(
            data[number * (header + run) + header :][:run] for number in range(count)
        )
        assert content(target) == expected
        os.close(source)

    def test_a_copy_of_what_a_file_has_lost_gives_zeros(self, target: int) -> None:
        fd = memory_file(b"x" * 1000)
        reader = reader_of(Extent(fd, 0, LARGE))
        reader.copy_to(target, 0, LARGE)
        assert content(target) == b"x" * 1000 + bytes(LARGE - 1000)
        os.close(fd)

    def test_a_file_that_refuses_kernel_copies_is_written_through_memory(
        self, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        # An append-only descriptor is refused by copy_file_range alone.
        data = pattern(LARGE)
        fd = memory_file(data)
        path = tmp_path_factory.mktemp("append") / "target"
        append = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        reader_of(Extent(fd, 0, LARGE)).copy_to(append, 0, LARGE)
        os.close(append)
        os.close(fd)
        assert path.read_bytes() == data

    def test_copying_beyond_the_end_writes_what_there_is(self, target: int) -> None:
        reader = reader_of(memoryview(b"abc"))
        with pytest.raises(EndOfStream):
            reader.copy_to(target, 0, 4)
        assert content(target) == b"abc"

    def test_errors_of_the_target_are_told(self) -> None:
        fd = memory_file(pattern(LARGE))
        read_only = os.open("/dev/full", os.O_WRONLY)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            reader_of(Extent(fd, 0, LARGE)).copy_to(read_only, 0, LARGE)
        os.close(read_only)
        os.close(fd)

    def test_closing_releases_the_batch_in_hand(self) -> None:
        released: list[bool] = []
        connection = MemoryConnection()
        connection.put(Batch.of([memoryview(b"abc")], lambda: released.append(True)))
        reader = StreamReader(connection)
        reader.take(1)
        assert not released
        reader.close()
        assert released


Written = tuple[str, int]
WRITES = st.lists(st.tuples(st.sampled_from(("bytes", "extent")), st.integers(0, 400)), max_size=20)
READS = st.lists(
    st.tuples(st.sampled_from(("take", "skip", "copy")), st.integers(0, 500)), max_size=20
)


@settings(max_examples=200)
@given(writes=WRITES, reads=READS, buffer_bytes=st.integers(1, 300))
def test_what_is_written_is_read_in_order(
    writes: list[Written], reads: list[Written], buffer_bytes: int
) -> None:
    """Any mixture of writes, read by any mixture of reads, is one stream."""
    connection = MemoryConnection(buffer_bytes)
    source = pattern(1000)
    fd, target = memory_file(source), os.memfd_create("target")
    expected = bytearray()
    writer = StreamWriter(connection)
    for number, (kind, length) in enumerate(writes):
        data = source[number : number + length]
        expected += data
        if kind == "bytes":
            writer.write(data)
        else:
            writer.extent(fd, number, length)
        assert writer.position == len(expected)
    writer.finish()
    reader = StreamReader(connection)
    at = 0
    for kind, length in reads:
        enough = at + length <= len(expected)
        here = bytes(expected[at : at + length])
        at = min(at + length, len(expected))
        try:
            if kind == "take":
                assert bytes(reader.take(length)) == here
            elif kind == "skip":
                reader.skip(length)
            else:
                os.ftruncate(target, 0)
                reader.copy_to(target, 0, length)
                assert content(target) == here
        except EndOfStream:
            assert not enough
        else:
            assert enough
        assert reader.position == at
    reader.close()
    for batch in connection.batches:
        batch.release()
    assert connection.lent == 0
    os.close(fd)
    os.close(target)
