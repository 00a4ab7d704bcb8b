"""Restore as a client runs it, in one call.

A few requests set the transfer up; then the data server asks for ranges of
the image and the mover pauses for the tapes that hold them. A result means
that all went well; anything else raises, with both servers idle again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import trio

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client.cluster_aware import destination_variables
from tapekit_ndmp_v4.client.plans import ImagePart, RecoverResult, TapeWanted, Watch
from tapekit_ndmp_v4.client.transfer import Transfer
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import (
    DataHaltReason,
    MoverHaltReason,
    MoverMode,
    MoverPauseReason,
    MoverState,
    NdmpError,
    TapeOpenMode,
)
from tapekit_ndmp_v4.wire import Pair

if TYPE_CHECKING:
    from tapekit_ndmp_v4.client.client import NdmpClient
    from tapekit_ndmp_v4.client.plans import NextTape, RecoverPlan

__all__ = ["recover"]

_IS_ELSEWHERE: Final = frozenset({MoverPauseReason.SEEK, MoverPauseReason.EOW})
_TAPE_IS_READ: Final = frozenset({MoverPauseReason.EOF, MoverPauseReason.EOM})


async def recover(
    data: NdmpClient,
    plan: RecoverPlan,
    *,
    tape: NdmpClient | None = None,
    next_tape: NextTape | None = None,
    watch: Watch | None = None,
) -> RecoverResult:
    """Restore from tape; see :func:`back_up`.

    :param next_tape: called with the part that is needed next; without it
        the part's own place is opened.
    """
    recovery = _Recovery(data, tape or data, watch or Watch(), next_tape, plan)
    return await recovery.run()


@final
class _Recovery(Transfer):
    """From tape to the data server."""

    mode = MoverMode.WRITE
    tape_mode = TapeOpenMode.READ

    def __init__(
        self,
        data: NdmpClient,
        tape: NdmpClient,
        watch: Watch,
        next_tape: NextTape | None,
        plan: RecoverPlan,
    ) -> None:
        super().__init__(data, tape, watch, next_tape)
        self._plan: Final = plan
        self._parts: Final = sorted(plan.parts, key=lambda part: part.offset)
        self._present = self._parts[0]

    async def run(self) -> RecoverResult:
        plan, part = self._plan, self._present
        is_done = False
        try:
            with self.watched():
                await self.agree(plan.connecting)
                await self.prepare(plan.record_size, part.tape, part.offset, part.length)
                destination = destination_variables(plan.environment, plan.names)
                await self.connect(plan.connecting, plan.butype, destination)
                started = trio.current_time()
                await self.data.call(
                    m.DataStartRecoverRequest(
                        env=tuple(Pair(*pair) for pair in plan.environment),
                        nlist=plan.names,
                        butype_name=plan.butype,
                    )
                )
                await self.until_halted()
                seconds = trio.current_time() - started
                self.check_success("restore")
                data_state = await self.data.call(m.DataGetStateRequest())
                mover_state = await self.tape.call(m.MoverGetStateRequest())
                await self.stop()
                is_done = True
                return RecoverResult(
                    bytes_processed=data_state.bytes_processed,
                    bytes_moved=mover_state.bytes_moved,
                    seconds=seconds,
                    data_halt=DataHaltReason.SUCCESSFUL,
                    mover_halt=MoverHaltReason.CONNECT_CLOSED,
                )
        finally:
            if not is_done:
                await self.clean_up()

    async def paused(self, post: m.NotifyMoverPausedPost) -> None:
        if self.data_halt is not None:
            # It had all it needed before the tape's end, and the mover has
            # been closed since.
            return
        reason = post.reason
        if not isinstance(reason, MoverPauseReason) or reason not in _TAPE_IS_READ | _IS_ELSEWHERE:
            raise self.unexpected_pause("restore", post)
        part = self._later_part() if reason in _TAPE_IS_READ else self._part_for(post)
        if part is None:
            await self._close_mover()
            return
        await self.change_tape(TapeWanted(reason, post.seek_position, part), part.tape)
        self._present = part
        try:
            await self.set_window(part.offset, part.length)
            await self.tape.call(m.MoverContinueRequest())
        except NdmpReplyError:
            # A mover that sees its data server go halts by itself, and the
            # post that says so comes to whoever waits for news.
            state = await self.tape.call(m.MoverGetStateRequest())
            if state.state != MoverState.HALTED:
                raise

    def _later_part(self) -> ImagePart | None:
        """The part after the present one."""
        return next((part for part in self._parts if part.offset > self._present.offset), None)

    def _part_for(self, post: m.NotifyMoverPausedPost) -> ImagePart | None:
        """The part with the wanted position; ``None`` behind the image."""
        position, last = post.seek_position, self._parts[-1]
        for part in self._parts:
            if part.holds(position):
                return part
        if position >= last.offset + last.length:
            return None
        raise self.unexpected_pause("restore", post)

    async def data_halted(self) -> None:
        """A mover that still waits for reads has no more to do."""
        if self.mover_halt is None:
            await self._close_mover()

    async def _close_mover(self) -> None:
        try:
            await self.tape.call(m.MoverCloseRequest())
        except NdmpReplyError as refused:
            if refused.code != NdmpError.ILLEGAL_STATE_ERR:
                raise
