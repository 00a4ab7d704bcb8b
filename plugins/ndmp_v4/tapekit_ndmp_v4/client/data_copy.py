"""A copy from one data server to another, without tape, in one call.

The destination listens and restores what the source connects and backs up,
so the stream goes from server to server and never through the client. There
is no mover: what the destination wants to read comes in order by itself. The
one rule: however a copy ends, both data servers are idle afterwards, as far
as the connections still live.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, final

import msgspec
import trio

from tapekit.errors import TapekitError
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client.answers import attempt, reason_word
from tapekit_ndmp_v4.client.cluster_aware import destination_variables, prepare_data_connection
from tapekit_ndmp_v4.errors import CATALOGUE, ConnectionLost, NdmpReplyError, OperationFailed
from tapekit_ndmp_v4.numbers import AddrType, DataHaltReason, DataState
from tapekit_ndmp_v4.wire import Message, Pair

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tapekit_ndmp_v4.client.client import NdmpClient
    from tapekit_ndmp_v4.wire import RequestBody

__all__ = ["CopyPlan", "CopyResult", "CopyState", "Side", "copy_across"]

R = TypeVar("R", bound=Message)

_PATIENCE_S: Final = 600.0
"""How long one server may stand still after the other has halted."""

_ACCEPT_S: Final = 30.0
"""How long a data connection that one end has may be unknown to the other."""

_CLEANUP_S: Final = 30.0
_POLL_S: Final = 0.05
_AT_REST: Final = frozenset({DataState.IDLE, DataState.HALTED})


class Side(enum.StrEnum):
    """The two ends of a copy."""

    SOURCE = "source"
    DESTINATION = "destination"


CopyState: TypeAlias = Callable[[m.DataGetStateReply], object]
"""Gets the state of the source while a copy runs; must be quick."""


@final
class CopyPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is copied where."""

    backup: tuple[tuple[str, str], ...]
    """The environment of the source."""
    recover: tuple[tuple[str, str], ...]
    """The environment of the destination."""
    names: tuple[m.Name, ...]
    """The restore list of the destination."""
    butype: str = "dump"
    kinds: tuple[AddrType, ...] = (AddrType.TCP,)
    """The kinds of data connection to try, the best one first."""
    poll_every_s: float = 1.0
    """How often to ask how far the copy is."""


@final
class CopyResult(msgspec.Struct, frozen=True, kw_only=True):
    """A good copy."""

    kind: AddrType
    """The data connection that stood."""
    bytes_processed: int
    """Bytes of the stream."""
    seconds: float
    """From the start of the restore until both servers halted."""


async def copy_across(
    source: NdmpClient,
    destination: NdmpClient,
    plan: CopyPlan,
    *,
    on_state: CopyState | None = None,
) -> CopyResult:
    """Copy from data server to data server.

    Both sessions are logged in and idle, and have agreed on the kinds of
    address in the plan (:func:`connection_types`). They may be sessions with
    one and the same server. If both have chosen private data connections
    (:func:`agree_on_private_data`), the copy goes inside TLS.

    :raises OperationFailed: a server refused something, or halted for
        another reason than success.
    :raises TapekitError: a connection was lost. After any error both servers
        are idle again.
    """
    return await _Copy(source, destination, plan, on_state).run()


@final
class _End:
    """The data server at one end."""

    def __init__(self, side: Side, client: NdmpClient) -> None:
        self.side: Final = side
        self.client: Final = client
        self.halt: int | None = None

    async def ask(self, request: RequestBody[R]) -> R:
        """The reply.

        :raises OperationFailed: a refusal, with the side that it comes from.
        """
        try:
            return await self.client.call(request)
        except NdmpReplyError as refused:
            raise self._refused(refused) from refused

    async def prepare(
        self, kind: AddrType, butype: str, environment: Iterable[tuple[str, str]]
    ) -> None:
        """Tell a server of a cluster what the data connection is for.

        :raises OperationFailed: as :meth:`ask`.
        """
        try:
            await prepare_data_connection(self.client, kind, butype, environment)
        except NdmpReplyError as refused:
            raise self._refused(refused) from refused

    def _refused(self, refused: NdmpReplyError) -> OperationFailed:
        return CATALOGUE.raised_as(
            OperationFailed,
            "copy-refused",
            side=self.side,
            address=self.client.address,
            request=refused.facts["request"],
            error=refused.facts["error"],
        )

    async def come_to_rest(self) -> None:
        """Wait until the server has halted, or its session is lost."""
        while not await self._rests():
            with trio.move_on_after(_POLL_S), contextlib.suppress(ConnectionLost):
                await self.client.wait_for(m.NotifyDataHaltedPost)

    async def _rests(self) -> bool:
        reply = await attempt(self.client, m.DataGetStateRequest())
        return reply is None or reply.state in _AT_REST


