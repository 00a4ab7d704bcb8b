"""Phase III: from the spool to the stream."""

from __future__ import annotations

from contextlib import closing

import pytest

from tapekit.streams import StreamWriter
from tapekit.testing import MemoryHistory, MemorySink
from tapekit_dump.backup_directories import write_directories
from tapekit_dump.backup_history import NodeHistory
from tapekit_dump.directories import EntryType
from tapekit_dump.directory_record import DirectoryRecord
from tapekit_dump.header_packing import HeaderPacker
from tapekit_dump.headers import RECORD_BYTES, DumpLabel, Inode, unpack_header
from tapekit_dump.spool import Spool, SpoolRoom

PACKER = HeaderPacker(DumpLabel(1_700_000_000, 0, b"/vs1/vol1", b"", b"node"))
INODE = Inode(mode=0o40755, links=2, uid=1, gid=2, atime_us=0, mtime_us=8_000_000, ctime_s=9)
COUNTS = (0, 3, 60_000, 0, 17)
"""Entries of the directories 2 to 6; one has several headers."""


def filled(spool: Spool) -> list[tuple[bytes, int, int]]:
    names = []
    for directory, count in enumerate(COUNTS, 2):
        entries = [(n, EntryType.REGULAR, b"%d-%d" % (directory, n)) for n in range(9, 9 + count)]
        record = DirectoryRecord(spool, PACKER, directory, 2)
        record.add(entries)
        record.finish(INODE, [b"s" * 1024] if directory % 2 else [])
        names += [(name, number, directory) for number, _, name in entries]
    return names


@pytest.mark.parametrize("base", [0, 7])
def test_directories_arrive_with_their_place_and_history(base: int) -> None:
    sink, history = MemorySink(), MemoryHistory()
    with closing(SpoolRoom(None, 65536).spool()) as spool:
        names = filled(spool)
        original = bytes(spool.read(0, spool.length))
        writer = StreamWriter(sink)
        writer.write(bytes(base * RECORD_BYTES))
        batches = NodeHistory(history, 2)
        write_directories(spool, writer, batches)
        writer.finish()
    batches.flush()
    written, at, positions = sink.data, base * RECORD_BYTES, {}
    assert len(written) == base * RECORD_BYTES + len(original)
    while at < len(written):
        header = unpack_header(written[at : at + RECORD_BYTES])
        assert header.record == at // RECORD_BYTES
        if not header.has_attributes:
            positions.setdefault(header.inode, at)
        end = at + RECORD_BYTES * (1 + header.data_records)
        before = base * RECORD_BYTES
        assert (
            written[at + RECORD_BYTES : end] == original[at + RECORD_BYTES - before : end - before]
        )
        at = end
    assert history.directories == [(b".", 2, 2), (b"..", 2, 2), *names]
    assert [(node.node, node.position) for node in history.nodes] == list(positions.items())
    assert {(node.mode, node.mtime_s, node.ctime_s) for node in history.nodes} == {(0o40755, 8, 9)}


def test_directories_go_without_history() -> None:
    sink = MemorySink()
    with closing(SpoolRoom(None, 65536).spool()) as spool:
        filled(spool)
        writer = StreamWriter(sink)
        write_directories(spool, writer, None)
        writer.finish()
        assert sink.data == spool.read(0, spool.length)
