"""The far end of data connections whose session nobody recorded.

It connects or listens as that end did, takes whatever comes, and sends a
file, in the ranges that a data server asks for or from beginning to end to a
mover. The one rule: what it sends is the file that was given, never made up.
"""

from __future__ import annotations

import logging
import math
import os
from typing import Final, NamedTuple, final

import trio

from tapekit.hookspecs.transport import Endpoint

__all__ = ["Line", "StandIn"]

_LOG: Final = logging.getLogger("tapekit.ndmp_v4")

_CHUNK_BYTES: Final = 1 << 20


class _Range(NamedTuple):
    offset: int
    length: int


@final
class Line:
    """One data connection of the stand-in."""

    def __init__(self) -> None:
        self._asked, self.asked = trio.open_memory_channel[_Range](math.inf)

    def send(self, offset: int, length: int) -> None:
        """Send a range of the file, or what there is of it, after those asked for before."""
        self._asked.send_nowait(_Range(offset, length))


@final
class StandIn:
    """Makes the connections; they last as long as the nursery."""

    def __init__(self, nursery: trio.Nursery, stream: int | None) -> None:
        """:param stream: descriptor of the file that it sends; without one it
        can only take.
        """
        self._nursery: Final = nursery
        self._stream: Final = stream

    @property
    def can_send(self) -> bool:
        """Whether there is a file to send."""
        return self._stream is not None

    async def listen(self, host: str) -> tuple[Endpoint, Line]:
        """Wait for one connection on a port of our own.

        :param host: our address on the way to the server.
        """
        (listener,) = await trio.open_tcp_listeners(0, host=host)
        line = Line()

        async def accept() -> None:
            async with listener:
                connection = await listener.accept()
            await self._serve(connection, line)

        self._nursery.start_soon(accept)
        return Endpoint(host, listener.socket.getsockname()[1]), line

    async def connect(self, endpoint: Endpoint) -> Line:
        """Connect to a server that listens.

        :raises OSError: it does not.
        """
        line = Line()
        connection = await trio.open_tcp_stream(endpoint.host, endpoint.port)
        self._nursery.start_soon(self._serve, connection, line)
        return line

    async def _serve(self, connection: trio.SocketStream, line: Line) -> None:
        async with connection, trio.open_nursery() as nursery:
            nursery.start_soon(self._send, connection, line)
            await _take(connection)
            # One who has nothing more to say may still have to hear all there is.
            if not self.can_send:
                nursery.cancel_scope.cancel()

    async def _send(self, connection: trio.SocketStream, line: Line) -> None:
        """Send ranges; the end of the file is the end of the stream."""
        if self._stream is None:
            return
        try:
            async for asked in line.asked:
                if not await _sent(self._stream, asked, connection):
                    await connection.send_eof()
                    return
        except (OSError, trio.BrokenResourceError) as error:
            _LOG.warning("replay: the stream was broken off: %s", error)
            await trio.aclose_forcefully(connection)


async def _sent(file: int, asked: _Range, connection: trio.SocketStream) -> bool:
    """Send a range, and tell whether the file had all of it."""
    offset, left = asked
    while left:
        data = await trio.to_thread.run_sync(os.pread, file, min(left, _CHUNK_BYTES), offset)
        if not data:
            return False
        await connection.send_all(data)
        offset, left = offset + len(data), left - len(data)
    return True


async def _take(connection: trio.SocketStream) -> None:
    """Take what comes until the other end closes."""
    try:
        while await connection.receive_some(_CHUNK_BYTES):
            pass
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        _LOG.info("replay: a data connection ended: %s", error)
