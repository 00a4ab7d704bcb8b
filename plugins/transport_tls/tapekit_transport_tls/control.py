"""Secure control connections: TLS first, then unchanged NDMP.

Listening and the options of sockets are those of ``transport_tcp``; here is
the handshake, with a certificate of the server alone. Whatever does not
become TLS within its time is closed with a line in the log. The one rule: no
byte reaches the protocol, and none leaves, before the handshake is done.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Final, final

import trio

from tapekit_transport_tcp.control import TcpControlStream, TcpControlTransport, endpoints_of
from tapekit_transport_tcp.settings import TransportTcpSettings

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Sequence

    from tapekit.hookspecs.transport import ControlStream, Endpoint
    from tapekit_transport_tls.secure_service import SecureService
    from tapekit_transport_tls.settings import TransportTlsSettings

__all__ = ["TlsControlStream", "TlsControlTransport"]

_LOG: Final = logging.getLogger("tapekit.transport_tls")

_FAREWELL_S: Final = 1.0
"""How long the end of a connection may take to tell the other side."""


@final
class TlsControlStream:
    """One control connection inside TLS."""

    def __init__(
        self,
        stream: trio.SSLStream[trio.SocketStream],
        below: TcpControlStream,
        svms: frozenset[str],
    ) -> None:
        self._stream: Final = stream
        self._below: Final = below
        self._svms: Final = svms

    @property
    def local(self) -> Endpoint:
        """Our address on this connection."""
        return self._below.local

    @property
    def peer(self) -> Endpoint:
        """The client's address."""
        return self._below.peer

    @property
    def is_private(self) -> bool:
        """Nobody reads the bytes on the way."""
        return True

    @property
    def svms(self) -> frozenset[str]:
        """Those for which secure connections are on; empty means all."""
        return self._svms

    async def receive_some(self) -> bytes:
        """See :meth:`ControlStream.receive_some`."""
        return bytes(await self._stream.receive_some())

    async def send_all(self, data: bytes) -> None:
        """See :meth:`ControlStream.send_all`."""
        await self._stream.send_all(data)

    async def aclose(self) -> None:
        """See :meth:`ControlStream.aclose`; any number of times."""
        with trio.move_on_after(_FAREWELL_S):
            await self._stream.aclose()


@final
class TlsControlTransport:
    """Listens on the addresses of the setting ``listen``, while secure
    connections are on for any storage virtual machine.

    :param context: gives what a handshake needs; asked when listening
        begins, and for each connection.
    :param service: says where secure connections are on.
    """

    def __init__(
        self,
        settings: TransportTlsSettings,
        context: Callable[[], ssl.SSLContext],
        service: SecureService,
    ) -> None:
        self._settings: Final = settings
        self._context: Final = context
        self._service: Final = service
        self._sessions: trio.Nursery | None = None
        self._handler: Callable[[ControlStream], Awaitable[None]]
        self._switching: Final = trio.Lock()
        self._listening: trio.CancelScope | None = None
        self._closed = trio.Event()
        self._addresses: Sequence[Endpoint] = ()
        self._shaking_hands = 0
        self._below: Final = TcpControlTransport(
            TransportTcpSettings(listen=settings.listen, keepalive_s=settings.keepalive_s),
            owner="transport_tls",
        )

    @property
    def name(self) -> str:
        """Name in listings and logs."""
        return "tls"

    async def serve(
        self,
        handler: Callable[[ControlStream], Awaitable[None]],
        task_status: trio.TaskStatus[Sequence[Endpoint]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """See :meth:`ControlTransport.serve`.

        Connections outlast the listeners, which come and go as the service is
        switched.

        :raises TapekitError: also if certificate or key cannot be used.
        """
        await trio.to_thread.run_sync(self._service.load)
        listeners = await self._opened() if self._service.is_anywhere_on else []
        self._handler = functools.partial(self._serve_one, handler)
        async with trio.open_nursery() as sessions:
            self._sessions = sessions
            self._listen(listeners)
            task_status.started(self._addresses)
            await trio.sleep_forever()

    # Switching.

    def is_on(self, svm: str) -> bool:
        """Whether secure connections are on for a storage virtual machine."""
        return self._service.is_on(svm)

    @property
    def addresses(self) -> Sequence[str]:
        """Where secure connections are accepted now."""
        return [str(endpoint) for endpoint in self._addresses]

    async def switch(self, svm: str, *, is_on: bool) -> None:
        """Switch secure connections on or off, for connections to come.

        :raises TapekitError: it cannot be remembered, or nobody can listen;
            nothing changed.
        """
        async with self._switching:
            is_needed = is_on and self._listening is None
            listeners = await self._opened() if is_needed else []
            try:
                await self._service.switch(svm, is_on=is_on)
            except BaseException:
                for listener in listeners:
                    listener.socket.close()
                raise
            self._listen(listeners)
            if not self._service.is_anywhere_on and self._listening is not None:
                self._listening.cancel()
                self._listening, self._addresses = None, ()
                await self._closed.wait()

    async def _opened(self) -> list[trio.SocketListener]:
        self._context()
        return await self._below.open_listeners()

    def _listen(self, listeners: list[trio.SocketListener]) -> None:
        if not listeners:
            return
        assert self._sessions is not None, "it serves"
        scope, self._closed = trio.CancelScope(), trio.Event()
        self._listening = scope
        self._addresses = endpoints_of(listeners)
        self._sessions.start_soon(self._accept, listeners, scope)

    async def _accept(self, listeners: list[trio.SocketListener], scope: trio.CancelScope) -> None:
        assert self._sessions is not None
        try:
            with scope:
                await self._below.accept(self._handler, listeners, self._sessions)
        finally:
            self._closed.set()

    # Connections.

    async def _serve_one(
        self,
        handler: Callable[[ControlStream], Awaitable[None]],
        below: ControlStream,
    ) -> None:
        assert isinstance(below, TcpControlStream), "the transport below makes no others"
        # Messages tell their length, so an end without a farewell hides nothing.
        stream = trio.SSLStream(
            below.byte_stream, self._context(), server_side=True, https_compatible=True
        )
        if not await self._has_shaken_hands(stream, below.peer):
            return
        svms = self._service.svms
        secure = TlsControlStream(stream, below, frozenset() if svms is None else svms)
        try:
            # Switched off since this connection was accepted, it leads nowhere:
            # without names it would lead everywhere.
            if svms is None or svms:
                await handler(secure)
        finally:
            await secure.aclose()

    async def _has_shaken_hands(
        self, stream: trio.SSLStream[trio.SocketStream], peer: Endpoint
    ) -> bool:
        """Whether a client completed the handshake; others are logged."""
        limit = self._settings.handshakes
        if self._shaking_hands >= limit:
            _LOG.warning("secure connection from %s closed: %d are in their handshake", peer, limit)
            return False
        self._shaking_hands += 1
        try:
            with trio.fail_after(self._settings.handshake_timeout_s):
                await stream.do_handshake()
        except trio.TooSlowError:
            seconds = self._settings.handshake_timeout_s
            _LOG.warning("secure connection from %s closed: no TLS within %g s", peer, seconds)
            return False
        except trio.BrokenResourceError as error:
            _LOG.warning(
                "secure connection from %s closed: the TLS handshake failed: %s",
                peer,
                error.__cause__ or "the client left",
            )
            return False
        finally:
            self._shaking_hands -= 1
        return True
