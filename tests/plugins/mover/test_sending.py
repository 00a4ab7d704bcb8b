"""Records are handed over in the buffer or the file in which a drive gave them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tapekit.hookspecs.tape_driver import ReadRun
from tapekit.segments import ConnectionBroken, Extent
from tapekit.testing import FailingSink, MemorySink, MemoryTape, MemoryTapeDrive
from tapekit_mover.sending import RecordSender


def tape_of(*records: bytes) -> MemoryTapeDrive:
    tape = MemoryTape()
    tape.items.extend(records)
    return MemoryTapeDrive(tape)


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_each_batch_has_a_buffer_of_its_own_until_it_is_used() -> None:
    sink = MemorySink(buffers=2)
    sender = RecordSender(sink)
    drive = tape_of(b"a" * 10, b"b" * 10, b"c" * 10)
    for _ in range(3):
        run = sender.read(drive, 10, 10)
        sender.put(run.pieces)
    sender.close()
    sink.finish()
    assert sink.data == b"a" * 10 + b"b" * 10 + b"c" * 10


def test_a_buffer_that_no_batch_took_is_used_again_and_given_back() -> None:
    sink = MemorySink(buffers=1)
    sender = RecordSender(sink)
    drive = tape_of(b"a" * 10, b"b" * 10)
    sender.read(drive, 10, 10)
    sender.read(drive, 10, 10)
    sender.close()
    assert len(sink.acquire()) > 0


def test_a_file_may_be_closed_while_its_extents_are_under_way(tmp_path: Path) -> None:
    file = tmp_path / "payload"
    file.write_bytes(b"0123456789")
    before = open_descriptors()
    sink = MemorySink()
    sender = RecordSender(sink)
    fd = os.open(file, os.O_RDONLY)
    sender.put([Extent(fd, 2, 3), Extent(fd, 7, 2)])
    os.close(fd)
    sender.close()
    sink.finish()
    assert sink.data == b"23478"
    assert open_descriptors() == before


def test_extents_leave_the_buffer_for_the_next_read(tmp_path: Path) -> None:
    class FileDrive:
        def read_records(self, into: memoryview, limit: int, record_size: int) -> ReadRun:
            given.append(into)
            return ReadRun((Extent(fd, 0, 4),), 1, 4)

    given: list[memoryview] = []
    file = tmp_path / "payload"
    file.write_bytes(b"abcd")
    fd = os.open(file, os.O_RDONLY)
    sink = MemorySink(buffers=1)
    sender = RecordSender(sink)
    drive = FileDrive()
    for _ in range(3):
        sender.put(sender.read(drive, 4, 4).pieces)  # type: ignore[arg-type] # reads only
    sender.close()
    sink.finish()
    os.close(fd)
    assert sink.data == b"abcd" * 3
    assert given[0] is given[1] is given[2]


def test_a_broken_connection_keeps_nothing_open(tmp_path: Path) -> None:
    file = tmp_path / "payload"
    file.write_bytes(b"0123456789")
    before = open_descriptors()
    sink = FailingSink(after=0)
    sender = RecordSender(sink)
    fd = os.open(file, os.O_RDONLY)
    with pytest.raises(ConnectionBroken):
        sender.put([Extent(fd, 0, 4)])
    os.close(fd)
    sender.close()
    assert open_descriptors() == before
