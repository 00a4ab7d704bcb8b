"""Directories as they are built in a spool."""

from __future__ import annotations

from contextlib import closing

import pytest

from tapekit_dump.directories import EntryType, decode_entries
from tapekit_dump.directory_record import DirectoryRecord
from tapekit_dump.header_packing import HeaderPacker
from tapekit_dump.headers import (
    RECORD_BYTES,
    SPAN_BYTES,
    DumpLabel,
    Header,
    HeaderType,
    Inode,
    unpack_header,
)
from tapekit_dump.spool import Spool, SpoolRoom

PACKER = HeaderPacker(DumpLabel(1_700_000_000, 0, b"/vs1/vol1", b"", b"node"))
INODE = Inode(mode=0o40750, links=2, uid=1, gid=2, atime_us=3, mtime_us=4_000_005, ctime_s=6)


def read_back(spool: Spool) -> list[tuple[Header, bytes]]:
    found, at = [], 0
    while at < spool.length:
        header = unpack_header(bytes(spool.read(at, RECORD_BYTES)))
        length = header.data_records * RECORD_BYTES
        assert header.record == at // RECORD_BYTES
        found.append((header, bytes(spool.read(at + RECORD_BYTES, length))))
        at += RECORD_BYTES + length
    return found


@pytest.mark.parametrize("memory_bytes", [100, 10 << 20])
@pytest.mark.parametrize("count", [0, 3, 40, 9362, 9363, 20_000])
def test_directory_of_any_size_is_whole(count: int, memory_bytes: int) -> None:
    entries = [(n, EntryType.REGULAR, b"name-%039d" % n) for n in range(3, 3 + count)]
    with closing(SpoolRoom(None, memory_bytes).spool()) as spool:
        record = DirectoryRecord(spool, PACKER, 7, 2)
        for start in range(0, count, 5000):
            assert record.add(entries[start : start + 5000]) == []
        record.finish(INODE, [])
        found = read_back(spool)
    content = b"".join(data for _, data in found)
    first = found[0][0]
    assert len(content) - first.size < RECORD_BYTES
    assert content[first.size :] == bytes(len(content) - first.size)
    decoded = list(decode_entries(content[: first.size]))
    assert [(e.inode, e.name) for e in decoded[:2]] == [(7, b"."), (2, b"..")]
    assert [(e.inode, e.kind, e.name) for e in decoded[2:]] == entries
    for index, (header, data) in enumerate(found):
        assert header.type == (HeaderType.ADDR if index else HeaderType.INODE)
        assert (header.inode, header.size, header.mode) == (7, first.size, 0o40750)
        assert len(data) == SPAN_BYTES or index == len(found) - 1


def test_attributes_follow_the_content() -> None:
    blobs = [b"a" * 1024, b"b" * 4096, b"c" * 1500]
    with closing(SpoolRoom(None, 1000).spool()) as spool:
        record = DirectoryRecord(spool, PACKER, 7, 2)
        record.finish(INODE, blobs)
        (own, _), *sets = read_back(spool)
    assert not own.has_attributes
    assert [data[: header.size] for header, data in sets] == blobs
    for header, _ in sets:
        assert header.has_attributes
        assert (header.type, header.inode, header.mode) == (HeaderType.INODE, 7, 0o40750)


def test_second_directory_counts_its_records_on() -> None:
    with closing(SpoolRoom(None, 1000).spool()) as spool:
        for number in (2, 3):
            DirectoryRecord(spool, PACKER, number, 2).finish(INODE, [])
        assert [header.record for header, _ in read_back(spool)] == [0, 2]


@pytest.mark.parametrize("memory_bytes", [100, 10 << 20])
def test_missing_numbers_are_where_it_says(memory_bytes: int) -> None:
    names = [b"link-%095d" % n for n in range(12_000)]
    with closing(SpoolRoom(None, memory_bytes).spool()) as spool:
        spool.append(bytes(3 * RECORD_BYTES))
        record = DirectoryRecord(spool, PACKER, 7, 2)
        missing: list[int] = []
        for start in range(0, len(names), 700):
            piece = names[start : start + 700]
            missing += record.add(
                (0 if n % 3 == 0 else 99, EntryType.REGULAR, name)
                for n, name in enumerate(piece, start)
            )
        record.finish(INODE, [])
        for number, place in enumerate(missing, 1000):
            assert spool.read(place, 4) == bytes(4)
            spool.patch(place, number.to_bytes(4, "little"))
        content = b""
        at = 3 * RECORD_BYTES
        while at < spool.length:
            header = unpack_header(bytes(spool.read(at, RECORD_BYTES)))
            end = at + RECORD_BYTES * (1 + header.data_records)
            content += spool.read(at + RECORD_BYTES, end - at - RECORD_BYTES)
            at = end
    numbers = [e.inode for e in decode_entries(content)][2:]
    assert numbers == [99 if n % 3 else 1000 + n // 3 for n in range(12_000)]
