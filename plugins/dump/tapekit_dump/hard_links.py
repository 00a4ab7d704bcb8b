"""Finding names that stand for an object that has been numbered already.

A bit for each inode number tells whether it has been seen; only a second
sight costs more. Which number the first sight got is looked up after the
walk, in one scan over the inode numbers in a spool. The one rule: two names
become one object only if the kernel says that the object has several names.
"""

from __future__ import annotations

import array
import struct
from typing import TYPE_CHECKING, Final, final

from tapekit_dump.maps import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tapekit_dump.spool import Spool, SpoolRoom

__all__ = ["UNTRUSTED", "HardLinks"]

UNTRUSTED: Final = 0
"""Stands for the inode number of an object whose own is not to be relied on."""

_PAGE_SHIFT: Final = 12
_PAGE_BYTES: Final = 512
_LINK: Final = struct.Struct("<QQ")
_NUMBER: Final = struct.Struct("<I")
_LOOKED_UP_AT_ONCE: Final = 200_000
_REMEMBERED_AT_ONCE: Final = 8192
_SCANNED_AT_ONCE: Final = 64 * 1024


@final
class HardLinks:
    """Remembers inode numbers by number, and names that repeat one."""

    def __init__(
        self,
        room: SpoolRoom,
        *,
        looked_up_at_once: int = _LOOKED_UP_AT_ONCE,
        scanned_at_once: int = _SCANNED_AT_ONCE,
    ) -> None:
        self._pages: Final[dict[int, bytearray]] = {}
        self._recent: Final = array.array("Q")
        self._inodes: Final = room.spool()
        self._links: Final = room.spool()
        self._looked_up_at_once: Final = looked_up_at_once
        self._scanned_at_once: Final = scanned_at_once

    def seen_before(self, inodes: Sequence[int]) -> list[int]:
        """Indexes of those that have been asked for before; marks all.

        :param inodes: best in ascending order.
        """
        repeated = []
        pages = self._pages
        current, page = -1, bytearray()
        for index, inode in enumerate(inodes):
            key = inode >> _PAGE_SHIFT
            if key != current:
                current = key
                page = pages.get(key) or pages.setdefault(key, bytearray(_PAGE_BYTES))
            byte, bit = inode >> 3 & 511, 1 << (inode & 7)
            if page[byte] & bit:
                repeated.append(index)
            page[byte] |= bit
        return repeated

    def remember(self, inodes: Sequence[int]) -> None:
        """The inode numbers of the next numbers of the dump, from 2 on."""
        self._recent.extend(inodes)
        if len(self._recent) >= _REMEMBERED_AT_ONCE:
            self._settle()

    def add(self, inode: int, place: int) -> None:
        """A further name of an object, whose number belongs at ``place``."""
        self._links.append(_LINK.pack(inode, place))

    def resolve(self, records: Spool) -> int:
        """Write the numbers where they belong; gives how many."""
        self._settle()
        count = self._links.length // _LINK.size
        for start in range(0, count, self._looked_up_at_once):
            data = self._links.read(start * _LINK.size, self._looked_up_at_once * _LINK.size)
            numbers = self._look_up({inode for inode, _ in _LINK.iter_unpack(data)})
            for inode, place in _LINK.iter_unpack(data):
                records.patch(place, _NUMBER.pack(numbers[inode]))
        return count

    def inodes(self) -> Spool:
        """The inode number of each number from 2 on, eight bytes each; whoever
        asks for it closes it.
        """
        self._settle()
        return self._inodes

    def close(self) -> None:
        """Free what is remembered, but for :meth:`inodes`."""
        self._pages.clear()
        self._links.close()

    def _settle(self) -> None:
        self._inodes.append(self._recent.tobytes())
        del self._recent[:]

    def _look_up(self, wanted: set[int]) -> dict[int, int]:
        """The first number of each inode number."""
        numbers: dict[int, int] = {}
        for first, chunk in self._chunks():
            if not wanted.isdisjoint(chunk):
                for number, inode in enumerate(chunk, first):
                    if inode in wanted:
                        numbers.setdefault(inode, number)
        return numbers

    def _chunks(self) -> Iterator[tuple[int, array.array[int]]]:
        step = self._scanned_at_once * 8
        for offset in range(0, self._inodes.length, step):
            chunk = array.array("Q")
            chunk.frombytes(self._inodes.read(offset, step))
            yield ROOT + offset // 8, chunk
