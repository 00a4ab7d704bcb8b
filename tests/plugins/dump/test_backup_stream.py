"""Objects in the stream."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tapekit.segments import BUFFER_BYTES
from tapekit.streams import StreamWriter
from tapekit.testing import MemoryHistory, MemorySink
from tapekit_dump.backup_history import NodeHistory
from tapekit_dump.backup_stream import LOST, ObjectStream
from tapekit_dump.header_packing import HeaderPacker
from tapekit_dump.headers import RECORD_BYTES, RUNS, DumpLabel, HeaderType, Inode, unpack_header

if TYPE_CHECKING:
    from pathlib import Path

PACKER = HeaderPacker(DumpLabel(1_700_000_000, 0, b"/vs1/vol1", b"", b"node"))
INODE = Inode(mode=0o120777, links=1, uid=1, gid=2, atime_us=3, mtime_us=4, ctime_s=5)


def test_object_is_header_padded_data_and_sets() -> None:
    sink, history = MemorySink(), MemoryHistory()
    batches = NodeHistory(history, 2)
    stream = ObjectStream(StreamWriter(sink), PACKER, batches)
    stream.bare(PACKER.tape)
    stream.whole(7, INODE, b"t" * 1500, [b"s" * 1024, b"u" * 4096])
    stream.lost(8)
    assert stream.processed == 0
    stream.mark()
    assert stream.processed == 12 * RECORD_BYTES
    stream.writer.finish()
    batches.flush()
    headers = [unpack_header(sink.data[at * 1024 : at * 1024 + 1024]) for at in (0, 1, 4, 6, 11)]
    assert [header.record for header in headers] == [0, 1, 4, 6, 11]
    assert [header.type for header in headers] == [HeaderType.TAPE] + [HeaderType.INODE] * 4
    assert [header.has_attributes for header in headers] == [False, False, True, True, False]
    assert [header.size for header in headers] == [0, 1500, 1024, 4096, 0]
    assert sink.data[2048 : 2048 + 1500] == b"t" * 1500
    assert sink.data[2048 + 1500 : 4096] == bytes(548)
    assert [header.mode for header in headers[1:]] == [0o120777] * 3 + [LOST.mode]
    assert [(node.node, node.position) for node in history.nodes] == [(7, 1024), (8, 11 * 1024)]


def test_header_at_the_end_of_a_buffer_goes_into_the_next() -> None:
    sink = MemorySink()
    stream = ObjectStream(StreamWriter(sink), PACKER, None)
    count = BUFFER_BYTES // RECORD_BYTES + 3
    for number in range(count):
        stream.header(PACKER.inode, number, INODE, 0, RUNS[0])
    stream.writer.finish()
    assert len(sink.data) == count * RECORD_BYTES
    for at in range(count):
        header = unpack_header(sink.data[at * 1024 : at * 1024 + 1024])
        assert (header.record, header.inode) == (at, at)


@pytest.mark.parametrize("shift", [1, 1000, 1023])
def test_header_that_a_buffer_has_half_the_room_for_goes_into_the_next(
    tmp_path: Path, shift: int
) -> None:
    """Zeros behind an extent leave a buffer between two records."""
    (tmp_path / "file").write_bytes(b"c" * (5 * RECORD_BYTES - shift))
    sink = MemorySink()
    stream = ObjectStream(StreamWriter(sink), PACKER, None)
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    stream.writer.extent(fd, 0, 5 * RECORD_BYTES - shift)
    stream.writer.write(bytes(shift))
    stream.writer.close_when_used(fd)
    count = BUFFER_BYTES // RECORD_BYTES + 3
    for number in range(count):
        stream.header(PACKER.inode, number, INODE, 0, RUNS[0])
    stream.writer.finish()
    headers = sink.data[5 * RECORD_BYTES :]
    assert len(headers) == count * RECORD_BYTES
    for at in range(count):
        header = unpack_header(headers[at * 1024 : at * 1024 + 1024])
        assert (header.record, header.inode) == (at + 5, at)
