"""Writing and reading a stream as batches, for engines.

:class:`StreamWriter` fills ring buffers and slips extents of large files in
between; :class:`StreamReader` gives bytes back, in views without a copy
where it can, and moves long runs to files inside the kernel. Both are for
one thread and keep one rule: a batch is released once nothing points into it.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Final, final

from tapekit.segments import (
    BUFFER_BYTES,
    Batch,
    DataSink,
    DataSource,
    Extent,
    Piece,
    pread_exactly,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["EndOfStream", "StreamReader", "StreamWriter"]

_BATCH_BYTES: Final = 8 * BUFFER_BYTES
"""Extents join a batch up to this much, so that a large file costs a
hand-over every 8 MiB and the other end still starts early."""

_COPY_IN_KERNEL_FROM: Final = 128 * 1024
"""Shorter runs are cheaper through memory, since their headers are read
along with them."""

_LEAST_READ_BYTES: Final = 1024
"""What is read at once behind a long run: the header that stands there, and
nothing of the next run. Each further read takes twice as much."""

_NO_COPY_RANGE: Final = frozenset(
    {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.ETXTBSY}
)


class EndOfStream(Exception):
    """The stream ended in the middle of what was asked for."""


@final
class StreamWriter:
    """Builds batches for a sink.

    The inner loop of an engine works on :attr:`buffer` directly: it puts
    bytes at :attr:`end`, moves :attr:`end`, and calls :meth:`turn` when no
    room is left.
    """

    def __init__(self, sink: DataSink, position: int = 0) -> None:
        """:param position: bytes of the stream that are there already."""
        self._sink: Final = sink
        self.buffer: memoryview = sink.acquire()
        self.end = 0
        self._start = 0
        self._pieces: list[Piece] = []
        self._pending = 0
        self._handed_over = position
        self._close: list[int] = []

    @property
    def position(self) -> int:
        """Bytes of the stream so far."""
        return self._handed_over + self._pending + self.end - self._start

    @property
    def room(self) -> int:
        """Free bytes in the buffer."""
        return len(self.buffer) - self.end

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes of any length."""
        rest = memoryview(data)
        while rest:
            count = min(self.room, len(rest))
            self.buffer[self.end : self.end + count] = rest[:count]
            self.end += count
            rest = rest[count:]
            if not self.room:
                self.turn()

    def extent(
        self,
        fd: int,
        offset: int,
        length: int,
        lost: Callable[[int, int, OSError], None] | None = None,
    ) -> None:
        """Append bytes of a file without reading them.

        ``fd`` must stay open until :meth:`close_when_used`; ``lost`` is that
        of :class:`Extent`.
        """
        self._cut()
        self._pieces.append(Extent(fd, offset, length, lost))
        self._pending += length
        if self._pending >= _BATCH_BYTES or not self.room:
            self.turn()

    def close_when_used(self, fd: int) -> None:
        """Close ``fd`` once everything appended so far has been used."""
        self._close.append(fd)

    def turn(self) -> None:
        """Hand over what is there and take a free buffer."""
        self._hand_over()
        self.buffer = self._sink.acquire()

    def drain(self) -> None:
        """Hand over what is there and wait until it has been used.

        :raises ConnectionBroken: the other end broke off.
        """
        self.turn()
        self._sink.drain()

    def finish(self) -> None:
        """Hand over the rest and end the stream."""
        self._hand_over()
        self._sink.finish()

    def abandon(self) -> None:
        """Close what would have been closed after use; nothing is sent."""
        close, self._close = self._close, []
        _close_all(close)

    def _cut(self) -> None:
        if self.end > self._start:
            self._pieces.append(self.buffer[self._start : self.end])
            self._pending += self.end - self._start
            self._start = self.end

    def _hand_over(self) -> None:
        self._cut()
        pieces, self._pieces = self._pieces, []
        length, self._pending = self._pending, 0
        close, self._close = self._close, []
        buffer, sink = self.buffer, self._sink
        self.end = self._start = 0
        self._handed_over += length

        def release() -> None:
            _close_all(close)
            sink.recycle(buffer)

        sink.put(Batch(pieces, length, release))


def _close_all(descriptors: list[int]) -> None:
    for fd in descriptors:
        with contextlib.suppress(OSError):
            os.close(fd)


