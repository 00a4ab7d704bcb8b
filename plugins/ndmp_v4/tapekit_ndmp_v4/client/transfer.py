"""A transfer between a data server and a mover, steered by notifications.

Both servers may be in one session (LOCAL) or in two. This is what a backup
and a restore have in common: the servers are connected, news is handled in
order until both have halted, and everything is let go. The one rule: however
a transfer ends, both servers are idle and the tape is closed afterwards, as
far as the connections still live.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Final

import trio

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import tape as tape_steps
from tapekit_ndmp_v4.client.answers import attempt, reason_word
from tapekit_ndmp_v4.client.cluster_aware import prepare_data_connection
from tapekit_ndmp_v4.client.private_data import agree_on_private_data
from tapekit_ndmp_v4.errors import (
    CATALOGUE,
    ConnectionLost,
    OperationFailed,
)
from tapekit_ndmp_v4.numbers import (
    AddrType,
    DataHaltReason,
    DataState,
    MoverHaltReason,
    MoverState,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tapekit_ndmp_v4.client.client import NdmpClient
    from tapekit_ndmp_v4.client.plans import Connecting, NextTape, TapeAt, TapeWanted, Watch
    from tapekit_ndmp_v4.numbers import MoverMode, TapeOpenMode
    from tapekit_ndmp_v4.wire import Message

__all__ = ["Transfer"]

_PATIENCE_S: Final = 600.0
"""How long one server may work on after the other has halted: a mover writes
what is left in its buffers, a data server what it has received."""

_CLEANUP_S: Final = 30.0
"""How long letting go may take after a failure, until both have halted."""

_POLL_S: Final = 0.2

_NEWS: Final = (
    m.NotifyDataHaltedPost,
    m.NotifyDataReadPost,
    m.NotifyMoverHaltedPost,
    m.NotifyMoverPausedPost,
)

_TOLD: Final[tuple[type[Message], ...]] = (
    m.LogMessagePost,
    m.LogFilePost,
    m.FhAddDirPost,
    m.FhAddNodePost,
    m.FhAddFilePost,
)


class Transfer(ABC):
    """One backup or restore; subclasses say what a pause means."""

    mode: MoverMode
    tape_mode: TapeOpenMode

    def __init__(
        self, data: NdmpClient, tape: NdmpClient, watch: Watch, next_tape: NextTape | None
    ) -> None:
        self.data: Final = data
        self.tape: Final = tape
        self.data_halt: int | None = None
        self.mover_halt: int | None = None
        self._watch: Final = watch
        self._next_tape: Final = next_tape
        self._news: Final[deque[Message]] = deque()
        self._aborted = False

    # What differs.

    @abstractmethod
    async def paused(self, post: m.NotifyMoverPausedPost) -> None:
        """Cure a pause of the mover, or raise."""

    @abstractmethod
    async def data_halted(self) -> None:
        """Do what the mover needs once the data server has halted."""

    # Setting up.

    async def agree(self, connecting: Connecting) -> None:
        """Have the sessions choose what the plan asks of both."""
        await agree_on_private_data(self.data, self.tape, connecting.private_data)

    async def prepare(self, record_size: int, place: TapeAt, offset: int, length: int) -> None:
        """Open the tape at the place of the first part, and set the mover up.

        Record size and window are set each time: servers differ in what they
        keep from one transfer to the next.
        """
        await self.tape.call(m.MoverSetRecordSizeRequest(len=record_size))
        await self.open_at(place)
        await self.set_window(offset, length)

    async def open_at(self, place: TapeAt) -> None:
        """Open a tape, let the caller look at it, and go to a tape file."""
        await tape_steps.open_device(self.tape, place.device, self.tape_mode)
        if self._watch.on_tape is not None:
            await self._watch.on_tape()
        await tape_steps.go_to(self.tape, place.file)

    async def set_window(self, offset: int, length: int) -> None:
        """Say which part of the image begins where the tape stands."""
        await self.tape.call(m.MoverSetWindowRequest(offset=offset, length=length))

    async def connect(
        self, connecting: Connecting, butype: str, environment: Iterable[tuple[str, str]]
    ) -> None:
        """Join data server and mover; a server of a cluster is told before
        for which operation.
        """
        kind = connecting.kind
        if kind is None:
            kind = AddrType.LOCAL if self.data is self.tape else AddrType.TCP
        await prepare_data_connection(self.data, kind, butype, environment)
        if connecting.data_listens:
            data_at = await self.data.call(m.DataListenRequest(addr_type=kind))
            await self.tape.call(m.MoverConnectRequest(mode=self.mode, addr=data_at.connect_addr))
        else:
            mover_at = await self.tape.call(m.MoverListenRequest(mode=self.mode, addr_type=kind))
            await self.data.call(m.DataConnectRequest(addr=mover_at.connect_addr))

    async def change_tape(self, wanted: TapeWanted, place: TapeAt | None) -> TapeAt:
        """Close the tape and open the next one.

        :param place: where to go on if the caller has not said how tapes are
            changed; without either the transfer cannot go on.
        :returns: where the tape stands now.
        """
        await tape_steps.rewind(self.tape)
        await tape_steps.close(self.tape)
        if self._next_tape is not None:
            place = await self._next_tape(wanted)
        if place is None:
            raise CATALOGUE.error(
                "no-next-tape", reason=wanted.reason.name, position=wanted.position
            )
        await self.open_at(place)
        return place

    # Steering.

    async def until_halted(self) -> None:
        """Handle news until both servers have halted."""
        while self.data_halt is None or self.mover_halt is None:
            await self._wait_for_news()
            while self._news:
                await self._handle(self._news.popleft())

    async def _handle(self, post: Message) -> None:
        match post:
            case m.NotifyMoverPausedPost():
                await self.paused(post)
            case m.NotifyDataReadPost(offset=offset, length=length):
                await self.tape.call(m.MoverReadRequest(offset=offset, length=length))
            case m.NotifyDataHaltedPost(reason=reason):
                self.data_halt = reason
                await self.data_halted()
            case m.NotifyMoverHaltedPost(reason=reason):
                self.mover_halt = reason

    async def _wait_for_news(self) -> None:
        """Wait for news; ask for the state and lose patience meanwhile."""
        patience = trio.current_time() + _PATIENCE_S
        one_has_halted = self.data_halt is not None or self.mover_halt is not None
        while not self._news:
            with trio.move_on_after(self._watch.poll_every_s):
                await self._collect_news()
            if not self._news:
                await self._ask_state()
            if one_has_halted and not self._aborted and trio.current_time() > patience:
                self._aborted = True
                await self._abort()

    async def _collect_news(self) -> None:
        """Wait for the first news of either session; what has been taken is
        kept even if this is cancelled.
        """
        if self.data is self.tape:
            self._news.append(await self.data.wait_for(*_NEWS))
            return
        lost: list[ConnectionLost] = []
        async with trio.open_nursery() as nursery:

            async def listen(client: NdmpClient) -> None:
                try:
                    self._news.append(await client.wait_for(*_NEWS))
                except ConnectionLost as error:
                    lost.append(error)
                nursery.cancel_scope.cancel()

            nursery.start_soon(listen, self.data)
            nursery.start_soon(listen, self.tape)
        if lost and not self._news:
            raise lost[0]

    async def _ask_state(self) -> None:
        tell = self._watch.on_state
        if tell is not None:
            asked = trio.current_time()
            state = await self.data.call(m.DataGetStateRequest())
            tell(state, trio.current_time() - asked)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Hand LOG and FH posts to the caller while the context lasts."""
        tell = self._watch.on_post
        clients = {self.data, self.tape} if tell is not None else set()
        for client in clients:
            for kind in _TOLD:
                client.on_post(kind, tell)
        try:
            yield
        finally:
            for client in clients:
                for kind in _TOLD:
                    client.on_post(kind, None)

    # Judging.

    def check_success(self, operation: str) -> None:
        """Refuse a transfer unless both servers halted as they should.

        :raises OperationFailed: one of them did not.
        """
        data, mover = self.data_halt, self.mover_halt
        if data != DataHaltReason.SUCCESSFUL or mover != MoverHaltReason.CONNECT_CLOSED:
            raise CATALOGUE.raised_as(
                OperationFailed,
                "operation-failed",
                operation=operation,
                data=reason_word(data),
                mover=reason_word(mover),
            )

    def unexpected_pause(self, operation: str, post: m.NotifyMoverPausedPost) -> OperationFailed:
        """The error for a pause that the operation has no cure for."""
        return CATALOGUE.raised_as(
            OperationFailed,
            "unexpected-pause",
            operation=operation,
            reason=reason_word(post.reason),
            position=post.seek_position,
        )

    # Letting go.

    async def stop(self) -> None:
        """Close the tape and make both servers idle, once both have halted."""
        await tape_steps.rewind(self.tape)
        await tape_steps.close(self.tape)
        await self.data.call(m.DataStopRequest())
        await self.tape.call(m.MoverStopRequest())

    async def clean_up(self) -> None:
        """The same after a failure, whatever state things are in; takes at
        most :data:`_CLEANUP_S`, also when cancelled.
        """
        with trio.move_on_after(_CLEANUP_S, shield=True):
            await self._abort()
            with contextlib.suppress(ConnectionLost):
                await self._until_at_rest()
        with trio.move_on_after(_CLEANUP_S, shield=True):
            await attempt(self.data, m.DataStopRequest())
            await attempt(self.tape, m.MoverStopRequest())
            await attempt(self.tape, m.TapeCloseRequest())
        for client in (self.data, self.tape):
            client.forget_notifications()

    async def _abort(self) -> None:
        await attempt(self.data, m.DataAbortRequest())
        await attempt(self.tape, m.MoverAbortRequest())

    async def _until_at_rest(self) -> None:
        while not (await self._data_rests() and await self._mover_rests()):
            with trio.move_on_after(_POLL_S):
                await self._collect_news()
            self._news.clear()

    async def _data_rests(self) -> bool:
        reply = await attempt(self.data, m.DataGetStateRequest())
        return reply is None or reply.state in _DATA_AT_REST

    async def _mover_rests(self) -> bool:
        reply = await attempt(self.tape, m.MoverGetStateRequest())
        return reply is None or reply.state in _MOVER_AT_REST


_DATA_AT_REST: Final = frozenset({DataState.IDLE, DataState.HALTED})
_MOVER_AT_REST: Final = frozenset({MoverState.IDLE, MoverState.HALTED})
