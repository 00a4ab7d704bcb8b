"""The NDMP server: the loop around the sans-IO connection, and the nurseries.

Each control connection gets a task tree of its own: one task reads and
answers in order, one sends, and the jobs run beside them. The one rule: when
a connection ends, for whatever reason, its tree ends first and then
everything the session held is freed, shielded from cancellation.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Final, final

import trio

from tapekit.errors import TapekitError
from tapekit.hookspecs.events import Event
from tapekit.hookspecs.placement import ANYWHERE
from tapekit_ndmp_v4 import dispatch
from tapekit_ndmp_v4.connection import NdmpConnection, RemoteProtocolError, Role
from tapekit_ndmp_v4.errors import CATALOGUE
from tapekit_ndmp_v4.host import read_host_facts
from tapekit_ndmp_v4.link import SessionLink
from tapekit_ndmp_v4.messages import NotifyConnectionStatusPost
from tapekit_ndmp_v4.numbers import NDMP_VERSION, ConnectionStatusReason, NdmpError
from tapekit_ndmp_v4.outbox import Outbox
from tapekit_ndmp_v4.refusal import Refused
from tapekit_ndmp_v4.session import Session, offered_methods
from tapekit_ndmp_v4.tracing import SessionTracing, TraceHub

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.placement import Place
    from tapekit.hookspecs.transport import ControlStream
    from tapekit_ndmp_v4.hookspecs import Extension
    from tapekit_ndmp_v4.service import ServiceSwitch
    from tapekit_ndmp_v4.settings import NdmpV4Settings, SessionLimits

__all__ = ["NdmpServer"]

_LOG: Final = logging.getLogger("tapekit.ndmp_v4")

_FAREWELL_S: Final = 0.5
"""How long a closing connection may take to send what is queued: its tape and
its Snapshot copy are let go only afterwards."""


_LOGIN_GRACE_S: Final = 10.0
"""How long a client may take to log in while all sessions are taken."""


@final
class NdmpServer:
    """Serves sessions on control connections."""

    def __init__(
        self,
        kernel: Kernel,
        settings: NdmpV4Settings,
        *,
        limits: SessionLimits,
        clock: Callable[[], float],
        service: ServiceSwitch,
        host_id: str,
        extensions: Sequence[Extension] = (),
    ) -> None:
        self.traces: Final = TraceHub()
        self._extensions: Final = extensions
        self._service: Final = service
        self._kernel: Final = kernel
        self._settings: Final = settings
        self._clock: Final = clock
        self._limits: Final = limits
        self.host: Final = read_host_facts(settings.vendor, settings.product, host_id)
        # No session waits for a thread of another: those that may be open
        # bound their number.
        self._threads: Final = trio.CapacityLimiter(math.inf)
        self._sessions: Final[dict[int, tuple[Session, trio.CancelScope]]] = {}
        self._last_number = 0
        self._changed = trio.Event()

    @property
    def sessions(self) -> Sequence[Session]:
        """The sessions that are open, oldest first."""
        return [session for session, _ in self._sessions.values()]

    @property
    def limits(self) -> SessionLimits:
        """How many sessions there may be, as things are set now."""
        return self._limits._replace(ndmp=self._service.sessions or self._limits.ndmp)

    @property
    def local_tape_jobs(self) -> int:
        """How many tape drives of this server may move data at one time."""
        return self._settings.local_tape_jobs

    async def serve_connection(self, stream: ControlStream) -> None:
        """Serve one control connection to its end."""
        wire = NdmpConnection(Role.SERVER, clock=self._clock)
        await self._make_room()
        try:
            place = self._place(stream)
        except TapekitError as error:
            await self._turn_away(stream, wire, error)
            return
        self._last_number += 1
        await self._hold_session(self._last_number, stream, wire, place)

    def _place(self, stream: ControlStream) -> Place:
        """Where a control connection came in.

        :raises TapekitError: no session can be opened there now.
        """
        refusal = self._refusal(stream)
        if refusal is not None:
            raise refusal
        placement = self._kernel.placement
        if placement is None:
            return ANYWHERE
        place = placement.place(stream.local.host)
        if place.owner and not self._service.serves(place.owner):
            raise CATALOGUE.error("service-off-for-lif", svm=place.owner, lif=place.interface)
        return place

    async def _leave_when_gone(self, number: int, place: Place) -> None:
        """End a session whose interface goes away."""
        if self._kernel.placement is not None and place.interface:
            reason = await self._kernel.placement.until_gone(place)
            self._begin_end(number, reason)

    async def _hold_session(
        self, number: int, stream: ControlStream, wire: NdmpConnection, place: Place
    ) -> None:
        """Run a session's task tree, then free what it held, however it ended."""
        outbox = Outbox(self._settings.queue_bytes)
        session: Session | None = None
        try:
            async with trio.open_nursery() as nursery:
                session = self._new_session(number, stream, wire, outbox, nursery, place)
                # Whoever ends a session cancels its conversation alone, so
                # that what is queued can still be sent.
                conversation = trio.CancelScope()
                self._sessions[number] = session, conversation
                self._announce("session-opened", _who(session))
                sent = trio.Event()
                nursery.start_soon(_send, outbox, stream, sent, conversation)
                nursery.start_soon(self._leave_when_gone, number, place)
                tracing = SessionTracing(number, wire, self._clock)
                try:
                    with conversation, self.traces.session(number, tracing):
                        session.link.post(_status(ConnectionStatusReason.CONNECTED, "Connected"))
                        await self._converse(session, stream, wire, outbox)
                finally:
                    session.release()
                    outbox.close()
                    with trio.move_on_after(_FAREWELL_S):
                        await sent.wait()
                    nursery.cancel_scope.cancel()
        finally:
            if session is not None:
                await self._free(session)

    def _new_session(
        self,
        number: int,
        stream: ControlStream,
        wire: NdmpConnection,
        outbox: Outbox,
        nursery: trio.Nursery,
        place: Place,
    ) -> Session:
        link = SessionLink(
            name=f"session {number}",
            local_host=stream.local.host,
            other_hosts=place.addresses,
            wire=wire,
            outbox=outbox,
            nursery=nursery,
            threads=self._threads,
            range_multiple=self._settings.range_multiple_bytes,
            least_record_bytes=self._settings.least_record_bytes,
            announce=self._announce,
            task_has_ended=self._wake,
        )
        return Session(
            number=number,
            kernel=self._kernel,
            host=self.host,
            peer=stream.peer,
            link=link,
            opened_s=self._clock(),
            need_room=self._need_room,
            need_tape_thread=self._need_tape_thread,
            service=self._service,
            extensions=[one for one in self._extensions if self._service.offers(one.class_id)],
            demanding=self._extensions,
            svms=stream.svms,
            place=place,
        )

    async def _free(self, session: Session) -> None:
        """Free what a session held, once its tasks have ended."""
        with trio.CancelScope(shield=True):
            try:
                await session.clear()
            finally:
                del self._sessions[session.number]
                self._announce("session-closed", _who(session))
                self._wake()

    async def _converse(
        self, session: Session, stream: ControlStream, wire: NdmpConnection, outbox: Outbox
    ) -> None:
        """Answer requests until the connection ends, or nobody logs in."""
        limit_s = self._settings.login_timeout_s
        login_by = trio.current_time() + limit_s
        while True:
            is_logged_in = session.principal is not None
            if is_logged_in:
                login_by = trio.current_time() + limit_s
            try:
                with trio.fail_at(math.inf if is_logged_in else login_by):
                    await outbox.room_for_reply()
                    data = await stream.receive_some()
                wire.receive_data(data)
                while (event := wire.next_event()) is not None:
                    with trio.fail_at(math.inf if session.principal is not None else login_by):
                        await outbox.room_for_reply()
                    goes_on = await dispatch.answer(session, wire, outbox, event)
                    if self._kernel.draining.is_set():
                        self._wake()
                    if not goes_on:
                        session.link.post(_status(ConnectionStatusReason.SHUTDOWN, "Closed"))
                        return
            except trio.TooSlowError:
                self._end_without_login(session)
                return
            except trio.BrokenResourceError:
                return
            except RemoteProtocolError as error:
                _LOG.warning("%s from %s: %s", session.link.name, session.peer, error)
                return
            if not data:
                return

    def _end_without_login(self, session: Session) -> None:
        error = CATALOGUE.error(
            "no-login-in-time", peer=session.peer, limit_s=self._settings.login_timeout_s
        )
        _LOG.warning("%s: %s", session.link.name, error)
        session.link.post(_status(ConnectionStatusReason.SHUTDOWN, str(error)))

    def _need_tape_thread(self) -> None:
        """Refuse to use one more tape drive than may move data at one time.

        :raises Refused: DEVICE_BUSY; the end of another's transfer makes room.
        """
        movers = [session.mover for session in self.sessions]
        if sum(one is not None and one.is_engaged for one in movers) >= (
            self._settings.local_tape_jobs
        ):
            raise Refused(NdmpError.DEVICE_BUSY_ERR, CATALOGUE.error("no-available-thread"))

    def _need_room(self, butype: str) -> None:
        """Refuse a job more than an engine may have in progress.

        :raises Refused: DEVICE_BUSY; another session's end makes room.
        """
        limit = self._limits.of_engine(butype)
        running = sum(session.jobs_of(butype) for session in self.sessions)
        if limit is not None and running >= limit:
            error = CATALOGUE.error("max-sessions-in-progress", max_sessions=limit)
            raise Refused(NdmpError.DEVICE_BUSY_ERR, error)

    async def _make_room(self) -> None:
        """If all sessions are taken, end one on which nobody has logged in,
        so that strangers cannot keep users out.
        """
        if len(self._sessions) < self.limits.ndmp:
            return
        latest_s = self._clock() - _LOGIN_GRACE_S
        for session in self.sessions:
            if session.principal is None and session.opened_s <= latest_s:
                await self.end([session.number], "Others are waiting, and nobody has logged in")
                return

    def _refusal(self, stream: ControlStream) -> TapekitError | None:
        """Why a connection cannot be served now."""
        if self._kernel.draining.is_set():
            return CATALOGUE.error("server-shutting-down")
        if len(self._sessions) >= self.limits.ndmp:
            return CATALOGUE.error("too-many-sessions", limit=self.limits.ndmp)
        if (off := self._service.refusal()) is not None:
            return off
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
        """Wait for running jobs, and a little for what their clients have to
        do after them, then end all sessions.
        """
        while not await self._all_have_finished():
            pass  # a client has begun another job after the one that ended
        for session, scope in tuple(self._sessions.values()):
            session.link.post(_status(ConnectionStatusReason.SHUTDOWN, "The server shuts down"))
            scope.cancel()
        while self._sessions:
            await self._changed.wait()

    async def _all_have_finished(self) -> bool:
        """Wait until no job runs, then for clients who finish one.

        :returns: whether no client has made its session run again meanwhile.
        """
        while busy := [session for session in self.sessions if session.has_job]:
            _LOG.info("waiting for %s", ", ".join(session.link.name for session in busy))
            await self._changed.wait()
        with trio.move_on_after(self._settings.finish_timeout_s):
            while not all(session.is_idle for session in self.sessions):
                if any(session.has_job for session in self.sessions):
                    return False
                await self._changed.wait()
        return not any(session.has_job for session in self.sessions)

    async def end(self, numbers: Collection[int], reason: str) -> None:
        """End sessions, telling their clients why, and wait until all that
        they held is free.
        """
        for number in numbers:
            self._begin_end(number, reason)
        while self._sessions.keys() & set(numbers):
            await self._changed.wait()

    def _begin_end(self, number: int, reason: str) -> None:
        session, conversation = self._sessions[number]
        _LOG.warning("%s with %s: %s", session.link.name, session.peer, reason)
        session.link.post(_status(ConnectionStatusReason.SHUTDOWN, reason))
        session.release()
        conversation.cancel()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _announce(self, what: str, facts: Mapping[str, str]) -> None:
        self._kernel.announce(
            Event(name=f"ndmp_v4.{what}", facts=facts, time_s=self._kernel.clock())
        )


def _who(session: Session) -> Mapping[str, str]:
    return {"session": str(session.number), "peer": str(session.peer)}


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
