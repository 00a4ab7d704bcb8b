"""Files with several names: set aside as they are written, named at the end.

Only when all of a dump has been written is it known which files in it have
more than one name, and then their names stand in its directories, which are
still in a spool. So these are read once more, if there is any such file. The
one rule: memory grows by a bit for each number, not by name or by file.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.data_engine import NodeEntry
from tapekit_dump.directories import EntryType
from tapekit_dump.headers import ADDRESS_COUNT, RECORD_BYTES, HeaderType, unpack_header
from tapekit_dump.maps import NumberSet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapekit_dump.spool import Spool, SpoolRoom

__all__ = ["FurtherNames", "names_by_directory"]

_ENTRY: Final = struct.Struct("<IHBB")
_ROW: Final = struct.Struct("<10q")
_NUMBER: Final = struct.Struct("<q")


@final
class FurtherNames:
    """Attributes of files with several names, by number."""

    def __init__(self, room: SpoolRoom) -> None:
        self._numbers: Final = NumberSet()
        self._rows: Final = room.spool()

    def __bool__(self) -> bool:
        return bool(self._rows.length)

    def add(self, entry: NodeEntry) -> None:
        """Set a file aside; its number is higher than those before.

        :raises TapekitError: the spool cannot be written.
        """
        self._numbers.add(entry.node)
        self._rows.append(_ROW.pack(*entry))

    def find(self, number: int) -> NodeEntry | None:
        """What has been set aside of a file, if it was.

        :raises TapekitError: the spool cannot be read.
        """
        if number not in self._numbers:
            return None
        low, high = 0, self._rows.length // _ROW.size
        while low + 1 < high:
            middle = (low + high) // 2
            at = self._rows.read(middle * _ROW.size, _NUMBER.size)
            if _NUMBER.unpack(at)[0] <= number:
                low = middle
            else:
                high = middle
        return NodeEntry._make(_ROW.unpack(self._rows.read(low * _ROW.size, _ROW.size)))

    def close(self) -> None:
        """Free the spool."""
        self._rows.close()


def names_by_directory(records: Spool) -> Iterator[tuple[int, Iterator[tuple[bytes, int]]]]:
    """Each directory of a dump, with name and number of what is in it and is
    no directory; a large one comes in several pieces.

    :raises TapekitError: the spool cannot be read.
    """
    at, left = 0, 0
    while at < records.length:
        record = records.read(at, RECORD_BYTES)
        data = RECORD_BYTES * int(ADDRESS_COUNT.unpack(record)[0])
        header = unpack_header(memoryview(record))
        if header.has_attributes:
            left = 0
        elif header.type == HeaderType.INODE:
            left = header.size
        content = min(left, data)
        if content:
            yield header.inode, _names(bytes(records.read(at + RECORD_BYTES, content)))
        left -= content
        at += RECORD_BYTES + data


def _names(content: bytes) -> Iterator[tuple[bytes, int]]:
    at, unpack = 0, _ENTRY.unpack_from
    while at < len(content):
        number, length, kind, count = unpack(content, at)
        if kind != EntryType.DIRECTORY:
            yield content[at + _ENTRY.size : at + _ENTRY.size + count], number
        at += length
