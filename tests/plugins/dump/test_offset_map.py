"""The offset map: written as a backup passes, read whole or not at all."""

from __future__ import annotations

import stat
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.hookspecs.data_engine import NodeEntry, NodeTable
from tapekit.streams import StreamReader, StreamWriter
from tapekit.testing.memory_connection import MemorySink, MemorySource
from tapekit_dump.backup_offsets import OffsetCollector
from tapekit_dump.offset_map import BadMap, MapHead, read_map
from tapekit_dump.spool import SpoolRoom

if TYPE_CHECKING:
    from tapekit_dump.offset_map import OffsetMap

ROOM = SpoolRoom(None, 65536)
DATE = 1_600_000_000


def node(number: int, position: int, mode: int = stat.S_IFREG) -> NodeEntry:
    return NodeEntry(number, mode, 0, 0, 0, 0, 0, 0, 1, position)


def written(nodes: list[NodeEntry]) -> bytes:
    collector, sink = OffsetCollector(ROOM), MemorySink()
    writer = StreamWriter(sink)
    collector.note(NodeTable.of(nodes))
    collector.write(writer, DATE)
    collector.close()
    writer.finish()
    return sink.data


def read_back(data: bytes) -> OffsetMap:
    reader = StreamReader(MemorySource(data, cuts=(999, 70_000)))
    found = read_map(reader, MapHead.unpack(bytes(reader.take(1024))))
    assert reader.position == len(data)
    reader.close()
    return found


@given(
    directories=st.dictionaries(st.integers(2, 2**32 - 1), st.integers(0, 2**63 - 1), max_size=200),
    steps=st.lists(st.integers(1024, 6 << 20), max_size=300),
)
def test_everything_is_found_again(directories: dict[int, int], steps: list[int]) -> None:
    nodes = [node(number, at, stat.S_IFDIR) for number, at in directories.items()]
    files, at = {}, 1 << 20
    for number, step in enumerate(steps, 10):
        files[number] = at
        nodes.append(node(number, at))
        at += step
    data = written(nodes)
    assert len(data) % 1024 == 0
    found = read_back(data)
    assert {number: found.directory(number) for number in directories} == directories
    assert found.directory(1) is None
    for number, position in files.items():
        before = found.before(number)
        assert before is not None
        assert position - (10 << 20) < before <= position
    assert found.before(9) is None


def test_a_file_every_few_mib_is_enough() -> None:
    data = written([node(number, number * 3000) for number in range(2, 100_000)])
    assert len(data) <= 4096


def test_more_directories_than_memory_takes_are_sorted() -> None:
    numbers = list(range(250_000, 2, -1))
    found = read_back(written([node(number, number * 7, stat.S_IFDIR) for number in numbers]))
    assert all(found.directory(number) == number * 7 for number in (3, 77_777, 250_000))


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (0, "no map stands there"),
        (25, "checksum of its beginning"),
        (1024, "checksum of a table"),
        (2048, "checksum of a table"),
    ],
)
def test_a_changed_byte_is_found(at: int, reason: str) -> None:
    data = bytearray(written([node(2, 5, stat.S_IFDIR), node(3, 9)]))
    data[at] ^= 1
    with pytest.raises(BadMap, match=reason):
        read_back(bytes(data))


def test_a_later_version_is_refused() -> None:
    record = bytearray(MapHead(DATE, 0, 0, 0, 0).pack())
    record[19] = 2
    record[48:52] = zlib.crc32(record[:48]).to_bytes(4, "big")
    with pytest.raises(BadMap, match="its version is 2, not 1"):
        MapHead.unpack(bytes(record))


def test_a_cut_map_is_no_map() -> None:
    data = written([node(number, number, stat.S_IFDIR) for number in range(2, 500)])
    reader = StreamReader(MemorySource(data[:4000]))
    head = MapHead.unpack(bytes(reader.take(1024)))
    with pytest.raises(BadMap, match="ends in it"):
        read_map(reader, head)
    reader.close()


@pytest.mark.parametrize(
    ("files", "directories", "position"),
    [(11, 0, 10240), (0, 11, 10240), (2**33, 0, 2**60), (0, 2**63, 2**63)],
)
def test_more_entries_than_the_dump_can_have_are_not_believed(
    files: int, directories: int, position: int
) -> None:
    head = MapHead.unpack(MapHead(DATE, files, directories, 0, 0).pack())
    with pytest.raises(BadMap, match="is said to have"):
        head.check(position)


def test_as_many_entries_as_records_may_be_right() -> None:
    MapHead(DATE, 10, 10, 0, 0).check(10240)