@final
class _Copy:
    """One copy, from its data connection to the last byte."""

    def __init__(
        self,
        source: NdmpClient,
        destination: NdmpClient,
        plan: CopyPlan,
        on_state: CopyState | None,
    ) -> None:
        self._source: Final = _End(Side.SOURCE, source)
        self._destination: Final = _End(Side.DESTINATION, destination)
        self._ends: Final = (self._source, self._destination)
        self._plan: Final = plan
        self._on_state: Final = on_state
        self._failure: TapekitError | None = None

    async def run(self) -> CopyResult:
        destination = self._destination.client
        # The stream comes in order; nobody has to be asked for a range of it.
        destination.on_post(m.NotifyDataReadPost, _pass_over)
        is_done = False
        try:
            kind = await self._connect()
            started = trio.current_time()
            await self._start()
            await self._until_halted()
            seconds = trio.current_time() - started
            self._check_success()
            state = await self._source.ask(m.DataGetStateRequest())
            for end in self._ends:
                await end.ask(m.DataStopRequest())
            is_done = True
            return CopyResult(kind=kind, bytes_processed=state.bytes_processed, seconds=seconds)
        finally:
            if not is_done:
                await self._clean_up()
            destination.on_post(m.NotifyDataReadPost, None)

    # Connecting.

    async def _connect(self) -> AddrType:
        """Join the two servers by the first kind that both can do."""
        attempts: list[str] = []
        for kind in self._plan.kinds:
            try:
                await self._connect_by(kind)
            except OperationFailed as refused:
                attempts.append(f"{kind.name}: {refused}")
                await self._stop_listening()
            else:
                return kind
        raise CATALOGUE.raised_as(
            OperationFailed, "no-data-connection", attempts="; ".join(attempts)
        )

    async def _connect_by(self, kind: AddrType) -> None:
        plan = self._plan
        destination = destination_variables(plan.recover, plan.names)
        await self._destination.prepare(kind, plan.butype, destination)
        await self._source.prepare(kind, plan.butype, plan.backup)
        listening = await self._destination.ask(m.DataListenRequest(addr_type=kind))
        await self._source.ask(m.DataConnectRequest(addr=listening.connect_addr))
        await self._until_accepted()

    async def _until_accepted(self) -> None:
        """Wait until the listener, too, knows of the connection: its server
        takes it in when it gets round to it, and refuses to start before.
        """
        with trio.move_on_after(_ACCEPT_S):
            while True:
                state = await self._destination.ask(m.DataGetStateRequest())
                if state.state != DataState.LISTEN:
                    return
                await trio.sleep(_POLL_S)
        raise CATALOGUE.raised_as(
            OperationFailed, "data-connection-not-accepted", seconds=f"{_ACCEPT_S:g}"
        )

    async def _stop_listening(self) -> None:
        for end in self._ends:
            await attempt(end.client, m.DataAbortRequest())
            await attempt(end.client, m.DataStopRequest())
            end.client.forget_notifications()

    # Running.

    async def _start(self) -> None:
        plan = self._plan
        # A restore may make directories at once, so a source that refuses
        # has to do so before; what it sends meanwhile waits in the connection.
        await self._source.ask(
            m.DataStartBackupRequest(butype_name=plan.butype, env=_pairs(plan.backup))
        )
        await self._destination.ask(
            m.DataStartRecoverRequest(
                env=_pairs(plan.recover), nlist=plan.names, butype_name=plan.butype
            )
        )

    async def _until_halted(self) -> None:
        """Wait for both servers, each of which takes the other along when it
        fails.

        :raises TapekitError: a connection was lost, or one server stands
            still.
        """
        async with trio.open_nursery() as nursery:

            async def watch(end: _End, other: _End) -> None:
                try:
                    await self._follow(end, other)
                except TapekitError as error:
                    self._failure = self._failure or error
                    nursery.cancel_scope.cancel()
                if other.halt is not None:
                    nursery.cancel_scope.cancel()

            async def report() -> None:
                try:
                    await self._report()
                except TapekitError as error:
                    self._failure = self._failure or error
                    nursery.cancel_scope.cancel()

            nursery.start_soon(watch, self._source, self._destination)
            nursery.start_soon(watch, self._destination, self._source)
            nursery.start_soon(report)
        if self._failure is not None:
            raise self._failure

    async def _follow(self, end: _End, other: _End) -> None:
        """Wait for one server's end, and end the other with it if it failed."""
        post = await end.client.wait_for(m.NotifyDataHaltedPost)
        end.halt = post.reason
        if post.reason != DataHaltReason.SUCCESSFUL and other.halt is None:
            await attempt(other.client, m.DataAbortRequest())

    async def _report(self) -> None:
        """Tell how far the source is; lose patience with a server that
        stands still after the other has halted.
        """
        moved_at, moved = trio.current_time(), -1
        while True:
            await trio.sleep(self._plan.poll_every_s)
            late = next((end for end in self._ends if end.halt is None), self._source)
            state = await late.ask(m.DataGetStateRequest())
            if late is self._source and self._on_state is not None:
                self._on_state(state)
            one_has_halted = any(end.halt is not None for end in self._ends)
            if not one_has_halted or state.bytes_processed != moved:
                moved_at, moved = trio.current_time(), state.bytes_processed
            elif trio.current_time() - moved_at > _PATIENCE_S:
                raise CATALOGUE.raised_as(
                    OperationFailed,
                    "copy-stands-still",
                    side=late.side,
                    address=late.client.address,
                    seconds=f"{_PATIENCE_S:g}",
                )

    def _check_success(self) -> None:
        source, destination = self._source.halt, self._destination.halt
        if source != DataHaltReason.SUCCESSFUL or destination != DataHaltReason.SUCCESSFUL:
            raise CATALOGUE.raised_as(
                OperationFailed,
                "copy-failed",
                source=reason_word(source),
                destination=reason_word(destination),
            )

    # Letting go.

    async def _clean_up(self) -> None:
        """Make both servers idle, whatever state they are in; takes a limited
        time, also when cancelled.
        """
        with trio.move_on_after(_CLEANUP_S, shield=True):
            for end in self._ends:
                await attempt(end.client, m.DataAbortRequest())
            for end in self._ends:
                await end.come_to_rest()
                await attempt(end.client, m.DataStopRequest())
        for end in self._ends:
            end.client.forget_notifications()


def _pass_over(_post: m.NotifyDataReadPost) -> None:
    """What is read next is on its way already."""


def _pairs(environment: tuple[tuple[str, str], ...]) -> tuple[Pair, ...]:
    return tuple(Pair(*pair) for pair in environment)
