"""Where the contents of files lie: holes, and blocks that files share.

Ranges with data are found by SEEK_DATA and SEEK_HOLE. On file systems whose
files can have blocks in common, extents tell where the blocks are (FIEMAP),
and so which of them two files share. The one rule: an extent whose place
says nothing of its content (compressed, inline, not written yet) is never
taken for another one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit_smtape.backup_chunks import BLOCK_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Extent", "Range", "data_ranges", "extents_of", "same_ranges", "shares_blocks"]

_FIEMAP: Final = 0xC020660B
_HEAD: Final = struct.Struct("=QQIIII")
_EXTENT: Final = struct.Struct("=QQQ16xI12x")
_AT_ONCE: Final = 128
_SYNC: Final = 1
_LAST: Final = 0x1
_SHARED: Final = 0x2000
_PLACELESS: Final = 0x2 | 0x4 | 0x8 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800
"""Unknown, delayed, encoded, encrypted, not aligned, inline, tail, unwritten."""

_BTRFS_FS_INFO: Final = 0x8400941F
_XFS_FSGEOMETRY: Final = 0x8100587E
_ROOM: Final = 1024


class Range(NamedTuple):
    """Bytes of a file."""

    start: int
    stop: int


class Extent(NamedTuple):
    """Bytes of a file that lie together on the disk."""

    start: int
    length: int
    place: int
    """Byte of the device."""
    is_shared: bool
    """Whether another file, or this one, may have them too."""


def shares_blocks(fd: int) -> bool:
    """Whether files of this file system can have blocks in common (btrfs, XFS)."""
    for request in (_BTRFS_FS_INFO, _XFS_FSGEOMETRY):
        try:
            fcntl.ioctl(fd, request, bytearray(_ROOM))
        except OSError:
            continue
        return True
    return False


def data_ranges(fd: int, start: int, stop: int) -> Iterator[Range]:
    """The ranges between two offsets that are no holes, by whole blocks."""
    at = start
    while at < stop:
        try:
            found = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return
        end = os.lseek(fd, found, os.SEEK_HOLE)
        first = max(at, found - found % BLOCK_BYTES)
        at = min(stop, end + -end % BLOCK_BYTES)
        if first < at:
            yield Range(first, at)


def extents_of(fd: int) -> list[Extent]:
    """The extents of a file whose place tells what is in them, in order."""
    found: list[Extent] = []
    at, is_last = 0, False
    request = bytearray(_HEAD.size + _AT_ONCE * _EXTENT.size)
    while not is_last:
        _HEAD.pack_into(request, 0, at, 2**64 - 1 - at, _SYNC, 0, _AT_ONCE, 0)
        fcntl.ioctl(fd, _FIEMAP, request)
        mapped = _HEAD.unpack_from(request)[3]
        for index in range(mapped):
            start, place, length, flags = _EXTENT.unpack_from(
                request, _HEAD.size + index * _EXTENT.size
            )
            at = start + length
            is_last = bool(flags & _LAST)
            if not flags & _PLACELESS:
                found.append(Extent(start, length, place, bool(flags & _SHARED)))
        if not mapped:
            return found
    return found


def same_ranges(old: Sequence[Extent], new: Sequence[Extent]) -> list[Range]:
    """Where two files have the very same blocks at the same offset."""
    same: list[Range] = []
    index = 0
    for extent in new:
        stop = extent.start + extent.length
        while index < len(old) and old[index].start + old[index].length <= extent.start:
            index += 1
        at = index
        while at < len(old) and old[at].start < stop:
            other = old[at]
            if other.place - other.start == extent.place - extent.start:
                low = max(other.start, extent.start)
                same.append(Range(low, min(other.start + other.length, stop)))
            at += 1
    return same
