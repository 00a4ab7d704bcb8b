"""The offset map: where in a dump stream the objects are, by their numbers.

It stands behind the last END record, where readers of dumps do not look, and
has two tables: of every directory its offset, and of files one every few MiB,
which is enough because files come in the order of their numbers. The one
rule: a table is believed only if its checksum is right, since a wrong offset
would cost a tape's length of winding.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit.streams import EndOfStream
from tapekit_dump.headers import RECORD_BYTES

if TYPE_CHECKING:
    from tapekit.streams import StreamReader

__all__ = ["ENTRY", "BadMap", "MapHead", "OffsetMap", "padding", "read_map"]

_MAGIC: Final = b"tapekit offsets\0"
_VERSION: Final = 1
_HEAD: Final = struct.Struct(">16sIIQQII")
"""Magic, version, date of the dump, entries of files, entries of directories,
and the checksums (CRC-32) of the two tables."""

_CHECK: Final = struct.Struct(">I")

ENTRY: Final = struct.Struct(">IQ")
"""An object's number and the offset of its header."""

_NUMBERS: Final = 1 << 32
_PIECE_ENTRIES: Final = 1 << 16


class BadMap(Exception):
    """What stands there is no offset map of this dump, or a damaged one."""


class MapHead(NamedTuple):
    """What the first record of a map tells of it."""

    date: int
    files: int
    directories: int
    files_check: int
    directories_check: int

    @property
    def table_bytes(self) -> int:
        """Bytes of both tables."""
        return sum(count * ENTRY.size + padding(count) for count in (self.files, self.directories))

    def check(self, position: int) -> None:
        """Check that a dump of this length can have so many objects: each
        has a record and a number.

        :param position: where in the stream the map begins.
        :raises BadMap: it cannot.
        """
        limit = min(position // RECORD_BYTES, _NUMBERS)
        count = max(self.files, self.directories)
        if count > limit:
            raise BadMap(f"it is said to have {count} entries, which is more than {limit}")

    def pack(self) -> bytes:
        """The record."""
        date, files, directories, *checks = self
        packed = _HEAD.pack(_MAGIC, _VERSION, date, files, directories, *checks)
        return (packed + _CHECK.pack(zlib.crc32(packed))).ljust(RECORD_BYTES, b"\0")

    @classmethod
    def unpack(cls, record: bytes) -> MapHead:
        """From the record.

        :raises BadMap: it is none.
        """
        packed = record[: _HEAD.size]
        magic, version, *values = _HEAD.unpack(packed)
        if magic != _MAGIC:
            raise BadMap("no map stands there")
        if _CHECK.unpack_from(record, _HEAD.size)[0] != zlib.crc32(packed):
            raise BadMap("the checksum of its beginning is wrong")
        if version != _VERSION:
            raise BadMap(f"its version is {version}, not {_VERSION}")
        return cls(*values)


def padding(entries: int) -> int:
    """Bytes between the end of a table and that of its last record."""
    return -entries * ENTRY.size % RECORD_BYTES


@final
class OffsetMap:
    """Finds objects."""

    def __init__(self, files: _Table, directories: _Table) -> None:
        self._files: Final = files
        self._directories: Final = directories

    def directory(self, number: int) -> int | None:
        """The offset of a directory, or ``None`` if the dump has none of
        that number.
        """
        at = bisect_left(self._directories.numbers, number)
        is_there = at < len(self._directories) and self._directories.numbers[at] == number
        return self._directories.offsets[at] if is_there else None

    def before(self, number: int) -> int | None:
        """The offset of a file at or before the one of that number, not far
        from it; ``None`` if there is no such file.
        """
        at = bisect_right(self._files.numbers, number)
        return self._files.offsets[at - 1] if at else None


@final
class _Table:
    """Numbers in ascending order, and an offset for each."""

    def __init__(self) -> None:
        self.numbers: Final = array("I")
        self.offsets: Final = array("Q")

    def __len__(self) -> int:
        return len(self.numbers)

    def add(self, packed: memoryview) -> None:
        """Take entries in."""
        for number, offset in ENTRY.iter_unpack(packed):
            self.numbers.append(number)
            self.offsets.append(offset)


def read_map(reader: StreamReader, head: MapHead) -> OffsetMap:
    """Read the tables of a map whose first record has been read.

    :raises BadMap: they are damaged, or the stream ends before.
    :raises ConnectionBroken: the connection is gone.
    """
    files = _read_table(reader, head.files, head.files_check)
    return OffsetMap(files, _read_table(reader, head.directories, head.directories_check))


def _read_table(reader: StreamReader, entries: int, check: int) -> _Table:
    table, found = _Table(), 0
    try:
        while len(table) < entries:
            count = min(entries - len(table), _PIECE_ENTRIES)
            packed = reader.take(count * ENTRY.size)
            found = zlib.crc32(packed, found)
            table.add(packed)
        reader.skip(padding(entries))
    except EndOfStream:
        raise BadMap("the stream ends in it") from None
    if found != check:
        raise BadMap("the checksum of a table is wrong")
    return table
