"""A socket with TLS in it, for the threads of a data connection.

It does what a plain socket does for :class:`GuardedSocket`, which waits,
breaks and ends: bytes leave in full records however small the pieces are, and
come as far as they are there. The end of a stream is told inside TLS, so an
end of the TCP connection alone is an error. The one rule: no two threads are
in OpenSSL with one connection at a time.
"""

from __future__ import annotations

import contextlib
import ssl

# One thread moves the bytes, and another may look whether the peer is there.
import threading  # noqa: TID251
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["TlsSocket"]

_RECORD_BYTES: Final = 16384
"""What a record of TLS carries at most (RFC 8446, section 5.1)."""


@final
class TlsSocket:
    """Owns ``secure``, whose handshake is done, from here on.

    See :class:`tapekit_transport_tcp.guarded_socket.StreamSocket`. With TLS
    1.3 and without renegotiation, sending never waits for bytes to come and
    receiving never for room; a peer that brings that about is broken off.

    :param secure: does not take an end without a farewell for the end.
    """

    def __init__(self, secure: ssl.SSLSocket) -> None:
        self._secure: Final = secure
        self._lock: Final = threading.Lock()

    def fileno(self) -> int:
        """The descriptor."""
        return self._secure.fileno()

    def setblocking(self, flag: bool, /) -> None:
        """As of the socket."""
        self._secure.setblocking(flag)

    def setsockopt(self, level: int, option: int, value: bytes, /) -> None:
        """As of the socket."""
        self._secure.setsockopt(level, option, value)

    def sendmsg(self, buffers: Sequence[memoryview], /) -> int:
        """Send as many records as there is room for, at least one."""
        sent = 0
        with self._lock:
            for record in _records(buffers):
                try:
                    sent += self._secure.send(record)
                except ssl.SSLWantWriteError:
                    # OpenSSL wants the same record again, and is given it:
                    # it begins where what was sent ends.
                    if sent:
                        break
                    raise BlockingIOError from None
        return sent

    def recv_into(self, buffer: bytearray | memoryview, /) -> int:
        """Receive what is there; 0 at the end that the peer has told."""
        got, view = 0, memoryview(buffer)
        with self._lock:
            while got < len(view):
                try:
                    count = self._secure.recv_into(view[got:])
                except ssl.SSLWantReadError:
                    if got:
                        break
                    raise BlockingIOError from None
                if not count:
                    break
                got += count
        return got

    def recv(self, count: int, /) -> bytes:
        """Receive some bytes; none at the end that the peer has told."""
        with self._lock:
            try:
                return self._secure.recv(count)
            except ssl.SSLWantReadError:
                raise BlockingIOError from None

    def shutdown(self, how: int, /) -> None:
        """Tell the end inside TLS, and then as TCP does.

        The peer owes no farewell in return: it may have closed at once, and
        whether everything has arrived is seen from TCP.
        """
        with self._lock:
            try:
                # For OpenSSL the peer's farewell belongs to it.
                with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLEOFError):
                    self._secure.unwrap()
            except ssl.SSLWantWriteError:
                raise BlockingIOError from None
            self._secure.shutdown(how)

    def close(self) -> None:
        """Let the descriptor go, without a farewell."""
        self._secure.close()


def _records(buffers: Sequence[memoryview]) -> Iterator[memoryview | bytes]:
    """Cut buffers into what goes into a record each. How they are cut
    depends on nothing that comes before, so that a record can be repeated.
    """
    gathered = bytearray()
    for buffer in buffers:
        start = 0
        while start < len(buffer):
            piece = buffer[start : start + _RECORD_BYTES - len(gathered)]
            start += len(piece)
            if len(piece) == _RECORD_BYTES:
                yield piece
                continue
            gathered += piece
            if len(gathered) == _RECORD_BYTES:
                yield bytes(gathered)
                gathered.clear()
    if gathered:
        yield bytes(gathered)
