"""A connected socket that one thread uses and any thread may break.

The socket never blocks in the kernel: a call that cannot go on waits in
``poll`` for the socket or for a wake-up descriptor, so that breaking needs
no ``shutdown``. That matters, because ``shutdown`` sends the same FIN as a
clean end, and the other side would take half a stream for a whole one; a
broken connection is reset instead. The one rule: both descriptors are
closed by the last call that leaves, never under a running one, since their
numbers are reused at once.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import select
import socket
import struct
import termios

# The data path is threads by design: a lock is what makes "the last call
# that leaves" true. No other module of the TCP kind needs one.
import threading  # noqa: TID251
from typing import TYPE_CHECKING, Final, Protocol, final

from tapekit.segments import ConnectionBroken

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["GuardedSocket", "StreamSocket"]

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
"""``struct linger``: on, 0 seconds. Closing then sends a reset and drops
what was not sent."""

_LONGEST_CHECK_MS: Final = 250
_SCRATCH_BYTES: Final = 4096


class StreamSocket(Protocol):
    """What a guarded socket needs of a socket, which may have a layer of its
    own between the bytes and the network.

    The calls are those of :class:`socket.socket`, none of which waits. Where
    one cannot go on it raises BlockingIOError and is made again once the
    descriptor is writable (``sendmsg``, ``shutdown``) or readable. With
    ``recv`` another thread may come in between.
    """

    def fileno(self) -> int:
        """The descriptor, for ``poll``."""
        ...

    def setblocking(self, flag: bool, /) -> None:
        """Called with ``False``, once."""
        ...

    def setsockopt(self, level: int, option: int, value: bytes, /) -> None:
        """As of the socket."""
        ...

    def sendmsg(self, buffers: Sequence[memoryview], /) -> int:
        """Send some of the bytes, at least one; made again with the same."""
        ...

    def recv_into(self, buffer: bytearray | memoryview, /) -> int:
        """Receive some bytes; 0 at the end that the other side has told."""
        ...

    def recv(self, count: int, /) -> bytes:
        """The same, into bytes of its own."""
        ...

    def shutdown(self, how: int, /) -> None:
        """Tell the other side that nothing more will be sent."""
        ...

    def close(self) -> None:
        """Let the descriptor go, without a word."""
        ...


@final
class GuardedSocket:
    """Owns ``connected`` from here on, and makes it non-blocking.

    :raises OSError: no descriptor is left; the socket is then closed.
    """

    def __init__(self, connected: StreamSocket) -> None:
        self._socket: Final = connected
        self._lock: Final = threading.Lock()
        self._users = 0
        self._is_ended = False
        self._resets = False
        try:
            connected.setblocking(False)
            self._wake: Final = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        except OSError:
            connected.close()
            raise
        self._writable: Final = self._poll_for(select.POLLOUT)
        self._readable: Final = self._poll_for(select.POLLIN)

    @property
    def is_ended(self) -> bool:
        """Whether nothing can be sent or received any more."""
        return self._is_ended

    def send(self, views: Sequence[memoryview]) -> int:
        """Send some of the bytes, at least one, waiting for room.

        :raises ConnectionBroken: the other side broke off, or this one ended.
        """
        with self._in_use():
            while True:
                try:
                    return self._socket.sendmsg(views)
                except BlockingIOError:
                    self._wait(self._writable)

    def send_file(self, fd: int, offset: int, count: int) -> int:
        """Send some bytes of a file inside the kernel; 0 beyond its end.

        :raises ConnectionBroken: this side ended.
        :raises OSError: the file cannot be sent this way, or the other side
            broke off: sending the bytes from memory tells which.
        """
        with self._in_use(translate=False):
            while True:
                try:
                    return os.sendfile(self._socket.fileno(), fd, offset, count)
                except BlockingIOError:
                    self._wait(self._writable)

    def receive_into(self, view: memoryview) -> int:
        """Receive what is there, waiting for it; 0 at the clean end.

        :raises ConnectionBroken: the other side broke off, or this one ended.
        """
        with self._in_use():
            while True:
                try:
                    return self._socket.recv_into(view)
                except BlockingIOError:
                    self._wait(self._readable)

    def has_peer_left(self) -> bool:
        """Whether nothing can come from the other side any more.

        For a socket that is only sent on: what comes is dropped, and an end
        of what comes is the end of the connection. Never waits, and leaves
        the polls to the one thread that uses the socket.
        """
        try:
            with self._in_use():
                return not self._socket.recv(_SCRATCH_BYTES)
        except ConnectionBroken as broken:
            return not isinstance(broken.__cause__, BlockingIOError)

    def finish(self) -> None:
        """End the sending direction and wait until all of it has arrived.

        It has when the other side closes, or when its kernel has
        acknowledged everything up to the end; a peer that keeps its own
        side open must not keep us. What it sends is dropped.

        :raises ConnectionBroken: the other side broke off before.
        """
        with self._in_use():
            self._tell_end()
            patience_ms = 1
            while not (self._has_peer_closed(patience_ms) or self._unacknowledged() == 0):
                patience_ms = min(2 * patience_ms, _LONGEST_CHECK_MS)

    def end(self, *, reset: bool) -> None:
        """Wake whoever waits and close, with a reset or without; the first
        call decides. Callable from any thread, any number of times.
        """
        with self._lock:
            if self._is_ended:
                return
            self._is_ended, self._resets = True, reset
            if self._users:
                os.eventfd_write(self._wake, 1)
            else:
                self._close()

    @contextlib.contextmanager
    def _in_use(self, *, translate: bool = True) -> Iterator[None]:
        """Keep both descriptors open, and turn a socket's errors into a break."""
        with self._lock:
            if self._is_ended:
                raise ConnectionBroken
            self._users += 1
        try:
            yield
        except OSError as error:
            if not translate:
                raise
            raise ConnectionBroken(str(error)) from error
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._is_ended and not self._users:
                self._close()

    def _close(self) -> None:
        try:
            if self._resets:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        finally:
            self._socket.close()
            os.close(self._wake)

    def _tell_end(self) -> None:
        while True:
            try:
                return self._socket.shutdown(socket.SHUT_WR)
            except BlockingIOError:
                self._wait(self._writable)

    def _poll_for(self, event: int) -> select.poll:
        poll = select.poll()
        poll.register(self._socket, event)
        poll.register(self._wake, select.POLLIN)
        return poll

    def _wait(self, poll: select.poll, limit_ms: int | None = None) -> bool:
        """Whether the socket became ready within the limit."""
        is_ready = bool(poll.poll(limit_ms))
        if self._is_ended:
            raise ConnectionBroken
        return is_ready

    def _has_peer_closed(self, limit_ms: int) -> bool:
        scratch = bytearray(_SCRATCH_BYTES)
        while self._wait(self._readable, limit_ms):
            if not self._socket.recv_into(scratch):
                return True
        return False

    def _unacknowledged(self) -> int:
        """Bytes that the peer's kernel has not confirmed, the end counted as
        one (Linux, SIOCOUTQ, which has the number of TIOCOUTQ).
        """
        count = array.array("i", [0])
        fcntl.ioctl(self._socket, termios.TIOCOUTQ, count)
        return count[0]
