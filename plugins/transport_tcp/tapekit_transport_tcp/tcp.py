"""Data connections over TCP: the kinds TCP and TCP_IPV6.

Listening, accepting and connecting happen in trio; a connection that stands
leaves trio and goes to a worker thread with its blocking ends. The two kinds
differ in nothing but the addresses, which are numeric, so that nothing here
waits for a name service. The one rule: from the system call that makes a
descriptor to the object that owns it there is no await, so that no
cancellation loses one.
"""

from __future__ import annotations

import errno
import logging
import socket
from typing import TYPE_CHECKING, Final, NamedTuple, final

import trio

from tapekit.hookspecs.transport import Endpoint
from tapekit_transport_tcp.errors import CATALOGUE
from tapekit_transport_tcp.families import IPV4, Family
from tapekit_transport_tcp.guarded_socket import GuardedSocket
from tapekit_transport_tcp.interfaces import own_address
from tapekit_transport_tcp.sending import TcpSink
from tapekit_transport_tcp.socket_options import set_options
from tapekit_transport_tcp.tcp_ends import TcpSender, TcpSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tapekit.hookspecs.transport import Credentials, DataConnection
    from tapekit_transport_tcp.guarded_socket import StreamSocket
    from tapekit_transport_tcp.settings import TransportTcpSettings

__all__ = ["TcpConnection", "TcpListener", "TcpPeer", "TcpTransport"]

_LOG: Final = logging.getLogger("tapekit.transport_tcp")
_ANY_PORT: Final = 0


@final
class TcpConnection:
    """A connected socket with its two blocking ends."""

    def __init__(
        self, connected: StreamSocket, peer: Endpoint, settings: TransportTcpSettings
    ) -> None:
        self._socket: Final = GuardedSocket(connected)
        self._peer: Final = peer
        self._settings: Final = settings
        self._sink: TcpSink | None = None
        self._source: TcpSource | None = None

    @property
    def peer(self) -> Endpoint | None:
        """The other side."""
        return self._peer

    def sink(self) -> TcpSink:
        """The writing end."""
        if self._sink is None:
            by_sendfile = self._settings.send_extents == "sendfile"
            sender = TcpSender(self._socket, by_sendfile=by_sendfile)
            self._sink = TcpSink(sender, self._settings.ring_buffers)
            if self._socket.is_ended:
                self._sink.abort()
        return self._sink

    def source(self) -> TcpSource:
        """The reading end."""
        if self._source is None:
            self._source = TcpSource(self._socket, self._settings.ring_buffers)
        return self._source

    def has_peer_left(self) -> bool:
        """See :meth:`DataConnection.has_peer_left`."""
        return self._socket.has_peer_left()

    def abort(self) -> None:
        """See :meth:`DataConnection.abort`; the other side sees a reset."""
        self._socket.end(reset=True)
        if self._sink is not None:
            self._sink.abort()

    def close(self) -> None:
        """See :meth:`DataConnection.close`.

        A stream that was begun and not finished is reset, never ended. A
        reader may leave early: what it did not take resets the writer.
        """
        self._socket.end(reset=self._sink is not None and not self._sink.is_finished)
        if self._sink is not None:
            self._sink.close()


@final
class TcpPeer(NamedTuple):
    """A connected socket outside of trio, and who is at its other side."""

    socket: socket.socket
    """Without blocking, and with the options of the settings."""
    address: Endpoint


