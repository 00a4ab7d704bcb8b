"""Private data connections: those of ``transport_tcp``, inside TLS.

Addresses, ports and the options of sockets are those of the kind below; here
is who may use a connection. A listener hears out everybody who connects, many
at a time, and takes the one who has the token: a stranger who is first gains
nothing and delays nobody. The one rule: from a socket to whoever owns it next
there is no await, so that no cancellation loses one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, final

import msgspec
import trio

from tapekit_transport_tcp.tcp import TcpConnection
from tapekit_transport_tls.errors import CATALOGUE
from tapekit_transport_tls.introductions import introduce, introduction_of, let_in, new_identity
from tapekit_transport_tls.tls_socket import TlsSocket

if TYPE_CHECKING:
    import datetime as dt
    import ssl
    from collections.abc import Callable, Sequence

    from tapekit.hookspecs.transport import Credentials, DataConnection, Endpoint
    from tapekit_transport_tcp.settings import TransportTcpSettings
    from tapekit_transport_tcp.tcp import TcpListener, TcpPeer, TcpTransport
    from tapekit_transport_tls.introductions import Identity
    from tapekit_transport_tls.settings import TransportTlsSettings

__all__ = ["TlsDataListener", "TlsDataTransport"]

_LOG: Final = logging.getLogger("tapekit.transport_tls")


@final
class TlsDataListener:
    """Waits on one port for the one peer that has the token."""

    def __init__(
        self, below: TcpListener, identity: Identity, limits: TransportTlsSettings, tcp: _TcpPart
    ) -> None:
        self._below: Final = below
        self._identity: Final = identity
        self._limits: Final = limits
        self._tcp: Final = tcp
        self._hearing = 0
        self._found: TcpConnection | None = None
        self._failure: OSError | None = None

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The one address where the peer may connect."""
        return self._below.endpoints

    @property
    def credentials(self) -> Credentials:
        """The fingerprint and the token."""
        return self._identity.introduction.credentials

    async def accept(self) -> DataConnection:
        """See :meth:`DataListener.accept`."""
        try:
            async with trio.open_nursery() as nursery:
                await self._hear_all(nursery)
        except BaseException:
            if self._found is not None:
                self._found.abort()
            raise
        self.close()
        if self._found is None:
            assert self._failure is not None, "nothing else ends the listening"
            raise self._failure
        return self._found

    def close(self) -> None:
        """See :meth:`DataListener.close`; any number of times."""
        self._below.close()

    async def _hear_all(self, nursery: trio.Nursery) -> None:
        """Listen until the nursery is cancelled or listening breaks."""
        while True:
            try:
                peer = await self._below.next_peer()
            except OSError as error:
                self._failure = error
                nursery.cancel_scope.cancel()
                return
            if self._hearing >= self._limits.handshakes:
                peer.socket.close()
                _turned_away(peer.address, f"{self._hearing} others are in their handshake")
                continue
            self._hearing += 1
            nursery.start_soon(self._hear, peer, nursery.cancel_scope)

    async def _hear(self, peer: TcpPeer, scope: trio.CancelScope) -> None:
        """Take a peer with the token, and end the listening with it."""
        limit_s = self._limits.handshake_timeout_s
        try:
            with trio.fail_after(limit_s):
                secure = await let_in(peer.socket, self._identity)
            connection = self._tcp.connection(secure, peer.address)
        except trio.TooSlowError:
            _turned_away(peer.address, f"it did not introduce itself within {limit_s:g} s")
        except OSError as error:
            _turned_away(peer.address, error)
        else:
            if self._found is None:
                self._found = connection
                scope.cancel()
            else:
                connection.abort()
        finally:
            self._hearing -= 1


@final
class TlsDataTransport:
    """Makes private connections of the kind of another transport."""

    def __init__(
        self, below: TcpTransport, limits: TransportTlsSettings, now: Callable[[], dt.datetime]
    ) -> None:
        self._below: Final = below
        self._limits: Final = limits
        self._now: Final = now
        self._tcp: Final = _TcpPart(below.settings)

    @property
    def kind(self) -> str:
        """The stem of NDMP's address type, which is that of the kind below."""
        return self._below.kind

    def pair(self) -> tuple[DataConnection, DataConnection]:
        """Nothing inside the process.

        :raises TapekitError: always.
        """
        return self._below.pair()

    async def listen(self, host: str) -> TlsDataListener:
        """See :meth:`TcpTransport.listen`.

        :raises TapekitError: likewise, or there is no key for the connection.
        """
        identity = new_identity(self._now())
        return TlsDataListener(await self._below.listen(host), identity, self._limits, self._tcp)

    async def connect(self, endpoint: Endpoint, credentials: Credentials = ()) -> DataConnection:
        """See :meth:`TcpTransport.connect`.

        :raises TapekitError: likewise; or there are no credentials, or who
            answers is not the one that they are of.
        """
        introduction = introduction_of(credentials, endpoint)
        limit_s = self._limits.handshake_timeout_s
        peer = await self._below.reach(endpoint)
        try:
            with trio.fail_after(limit_s):
                secure = await introduce(peer.socket, introduction, endpoint)
            return self._tcp.connection(secure, peer.address)
        except trio.TooSlowError:
            reason = f"no answer within {limit_s:g} s"
            raise CATALOGUE.error(
                "data-peer-without-tls", address=endpoint, reason=reason
            ) from None
        except OSError as error:
            raise CATALOGUE.error(
                "data-peer-without-tls", address=endpoint, reason=error
            ) from error


@final
class _TcpPart:
    """Makes connections of secure sockets."""

    def __init__(self, settings: TransportTcpSettings) -> None:
        # What the kernel sends by itself would not be encrypted.
        self._settings: Final = msgspec.structs.replace(settings, send_extents="copy")

    def connection(self, secure: ssl.SSLSocket, address: Endpoint) -> TcpConnection:
        """Own a socket whose other side is known.

        :raises OSError: no descriptor is left; the socket is then closed.
        """
        return TcpConnection(TlsSocket(secure), address, self._settings)


def _turned_away(address: Endpoint, reason: object) -> None:
    _LOG.warning("%s turned away from a private data connection: %s", address, reason)