@final
class StreamReader:
    """Takes batches from a source and gives their bytes in order."""

    def __init__(self, source: DataSource) -> None:
        self._source: Final = source
        self._batch: Batch | None = None
        self._pieces: Iterator[Piece] = iter(())
        self._view = memoryview(b"")
        self._at = 0
        self._extent: Extent | None = None
        self._scratch: Final = memoryview(bytearray(BUFFER_BYTES))
        self._read_ahead = BUFFER_BYTES
        self.position = 0

    def take(self, count: int) -> memoryview:
        """The next ``count`` bytes, valid until the next call.

        :raises EndOfStream: there are fewer; those left are gone.
        :raises ConnectionBroken: the other end broke off.
        """
        at = self._at
        if len(self._view) - at >= count:
            self._at = at + count
            self.position += count
            return self._view[at : at + count]
        joined = bytearray()
        while len(joined) < count:
            if self._at == len(self._view) and not self._next_view():
                self.position += len(joined)
                raise EndOfStream
            part = self._view[self._at : self._at + count - len(joined)]
            joined += part
            self._at += len(part)
        self.position += count
        return memoryview(joined)

    def skip(self, count: int) -> None:
        """Pass over bytes, without reading those of extents.

        :raises EndOfStream: there are fewer.
        """
        while count:
            here = min(len(self._view) - self._at, count)
            self._at += here
            self.position += here
            count -= here
            if count and self._extent is not None:
                here = min(self._extent.length, count)
                self._advance_extent(here)
                count -= here
            elif count and not self._next_piece():
                raise EndOfStream

    def copy_to(self, fd: int, offset: int, count: int) -> None:
        """Write the next ``count`` bytes to ``fd`` at ``offset``.

        :raises EndOfStream: there are fewer; those that came are written.
        :raises OSError: the file cannot be written.
        """
        if count >= _COPY_IN_KERNEL_FROM:
            # Long runs tend to follow each other, and what has been read
            # along with a header can no longer be copied in the kernel.
            self._read_ahead = _LEAST_READ_BYTES
        while count:
            here = min(len(self._view) - self._at, count)
            if here:
                _pwrite_all(fd, self._view[self._at : self._at + here], offset)
                self._at += here
                self.position += here
            elif self._extent is not None and count >= _COPY_IN_KERNEL_FROM:
                here = self._copy_extent(fd, offset, min(count, self._extent.length))
            elif not self._next_view():
                raise EndOfStream
            offset += here
            count -= here

    def close(self) -> None:
        """Release the batch in hand."""
        self._view = memoryview(b"")
        self._at = 0
        self._extent = None
        if self._batch is not None:
            self._batch.release()
            self._batch = None

    def _copy_extent(self, fd: int, offset: int, count: int) -> int:
        """Copy part of the extent inside the kernel; 0 if that is not possible."""
        extent = self._extent
        assert extent is not None
        try:
            done = os.copy_file_range(extent.fd, fd, count, extent.offset, offset)
        except OSError as error:
            if error.errno not in _NO_COPY_RANGE:
                raise
            done = 0
        if done == 0:
            # Not possible here, or the file is shorter than promised:
            # reading it gives its bytes, or zeros.
            self._load_extent(count)
            return 0
        self._advance_extent(done)
        return done

    def _advance_extent(self, count: int) -> None:
        extent = self._extent
        assert extent is not None
        self.position += count
        rest = extent.length - count
        self._extent = extent.part(count, extent.length) if rest else None

    def _load_extent(self, count: int) -> None:
        """Read up to ``count`` bytes of the extent, and make them the view."""
        extent = self._extent
        assert extent is not None
        here = min(extent.length, count, len(self._scratch))
        pread_exactly(extent.part(0, here), self._scratch)
        self._view = self._scratch[:here]
        self._at = 0
        rest = extent.length - here
        self._extent = extent.part(here, extent.length) if rest else None

    def _next_view(self) -> bool:
        """Make the next bytes available in memory; false at the end."""
        while True:
            if self._extent is not None:
                self._load_extent(self._read_ahead)
                self._read_ahead = min(2 * self._read_ahead, BUFFER_BYTES)
                return True
            if not self._next_piece():
                return False
            if self._at < len(self._view):
                return True

    def _next_piece(self) -> bool:
        """Step to the next piece, as a view or an extent; false at the end."""
        while True:
            piece = next(self._pieces, None)
            if piece is None:
                self.close()
                batch = self._source.get()
                if batch is None:
                    self._pieces = iter(())
                    return False
                self._batch = batch
                self._pieces = iter(batch.pieces)
            elif isinstance(piece, Extent):
                if piece.length:
                    self._view, self._at = memoryview(b""), 0
                    self._extent = piece
                    return True
            elif len(piece):
                self._view, self._at = piece, 0
                return True


def _pwrite_all(fd: int, data: memoryview, offset: int) -> None:
    while len(data):
        done = os.pwrite(fd, data, offset)
        data = data[done:]
        offset += done
