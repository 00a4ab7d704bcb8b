"""Copies the content of a file, holes as holes.

Where the file system can share blocks between files, one call does it all;
elsewhere data moves inside the kernel, and only small files go through
memory, where one read and one write are faster. The one rule: a hole of the
volume is a hole of the copy.
"""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.storage import for_ever

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapekit.hookspecs.storage import KeepGoing

__all__ = ["ContentCopier"]

_FICLONE: Final = 0x40049409
"""Share all blocks of a file (linux/fs.h)."""

_NEVER_SHARED: Final = frozenset({errno.EOPNOTSUPP, errno.EXDEV, errno.ENOTTY, errno.ENOSYS})
"""These two file systems do not share blocks."""
_NOT_SHARED: Final = frozenset({errno.EINVAL, errno.ETXTBSY})
"""This file cannot be shared; others can."""
_NOT_IN_KERNEL: Final = frozenset(
    {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.ETXTBSY}
)

_THROUGH_MEMORY: Final = 64 * 1024
_PIECE: Final = 1 << 20
_LONGEST_RANGE: Final = 64 << 20
"""What is copied before anybody may end it."""


@final
class ContentCopier:
    """Copies contents between two file systems, whose abilities it learns."""

    def __init__(self, keep_going: KeepGoing = for_ever) -> None:
        self._keep_going: Final = keep_going
        self._shares = True
        self._copies_in_kernel = True

    def copy(self, source: int, target: int, size: int) -> None:
        """Fill an empty file with the first ``size`` bytes of another one.

        Of a source that has become shorter the rest is missing or zeros; the
        caller looks whether the source has changed.

        :raises OSError: the one cannot be read or the other not be written.
        """
        if size == 0 or (self._shares and self._share(source, target)):
            return
        if _next_hole(source, 0) >= size:
            self._range(source, target, 0, size)
            return
        os.ftruncate(target, size)
        for start, stop in _data(source, size):
            self._range(source, target, start, stop)

    def _share(self, source: int, target: int) -> bool:
        try:
            fcntl.ioctl(target, _FICLONE, source)
        except OSError as error:
            if error.errno in _NEVER_SHARED:
                self._shares = False
            elif error.errno not in _NOT_SHARED:
                raise
            return False
        return True

    def _range(self, source: int, target: int, start: int, stop: int) -> None:
        if stop - start > _THROUGH_MEMORY and self._copies_in_kernel:
            start = self._range_in_kernel(source, target, start, stop)
        while start < stop:
            self._keep_going()
            piece = os.pread(source, min(_PIECE, stop - start), start)
            if not piece:
                return
            _write(target, piece, start)
            start += len(piece)

    def _range_in_kernel(self, source: int, target: int, start: int, stop: int) -> int:
        """Copy without reading, and tell how far that went."""
        try:
            while start < stop:
                self._keep_going()
                length = min(_LONGEST_RANGE, stop - start)
                count = os.copy_file_range(source, target, length, start, start)
                if count == 0:
                    break
                start += count
        except OSError as error:
            if error.errno not in _NOT_IN_KERNEL:
                raise
            self._copies_in_kernel = False
        return start


def _data(source: int, size: int) -> Iterator[tuple[int, int]]:
    """The parts of the first ``size`` bytes that are not holes."""
    stop = 0
    while True:
        start = _next_data(source, stop)
        if start is None or start >= size:
            return
        stop = min(_next_hole(source, start), size)
        yield start, stop


def _next_data(source: int, offset: int) -> int | None:
    try:
        return os.lseek(source, offset, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return None


def _next_hole(source: int, offset: int) -> int:
    """Where the next hole begins; the end of a file is one."""
    try:
        return os.lseek(source, offset, os.SEEK_HOLE)
    except OSError as error:
        # The file has become shorter than the offset.
        if error.errno != errno.ENXIO:
            raise
        return offset


def _write(target: int, piece: bytes, offset: int) -> None:
    done = os.pwrite(target, piece, offset)
    while done < len(piece):
        done += os.pwrite(target, piece[done:], offset + done)