@final
class TcpListener:
    """Waits on one port for one connection."""

    def __init__(self, listening: socket.socket, settings: TransportTcpSettings) -> None:
        self._listener: Final = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
        self._endpoint: Final = _endpoint(listening.getsockname())
        self._settings: Final = settings

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The one address where the peer may connect."""
        return (self._endpoint,)

    @property
    def credentials(self) -> Credentials:
        """None: whoever connects first is the peer."""
        return ()

    async def accept(self) -> DataConnection:
        """See :meth:`DataListener.accept`."""
        peer = await self.next_peer()
        self.close()
        return TcpConnection(peer.socket, peer.address, self._settings)

    async def next_peer(self) -> TcpPeer:
        """Wait for somebody, and go on listening; the socket is the caller's.

        :raises OSError: listening broke.
        """
        while True:
            try:
                stream = await self._listener.accept()
            except trio.ClosedResourceError:
                raise OSError(errno.ECANCELED, "the listener was closed") from None
            try:
                return _taken_out(stream.socket, self._settings)
            except OSError as error:
                if error.errno != errno.ENOTCONN:
                    raise
                # A scanner that knocked and left must not use up the listener.
                _LOG.info("a peer left before its data connection stood: %s", error)

    def close(self) -> None:
        """See :meth:`DataListener.close`; any number of times."""
        self._listener.socket.close()


@final
class TcpTransport:
    """Makes connections over TCP and one address family."""

    def __init__(self, settings: TransportTcpSettings, family: Family = IPV4) -> None:
        self._settings: Final = settings
        self._family: Final = family
        self._turn = 0

    @property
    def kind(self) -> str:
        """The stem of NDMP's address type."""
        return self._family.kind

    def pair(self) -> tuple[DataConnection, DataConnection]:
        """Nothing inside the process.

        :raises TapekitError: always.
        """
        raise CATALOGUE.error("not-inside", kind=self.kind)

    async def listen(self, host: str) -> TcpListener:
        """Listen on a free port of ``host``, or of an address with a preferred
        role; within the range of ports if there is one.

        :raises TapekitError: there is no such address of the family, it is
            not of this machine, or no port is free.
        """
        host = own_address(self._settings, self._family, host) or host
        self._family.require(host)
        for port in self._ports():
            listening = _listen_on(self._family, host, port)
            if listening is not None:
                return TcpListener(listening, self._settings)
        low, high = self._settings.data_ports or (_ANY_PORT, _ANY_PORT)
        raise CATALOGUE.error("no-free-data-port", host=host, low=low, high=high)

    @property
    def settings(self) -> TransportTcpSettings:
        """How its connections behave."""
        return self._settings

    async def connect(
        self,
        endpoint: Endpoint,
        credentials: Credentials = (),  # noqa: ARG002 - the kind knows none
    ) -> TcpConnection:
        """Connect within the time limit, from an address with a preferred
        role if roles are preferred.

        :raises TapekitError: nobody answered, the host is not an address of
            the family, or there is no address to connect from.
        """
        peer = await self.reach(endpoint)
        try:
            return TcpConnection(peer.socket, peer.address, self._settings)
        except OSError as error:
            raise CATALOGUE.error("connect-refused", address=endpoint, reason=error) from error

    async def reach(self, endpoint: Endpoint) -> TcpPeer:
        """As :meth:`connect`, but the socket is the caller's.

        :raises TapekitError: likewise.
        """
        self._family.require(endpoint.host)
        own = own_address(self._settings, self._family, None)
        limit_s = self._settings.connect_timeout_s
        connecting = trio.socket.socket(self._family.number, socket.SOCK_STREAM)
        try:
            if own is not None:
                await connecting.bind((own, _ANY_PORT))
            with trio.fail_after(limit_s):
                await connecting.connect((endpoint.host, endpoint.port))
            return _taken_out(connecting, self._settings)
        except trio.TooSlowError:
            raise CATALOGUE.error("connect-timed-out", address=endpoint, limit_s=limit_s) from None
        except (OSError, OverflowError) as error:
            raise CATALOGUE.error("connect-refused", address=endpoint, reason=error) from error
        finally:
            connecting.close()

    def _ports(self) -> Iterator[int]:
        """Ports to try. A range is gone through in turn, since the port used
        last may still have packets on their way.
        """
        if self._settings.data_ports is None:
            yield _ANY_PORT
            return
        low, high = self._settings.data_ports
        count = high - low + 1
        for _ in range(count):
            self._turn += 1
            yield low + self._turn % count


def _listen_on(family: Family, host: str, port: int) -> socket.socket | None:
    """A listening socket, or ``None`` if the port is in use.

    :raises TapekitError: the system refuses for another reason.
    """
    listening = socket.socket(family.number, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setblocking(False)
        listening.bind((host, port))
        listening.listen(1)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE and port != _ANY_PORT:
            return None
        raise CATALOGUE.error("cannot-listen-for-data", host=host, reason=error.strerror) from error
    return listening


def _taken_out(connected: trio.socket.SocketType, settings: TransportTcpSettings) -> TcpPeer:
    """Take a connected socket out of trio.

    :raises OSError: the peer has gone.
    """
    try:
        peer = _endpoint(connected.getpeername())
        set_options(connected, settings)
    except BaseException:
        connected.close()
        raise
    taken = socket.socket(fileno=connected.detach())
    taken.setblocking(False)
    return TcpPeer(taken, peer)


def _endpoint(address: tuple[str, int]) -> Endpoint:
    return Endpoint(address[0], address[1])
