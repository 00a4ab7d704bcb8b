"""Contents of restored files: written, shared, and left out as holes.

Blocks that two files of the source had in common are shared here as well
where the file system can do that, and are copied elsewhere. The one rule:
bytes that are to be shared are read from a file that has them for good, so
that doing it twice gives the same.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from tapekit.hookspecs.storage import KeepGoing

__all__ = ["ContentWriter", "write_all"]

_CLONE_RANGE: Final = 0x4020_940D
"""``FICLONERANGE`` (Linux, ioctl_ficlonerange(2))."""
_RANGE: Final = struct.Struct("=qQQQ")
_PUNCH: Final = 0x4030_582B
"""``FS_IOC_UNRESVSP64`` (Linux 5.6 and later, on all file systems): makes a hole."""
_SPACE: Final = struct.Struct("=hh4xqqiI16x")
"""``struct space_resv``: type, whence, start, length, and what nobody uses."""

_NEVER: Final = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS, errno.EXDEV})
_NOT_THIS: Final = frozenset({errno.EINVAL, errno.EPERM, errno.ETXTBSY, errno.EBADF})
_PIECE: Final = 1 << 20
_BLOCK: Final = 4096
_LONGEST: Final = 64 << 20
"""What is copied before anybody may end it."""


@final
class ContentWriter:
    """Writes contents in one file system, whose abilities it learns."""

    def __init__(self, keep_going: KeepGoing) -> None:
        self._keep_going: Final = keep_going
        self._shares = True
        self.shared_bytes = 0
        """Bytes that take no room of their own."""

    def share(self, source: int, start: int, target: int, offset: int, length: int) -> None:
        """Give a range of a file what another one, or itself, has elsewhere.

        :raises OSError: the one cannot be read or the other not be written.
        """
        while length:
            self._keep_going()
            count = min(length, _LONGEST)
            if not (self._shares and self._clone(source, start, target, offset, count)):
                _copy(source, start, target, offset, count)
            start, offset, length = start + count, offset + count, length - count

    def empty(self, target: int, offset: int, length: int) -> None:
        """Make a hole, or zeros where there are no holes.

        :raises OSError: the file cannot be written.
        """
        end = os.fstat(target).st_size
        length = min(length, end - offset)
        if length <= 0:
            return
        try:
            # The end of a file may be in a block, all of which is to go.
            beyond = -end % _BLOCK if offset + length == end else 0
            _punch(target, offset, length + beyond)
        except OSError as error:
            if error.errno not in _NEVER:
                raise
            zeros = bytes(min(length, _PIECE))
            for at in range(offset, offset + length, _PIECE):
                write_all(target, memoryview(zeros)[: offset + length - at], at)

    def _clone(self, source: int, start: int, target: int, offset: int, length: int) -> bool:
        try:
            fcntl.ioctl(target, _CLONE_RANGE, _RANGE.pack(source, start, length, offset))
        except OSError as error:
            if error.errno in _NEVER:
                self._shares = False
            elif error.errno not in _NOT_THIS:
                raise
            return False
        self.shared_bytes += length
        return True


def write_all(target: int, data: bytes | memoryview, offset: int) -> None:
    """Write all bytes at a place of an open file.

    :raises OSError: they cannot be written.
    """
    done = os.pwrite(target, data, offset)
    rest = memoryview(data)
    while done < len(rest):
        rest, offset = rest[done:], offset + done
        done = os.pwrite(target, rest, offset)


def _copy(source: int, start: int, target: int, offset: int, length: int) -> None:
    """Copy a range; :raises OSError: it cannot be read, written, or is not there."""
    while length:
        piece = os.pread(source, min(length, _PIECE), start)
        if not piece:
            raise OSError(errno.ENODATA, os.strerror(errno.ENODATA))
        write_all(target, piece, offset)
        start, offset, length = start + len(piece), offset + len(piece), length - len(piece)


def _punch(target: int, offset: int, length: int) -> None:
    fcntl.ioctl(target, _PUNCH, _SPACE.pack(0, os.SEEK_SET, offset, length, 0, 0))
