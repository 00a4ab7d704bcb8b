"""Files with several names, set aside and found again."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tapekit.hookspecs.data_engine import NodeEntry
from tapekit_dump.directories import EntryType
from tapekit_dump.directory_record import DirectoryRecord
from tapekit_dump.further_names import FurtherNames, names_by_directory
from tapekit_dump.header_packing import HeaderPacker
from tapekit_dump.headers import SPAN_BYTES, DumpLabel, Inode
from tapekit_dump.spool import SpoolRoom

if TYPE_CHECKING:
    from tapekit_dump.spool import Spool

ROOM = SpoolRoom(None, 65536)
PACKER = HeaderPacker(DumpLabel(1_700_000_000, 0, b"/vs1/vol1", b"", b"node"))
INODE = Inode(mode=0o40755, links=2, uid=0, gid=0, atime_us=0, mtime_us=0, ctime_s=0)


def entry(number: int) -> NodeEntry:
    return NodeEntry(number, 0o100644, number, 1, 2, 3, 4, 5, 6, number * 1024)


@given(st.sets(st.integers(2, 50_000), max_size=200), st.sets(st.integers(0, 60_000)))
def test_what_was_set_aside_is_found_and_nothing_else(there: set[int], others: set[int]) -> None:
    with closing(FurtherNames(ROOM)) as names:
        assert not names
        for number in sorted(there):
            names.add(entry(number))
        assert bool(names) == bool(there)
        for number in there:
            assert names.find(number) == entry(number)
        for number in others - there:
            assert names.find(number) is None


def test_more_than_fits_into_memory_is_found() -> None:
    with closing(FurtherNames(ROOM)) as names:
        for number in range(10, 20_000, 3):
            names.add(entry(number))
        for number in (10, 5002, 19_999):
            assert names.find(number) == (entry(number) if number % 3 == 1 else None)


def write(spool: Spool, directory: int, entries: list[tuple[int, EntryType, bytes]]) -> None:
    record = DirectoryRecord(spool, PACKER, directory, 2)
    record.add(entries)
    record.finish(INODE, [b"s" * 1024] if directory % 2 else [])


def test_names_are_those_of_the_directories_without_directories() -> None:
    large = [(number, EntryType.REGULAR, b"%0200d" % number) for number in range(100, 6000)]
    assert 2 * SPAN_BYTES < 5900 * 200
    with closing(ROOM.spool()) as spool:
        write(spool, 2, [(3, EntryType.DIRECTORY, b"d"), (9, EntryType.SYMLINK, b"link")])
        write(spool, 3, [])
        write(spool, 5, large)
        write(spool, 6, [(9, EntryType.SYMLINK, b"other")])
        found = [(number, list(names)) for number, names in names_by_directory(spool)]
    assert found[:2] == [(2, [(b"link", 9)]), (3, [])]
    assert found[-1] == (6, [(b"other", 9)])
    assert {number for number, _ in found[2:-1]} == {5}
    assert [name for _, names in found[2:-1] for name in names] == [
        (name, number) for number, _, name in large
    ]
