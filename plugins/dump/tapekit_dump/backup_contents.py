"""Phase IV, files that are large or have holes.

Content goes span by span: a header, then its runs of data, long ones as
extents that leave unread and short ones through the ring buffer. A file that
became shorter is filled up with zeros, one that grew is cut, both to the
size that its header has promised. The one rule: the descriptor given here is
closed here, and not before the last extent of it has been used.
"""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias, final

from tapekit_dump.backup_report import readable
from tapekit_dump.contents import data_runs, spans
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.headers import RUNS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapekit_dump.backup_report import BackupReport
    from tapekit_dump.backup_stream import ObjectStream
    from tapekit_dump.headers import Inode

__all__ = ["ContentWriter", "may_have_holes", "read_fully"]

_BLOCK_BYTES: Final = 512
"""The unit of ``st_blocks``, whatever the file system's own is."""


def read_fully(fd: int, into: memoryview, offset: int) -> int:
    """Read until ``into`` is full or the file ends; gives the bytes read.

    :raises OSError: the file cannot be read.
    """
    done = 0
    while done < len(into):
        count = os.preadv(fd, [into[done:]], offset + done)
        if count == 0:
            break
        done += count
    return done


def may_have_holes(fd: int, status: os.stat_result) -> bool:
    """Whether fewer blocks are in use than the size takes, or there is a hole
    all the same: blocks of attributes and those behind the end count too.
    """
    size = status.st_size
    if status.st_blocks * _BLOCK_BYTES < size:
        return True
    try:
        return size > 0 and os.lseek(fd, 0, os.SEEK_HOLE) < size
    except OSError:
        return False


@final
class _OpenFile:
    """The file being written, and what has become of it."""

    def __init__(self, fd: int, size: int, path: bytes, unread: deque[_Unread]) -> None:
        """:param unread: takes the file and why one of its extents could not be read."""
        self.fd: Final = fd
        self.size: Final = size
        self.path: Final = path
        self.has_extents = False
        self.is_reported = False
        self._unread: Final = unread

    def lost(self, _offset: int, _length: int, error: OSError) -> None:
        """See :class:`tapekit.segments.Extent`; from the thread that reads."""
        self._unread.append((self, error))


_Unread: TypeAlias = tuple[_OpenFile, OSError]


@final
class ContentWriter:
    """Writes the headers and the content of one file after another."""

    def __init__(self, stream: ObjectStream, report: BackupReport, extent_bytes: int) -> None:
        self._stream: Final = stream
        self._report: Final = report
        self._extent_bytes: Final = extent_bytes
        self._unread: Final[deque[_Unread]] = deque()
        """What somebody met who read extents, and :meth:`tell` has to tell."""
        self._has_extents = False

    def write(
        self, fd: int, number: int, inode: Inode, status: os.stat_result, path: bytes
    ) -> None:
        """Append a regular file, and close it.

        :raises ConnectionBroken: the stream's other end broke off.
        """
        file = _OpenFile(fd, status.st_size, path, self._unread)
        try:
            self._write_spans(file, number, inode, has_holes=may_have_holes(fd, status))
            self._look_again(file)
        finally:
            if file.has_extents:
                self._stream.writer.close_when_used(fd)
                self._has_extents = True
            else:
                os.close(fd)

    def settle(self) -> None:
        """Wait until all extents have been read, and report those that could
        not be.

        :raises ConnectionBroken: the stream's other end broke off.
        """
        if self._has_extents:
            self._stream.writer.drain()
        self.tell()

    def tell(self) -> None:
        """Report the extents that could not be read so far: a restarted backup
        does not meet them again.
        """
        while self._unread:
            self._unreadable(*self._unread.popleft())

    def _write_spans(self, file: _OpenFile, number: int, inode: Inode, *, has_holes: bool) -> None:
        stream = self._stream
        runs = self._runs(file) if has_holes else None
        template = stream.packer.inode
        for span in spans(file.size, runs):
            stream.header(template, number, inode, file.size, span.run)
            for offset, length in span.data:
                self._write_run(file, offset, length)
            stream.mark()
            template = stream.packer.addr
        if not file.size:
            stream.header(template, number, inode, 0, RUNS[0])

    def _runs(self, file: _OpenFile) -> Iterator[tuple[int, int]]:
        """Runs of data, ending early where the file can no longer be searched."""
        try:
            yield from data_runs(file.fd, file.size)
        except OSError as error:
            self._unreadable(file, error)

    def _write_run(self, file: _OpenFile, offset: int, length: int) -> None:
        """Append data of which the last record may reach beyond the end."""
        writer = self._stream.writer
        inside = min(length, file.size - offset)
        if inside >= self._extent_bytes:
            file.has_extents = True
            writer.extent(file.fd, offset, inside, file.lost)
        else:
            self._read_in(file, offset, inside)
        writer.write(bytes(length - inside))

    def _read_in(self, file: _OpenFile, offset: int, length: int) -> None:
        writer = self._stream.writer
        while length:
            if not writer.room:
                writer.turn()
            here = min(length, writer.room)
            self._fill(file, writer.buffer[writer.end : writer.end + here], offset)
            writer.end += here
            offset += here
            length -= here

    def _fill(self, file: _OpenFile, view: memoryview, offset: int) -> None:
        """Read, with zeros for what cannot be had."""
        done = 0
        try:
            done = read_fully(file.fd, view, offset)
        except OSError as error:
            self._unreadable(file, error)
        if done < len(view):
            view[done:] = bytes(len(view) - done)

    def _unreadable(self, file: _OpenFile, error: OSError) -> None:
        if not file.is_reported:
            file.is_reported = True
            self._report.lose(
                CATALOGUE.error(
                    "content-unreadable",
                    path=readable(file.path),
                    reason=error.strerror or error,
                )
            )

    def _look_again(self, file: _OpenFile) -> None:
        """See whether the file still has what its header promised."""
        try:
            size = os.fstat(file.fd).st_size
        except OSError as error:
            self._unreadable(file, error)
            return
        if size < file.size and not file.is_reported:
            self._report.lose(CATALOGUE.error("file-shrank", path=readable(file.path)))
