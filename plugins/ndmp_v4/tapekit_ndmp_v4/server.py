"""The NDMP server: the loop around the sans-IO connection, and the nurseries.

Each control connection gets a task tree of its own: one task reads and
answers in order, one sends, and the jobs run beside them. The one rule: when
a connection ends, for whatever reason, its tree ends first and then
everything the session held is freed, shielded from cancellation.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, final

import trio

from tapekit.hookspecs.events import Event
from tapekit_ndmp_v4 import dispatch
from tapekit_ndmp_v4.connection import NdmpConnection, RemoteProtocolError, Role
from tapekit_ndmp_v4.errors import CATALOGUE
from tapekit_ndmp_v4.host import read_host_facts
from tapekit_ndmp_v4.link import SessionLink
from tapekit_ndmp_v4.messages import NotifyConnectionStatusPost
from tapekit_ndmp_v4.numbers import NDMP_VERSION, ConnectionStatusReason
from tapekit_ndmp_v4.outbox import Outbox
from tapekit_ndmp_v4.session import Session, offered_methods

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.errors import TapekitError
    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.transport import ControlStream
    from tapekit_ndmp_v4.settings import NdmpV4Settings

__all__ = ["NdmpServer"]

_LOG: Final = logging.getLogger("tapekit.ndmp_v4")

_FAREWELL_S: Final = 2.0
"""How long a closing connection may take to send what is queued."""

_THREADS_PER_SESSION: Final = 4
"""A data job, a mover, a drive request and one to spare: a limit that no
session can use up for another."""


@final
class NdmpServer:
    """Serves sessions on control connections."""

    def __init__(
        self,
        kernel: Kernel,
        settings: NdmpV4Settings,
        *,
        sessions: int,
        clock: Callable[[], float],
    ) -> None:
        self._kernel: Final = kernel
        self._settings: Final = settings
        self._clock: Final = clock
        self._limit: Final = sessions
        self._host: Final = read_host_facts(settings.vendor, settings.product)
        self._threads: Final = trio.CapacityLimiter(sessions * _THREADS_PER_SESSION)
        self._sessions: Final[dict[int, tuple[Session, trio.CancelScope]]] = {}
        self._last_number = 0
        self._changed = trio.Event()

    async def serve_connection(self, stream: ControlStream) -> None:
        """Serve one control connection to its end."""
        wire = NdmpConnection(Role.SERVER, clock=self._clock)
        refusal = self._refusal(stream)
        if refusal is not None:
            await self._turn_away(stream, wire, refusal)
            return
        self._last_number += 1
        number = self._last_number
        outbox = Outbox(self._settings.queue_bytes)
        async with trio.open_nursery() as nursery:
            link = SessionLink(
                name=f"session {number}",
                local_host=stream.local.host,
                wire=wire,
                outbox=outbox,
                nursery=nursery,
                threads=self._threads,
                transports=self._kernel.data_transports,
            )
            session = Session(
                number=number, kernel=self._kernel, host=self._host, peer=stream.peer, link=link
            )
            self._sessions[number] = session, nursery.cancel_scope
            self._announce("session-opened", session)
            sent = trio.Event()
            nursery.start_soon(_send, outbox, stream, sent, nursery.cancel_scope)
            try:
                link.post(_status(ConnectionStatusReason.CONNECTED, "Connected"))
                await self._converse(session, stream, wire, outbox)
            finally:
                session.release()
                outbox.close()
                with trio.move_on_after(_FAREWELL_S):
                    await sent.wait()
                nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await session.clear()
            del self._sessions[number]
            self._announce("session-closed", session)
            self._wake()

    async def _converse(
        self, session: Session, stream: ControlStream, wire: NdmpConnection, outbox: Outbox
    ) -> None:
        """Answer requests until the connection ends."""
        while True:
            try:
                data = await stream.receive_some()
                wire.receive_data(data)
                while (event := wire.next_event()) is not None:
                    goes_on = await dispatch.answer(session, wire, outbox, event)
                    if self._kernel.draining.is_set():
                        self._wake()
                    if not goes_on:
                        session.link.post(_status(ConnectionStatusReason.SHUTDOWN, "Closed"))
                        return
            except trio.BrokenResourceError:
                return
            except RemoteProtocolError as error:
                _LOG.warning("%s from %s: %s", session.link.name, session.peer, error)
                return
            if not data:
                return

    def _refusal(self, stream: ControlStream) -> TapekitError | None:
        """Why a connection cannot be served now."""
        if self._kernel.draining.is_set():
            return CATALOGUE.error("server-shutting-down")
        if len(self._sessions) >= self._limit:
            return CATALOGUE.error("too-many-sessions", limit=self._limit)
        if not offered_methods(self._kernel, stream.peer):
            return CATALOGUE.error("no-login-possible", peer=stream.peer)
        return None

    async def _turn_away(
        self, stream: ControlStream, wire: NdmpConnection, refusal: TapekitError
    ) -> None:
        _LOG.warning("connection from %s refused: %s", stream.peer, refusal)
        with trio.move_on_after(_FAREWELL_S):
            try:
                await stream.send_all(
                    wire.send_post(_status(ConnectionStatusReason.REFUSED, str(refusal)))
                )
            except trio.BrokenResourceError:
                _LOG.debug("connection from %s was gone already", stream.peer)

    async def drain(self) -> None:
        """Wait for running jobs, then end all sessions."""
        while busy := [session for session, _ in self._sessions.values() if not session.is_idle]:
            _LOG.info("waiting for %s", ", ".join(session.link.name for session in busy))
            await self._changed.wait()
        for session, scope in tuple(self._sessions.values()):
            session.link.post(_status(ConnectionStatusReason.SHUTDOWN, "The server shuts down"))
            scope.cancel()
        while self._sessions:
            await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _announce(self, what: str, session: Session) -> None:
        facts = {"session": str(session.number), "peer": str(session.peer)}
        self._kernel.announce(Event(name=f"ndmp_v4.{what}", facts=facts, time_s=self._clock()))


async def _send(
    outbox: Outbox, stream: ControlStream, sent: trio.Event, session: trio.CancelScope
) -> None:
    """Send what is queued; a broken connection ends the session."""
    try:
        await outbox.run(stream)
    except trio.BrokenResourceError:
        session.cancel()
    finally:
        sent.set()


def _status(reason: ConnectionStatusReason, text: str) -> NotifyConnectionStatusPost:
    return NotifyConnectionStatusPost(
        reason=reason, protocol_version=NDMP_VERSION, text_reason=text
    )
