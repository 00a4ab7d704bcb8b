"""Control connections on TCP.

All addresses are bound before the first connection is accepted, so that a
server either listens everywhere or does not start. Each connection is a
task of its own with its own end. The one rule: whatever a handler raises
ends its connection and no other.
"""

from __future__ import annotations

import errno
import functools
import ipaddress
import logging
import socket
from typing import TYPE_CHECKING, Final, final

import trio

from tapekit.hookspecs.transport import Endpoint
from tapekit_transport_tcp.addresses import listen_endpoints
from tapekit_transport_tcp.errors import CATALOGUE
from tapekit_transport_tcp.socket_options import set_options

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from tapekit.errors import TapekitError
    from tapekit.hookspecs.transport import ControlStream
    from tapekit_transport_tcp.settings import TransportTcpSettings

__all__ = ["TcpControlStream", "TcpControlTransport", "endpoints_of"]

_LOG: Final = logging.getLogger("tapekit.transport_tcp")


@final
class TcpControlStream:
    """One control connection.

    :raises OSError: the peer has gone already.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream: Final = stream
        self._local: Final = _endpoint(stream.socket.getsockname())
        self._peer: Final = _endpoint(stream.socket.getpeername())

    @property
    def byte_stream(self) -> trio.SocketStream:
        """What carries the bytes, for a transport that wraps them."""
        return self._stream

    @property
    def local(self) -> Endpoint:
        """Our address on this connection."""
        return self._local

    @property
    def peer(self) -> Endpoint:
        """The client's address."""
        return self._peer

    @property
    def is_private(self) -> bool:
        """Whether the bytes stay on this machine."""
        return ipaddress.ip_address(self._peer.host).is_loopback

    @property
    def svms(self) -> frozenset[str]:
        """All: the standard service is not limited."""
        return frozenset()

    async def receive_some(self) -> bytes:
        """See :meth:`ControlStream.receive_some`."""
        return bytes(await self._stream.receive_some())

    async def send_all(self, data: bytes) -> None:
        """See :meth:`ControlStream.send_all`."""
        await self._stream.send_all(data)

    async def aclose(self) -> None:
        """See :meth:`ControlStream.aclose`; any number of times."""
        await self._stream.aclose()


@final
class TcpControlTransport:
    """Listens on the addresses of the setting ``listen``.

    :param owner: the plugin whose setting it is, for what operators read.
    """

    def __init__(self, settings: TransportTcpSettings, owner: str = "transport_tcp") -> None:
        self._settings: Final = settings
        self._owner: Final = owner

    @property
    def name(self) -> str:
        """Name in listings and logs."""
        return "tcp"

    async def serve(
        self,
        handler: Callable[[ControlStream], Awaitable[None]],
        task_status: trio.TaskStatus[Sequence[Endpoint]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """See :meth:`ControlTransport.serve`."""
        listeners = await self.open_listeners()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.accept, handler, listeners, nursery)
            task_status.started(endpoints_of(listeners))

    async def accept(
        self,
        handler: Callable[[ControlStream], Awaitable[None]],
        listeners: list[trio.SocketListener],
        sessions: trio.Nursery,
    ) -> None:
        """Accept connections until cancelled, then close the listeners; those
        that have been accepted live on in ``sessions``.
        """
        handle = functools.partial(self._handle, handler)
        await trio.serve_listeners(handle, listeners, handler_nursery=sessions)

    async def open_listeners(self) -> list[trio.SocketListener]:
        """Listen on all addresses.

        :raises TapekitError: one of them cannot be bound; none is then.
        """
        listeners: list[trio.SocketListener] = []
        try:
            for endpoint in listen_endpoints(self._settings.listen):
                listeners += await self._listen_on(endpoint)
        except BaseException:
            for listener in listeners:
                listener.socket.close()
            raise
        return listeners

    async def _listen_on(self, endpoint: Endpoint) -> list[trio.SocketListener]:
        try:
            return await trio.open_tcp_listeners(
                endpoint.port, host=endpoint.host, backlog=self._settings.backlog
            )
        except OSError as error:
            raise _bind_error(endpoint, error, self._owner) from error

    async def _handle(
        self, handler: Callable[[ControlStream], Awaitable[None]], stream: trio.SocketStream
    ) -> None:
        try:
            set_options(stream.socket, self._settings)
            control = TcpControlStream(stream)
        except OSError as error:
            _LOG.info("a client left before it was served: %s", error)
            return
        try:
            await handler(control)
        except* Exception:  # noqa: BLE001 - the rule of this module
            _LOG.exception("control connection from %s: closed after an error", control.peer)


def _bind_error(endpoint: Endpoint, error: OSError, owner: str) -> TapekitError:
    """Tell apart what an administrator can act on."""
    reason = error.strerror
    if isinstance(error, socket.gaierror):
        return CATALOGUE.error("host-not-found", address=endpoint, reason=reason, owner=owner)
    match error.errno:
        case errno.EADDRINUSE:
            return CATALOGUE.error("address-in-use", address=endpoint, owner=owner)
        case errno.EACCES | errno.EPERM:
            return CATALOGUE.error("port-not-permitted", address=endpoint, owner=owner)
        case errno.EADDRNOTAVAIL:
            return CATALOGUE.error("address-not-here", address=endpoint, owner=owner)
        case _:
            return CATALOGUE.error("cannot-listen", address=endpoint, reason=reason, owner=owner)


def endpoints_of(listeners: Sequence[trio.SocketListener]) -> list[Endpoint]:
    """Where listeners listen."""
    return [_endpoint(listener.socket.getsockname()) for listener in listeners]


def _endpoint(address: tuple[str, int]) -> Endpoint:
    return Endpoint(address[0], address[1])
