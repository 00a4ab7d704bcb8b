"""What goes into the socket of a TCP data connection and comes out of it.

The sender sends what is in memory from where it lies and reads extents into
one buffer of its own, so that a header and the file behind it leave in one
call. The source receives into buffers of 1 MiB and cuts batches out of
them, so that a reader that keeps many small batches keeps little memory.
The one rule: once a byte that was promised could not be sent, the
connection is reset, for the other end cannot know what is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.segments import BUFFER_BYTES, Batch, Extent, pread_exactly
from tapekit_transport_tcp.errors import CATALOGUE

if TYPE_CHECKING:
    from tapekit_transport_tcp.guarded_socket import GuardedSocket

__all__ = ["TcpSender", "TcpSource"]

_MOST_VIEWS: Final = 512
"""Views of one ``sendmsg``; Linux takes 1024 (IOV_MAX)."""

_LEAST_ROOM: Final = 64 * 1024
"""Below this much room a source takes another buffer rather than receive
in crumbs."""


@final
class TcpSender:
    """Sends batches, from one thread."""

    def __init__(self, connected: GuardedSocket, *, by_sendfile: bool) -> None:
        self._socket: Final = connected
        self._by_sendfile: Final = by_sendfile
        self._views: Final[list[memoryview]] = []
        self._scratch: memoryview | None = None
        self._scratch_end = 0

    def send(self, batch: Batch) -> None:
        """Send a batch; returns when everything is with the kernel.

        :raises ConnectionBroken: the connection was aborted, or the other end broke off.
        :raises TapekitError: a file could not be read; the connection is
            then reset.
        """
        try:
            for piece in batch.pieces:
                if isinstance(piece, Extent):
                    self._add_extent(piece)
                else:
                    self._add_view(piece)
            self._flush()
        except BaseException:
            self._socket.end(reset=True)
            raise

    def finish(self) -> None:
        """End the stream; returns when everything has arrived.

        :raises ConnectionBroken: the other end broke off before the end.
        """
        self._socket.finish()

    def _add_view(self, view: memoryview) -> None:
        if not len(view):
            return
        self._views.append(view)
        if len(self._views) == _MOST_VIEWS:
            self._flush()

    def _add_extent(self, extent: Extent) -> None:
        sent = self._send_file(extent) if self._by_sendfile else 0
        while sent < extent.length:
            if self._scratch_end == BUFFER_BYTES:
                self._flush()
            count = min(extent.length - sent, BUFFER_BYTES - self._scratch_end)
            self._read(extent.part(sent, sent + count))
            sent += count

    def _read(self, extent: Extent) -> None:
        """Queue an extent that the scratch buffer has room for."""
        if self._scratch is None:
            self._scratch = memoryview(bytearray(BUFFER_BYTES))
        view = self._scratch[self._scratch_end : self._scratch_end + extent.length]
        try:
            pread_exactly(extent, view)
        except OSError as error:
            raise CATALOGUE.error(
                "file-unreadable",
                offset=extent.offset,
                length=extent.length,
                reason=error.strerror,
            ) from error
        self._scratch_end += extent.length
        self._add_view(view)

    def _send_file(self, extent: Extent) -> int:
        """Send an extent inside the kernel; how much of it that was.

        Whatever stops it (a file system without sendfile, a file that ends
        early, an I/O error) shows again when the rest is read, and is told
        there.
        """
        self._flush()
        sent = 0
        while sent < extent.length:
            try:
                count = self._socket.send_file(
                    extent.fd, extent.offset + sent, extent.length - sent
                )
            except OSError:
                return sent
            if not count:
                return sent
            sent += count
        return sent

    def _flush(self) -> None:
        views = self._views
        while views:
            sent = self._socket.send(views)
            done = 0
            while done < len(views) and sent >= len(views[done]):
                sent -= len(views[done])
                done += 1
            del views[:done]
            if sent:
                views[0] = views[0][sent:]
        self._scratch_end = 0


class _Buffer:
    """A buffer of a source: filled from the front, lent out in cuts."""

    __slots__ = ("end", "lent", "view")

    def __init__(self) -> None:
        self.view: Final = memoryview(bytearray(BUFFER_BYTES))
        self.end = 0
        # The reading thread adds and any thread discards: both are single
        # steps of the interpreter, and only the reader asks whether it is empty.
        self.lent: Final[set[int]] = set()


@final
class TcpSource:
    """Receives a stream. ``buffers`` is how many free buffers it keeps.

    A reader that holds batches gets further buffers, so it never waits for
    itself.
    """

    def __init__(self, connected: GuardedSocket, buffers: int) -> None:
        self._socket: Final = connected
        self._keeps: Final = buffers
        self._current = _Buffer()
        self._aside: list[_Buffer] = []
        self._batches = 0
        self._is_at_end = False

    def get(self) -> Batch | None:
        """See :meth:`DataSource.get`."""
        if self._is_at_end:
            return None
        buffer = self._buffer_with_room()
        start = buffer.end
        count = self._socket.receive_into(buffer.view[start:])
        if not count:
            self._is_at_end = True
            return None
        buffer.end += count
        return self._cut(buffer, start)

    def _cut(self, buffer: _Buffer, start: int) -> Batch:
        self._batches += 1
        number = self._batches
        buffer.lent.add(number)
        piece = buffer.view[start : buffer.end]
        return Batch((piece,), len(piece), lambda: buffer.lent.discard(number))

    def _buffer_with_room(self) -> _Buffer:
        current = self._current
        if not current.lent:
            current.end = 0
        elif BUFFER_BYTES - current.end < _LEAST_ROOM:
            current = self._free_buffer()
        return current

    def _free_buffer(self) -> _Buffer:
        """Make another buffer the current one, and set the old one aside."""
        aside = [*self._aside, self._current]
        free = [buffer for buffer in aside if not buffer.lent]
        self._current = free.pop() if free else _Buffer()
        self._current.end = 0
        self._aside = [buffer for buffer in aside if buffer.lent] + free[: self._keeps]
        return self._current
