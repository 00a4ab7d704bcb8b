"""Finding the number of an inode number among those of an earlier dump.

Numbers lie in pages by inode number, in a temporary file that is mapped into
memory: the kernel keeps of it what it has room for. A table in memory tells
which page is where; inode numbers of one file system lie together, so it is
small. The one rule: the file's blocks are there before anything is written
to them, since a mapped file that finds no room ends the process.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from typing import TYPE_CHECKING, Final, final

from tapekit_dump.errors import CATALOGUE
from tapekit_dump.hard_links import UNTRUSTED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit_dump.spool import SpoolRoom

__all__ = ["NumberIndex"]

_SHIFT: Final = 10
_MASK: Final = (1 << _SHIFT) - 1
_NUMBER: Final = struct.Struct("<I")
_PAGE_BYTES: Final = _NUMBER.size << _SHIFT
_SEGMENT_BYTES: Final = 4 << 20


@final
class NumberIndex:
    """Numbers by inode number; for one thread.

    :param room: where the temporary file goes.
    """

    def __init__(self, room: SpoolRoom) -> None:
        self._room: Final = room
        self._pages: Final[dict[int, tuple[mmap.mmap, int]]] = {}
        """Where the page of some inode numbers is: a segment and an offset."""
        self._segments: Final[list[mmap.mmap]] = []
        self._fd = -1
        self._end = _SEGMENT_BYTES
        """How much of the last segment is in use."""

    def add(self, first: int, inodes: Sequence[int]) -> None:
        """Enter inode numbers; the first has the number ``first``, the
        others follow. Of one that comes twice the last number counts.

        :raises TapekitError: the temporary file cannot be made or has no room.
        """
        pages, pack = self._pages, _NUMBER.pack_into
        for number, inode in enumerate(inodes, first):
            if inode == UNTRUSTED:
                continue
            segment, page = pages.get(inode >> _SHIFT) or self._new_page(inode >> _SHIFT)
            pack(segment, page + _NUMBER.size * (inode & _MASK), number)

    def find(self, inode: int) -> int:
        """The number of an inode number, or 0."""
        place = self._pages.get(inode >> _SHIFT)
        if place is None:
            return 0
        segment, page = place
        return int(_NUMBER.unpack_from(segment, page + _NUMBER.size * (inode & _MASK))[0])

    def close(self) -> None:
        """Free the file; later calls do nothing."""
        self._pages.clear()
        while self._segments:
            self._segments.pop().close()
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _new_page(self, key: int) -> tuple[mmap.mmap, int]:
        if self._end == _SEGMENT_BYTES:
            try:
                self._add_segment()
            except OSError as error:
                raise CATALOGUE.error(
                    "spool-failed",
                    directory=self._room.directory or tempfile.gettempdir(),
                    reason=error.strerror or str(error),
                ) from error
        place = self._pages[key] = self._segments[-1], self._end
        self._end += _PAGE_BYTES
        return place

    def _add_segment(self) -> None:
        if self._fd < 0:
            with tempfile.TemporaryFile(dir=self._room.directory) as file:
                self._fd = os.dup(file.fileno())
        offset = len(self._segments) * _SEGMENT_BYTES
        os.posix_fallocate(self._fd, offset, _SEGMENT_BYTES)
        self._segments.append(mmap.mmap(self._fd, _SEGMENT_BYTES, offset=offset))
        self._end = 0
