"""Backup and restore as a client runs them, each one call.

A few requests set a transfer up, notifications steer it, and its result is a
plain value for a catalogue. A result means that all went well; anything else
raises, with both servers idle again.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, final

import msgspec
import trio

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import tape as tape_steps
from tapekit_ndmp_v4.client.plans import (
    BackupResult,
    ImagePart,
    RecoverResult,
    TapeWanted,
    Watch,
)
from tapekit_ndmp_v4.client.transfer import Transfer
from tapekit_ndmp_v4.errors import CATALOGUE, NdmpReplyError, OperationFailed
from tapekit_ndmp_v4.numbers import (
    UNLIMITED,
    DataHaltReason,
    MoverHaltReason,
    MoverMode,
    MoverPauseReason,
    NdmpError,
    TapeOpenMode,
)
from tapekit_ndmp_v4.wire import Pair

if TYPE_CHECKING:
    from tapekit_ndmp_v4.client.client import NdmpClient
    from tapekit_ndmp_v4.client.plans import BackupPlan, NextTape, RecoverPlan

__all__ = ["back_up", "recover"]

_TAPE_IS_FULL: Final = frozenset(
    # NDMJOB's mover says SEEK for a full window, others EOW.
    {MoverPauseReason.EOM, MoverPauseReason.EOW, MoverPauseReason.SEEK}
)
_IS_ELSEWHERE: Final = frozenset({MoverPauseReason.SEEK, MoverPauseReason.EOW})
_TAPE_IS_READ: Final = frozenset({MoverPauseReason.EOF, MoverPauseReason.EOM})


async def back_up(
    data: NdmpClient,
    plan: BackupPlan,
    *,
    tape: NdmpClient | None = None,
    next_tape: NextTape | None = None,
    watch: Watch | None = None,
) -> BackupResult:
    """Back up to tape.

    :param data: the session of the data server.
    :param tape: the session of the tape, if it is another one.
    :param next_tape: called when a tape is full.
    :raises OperationFailed: a server halted for another reason than success.
    :raises NdmpReplyError: a request was refused.
    :raises TapekitError: no next tape, a tape that is too short, a lost
        connection. After any error both servers are idle again.
    """
    backup = _Backup(data, tape or data, watch or Watch(), next_tape, plan)
    return await backup.run()


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
class _Backup(Transfer):
    """From the data server to tape."""

    mode = MoverMode.READ
    tape_mode = TapeOpenMode.RDWR

    def __init__(
        self,
        data: NdmpClient,
        tape: NdmpClient,
        watch: Watch,
        next_tape: NextTape | None,
        plan: BackupPlan,
    ) -> None:
        super().__init__(data, tape, watch, next_tape)
        self._plan: Final = plan
        self._parts = [ImagePart(plan.tape)]

    async def run(self) -> BackupResult:
        plan = self._plan
        is_done = False
        try:
            with self.watched():
                await self.prepare(plan.record_size, plan.tape, 0, UNLIMITED)
                await self.connect(plan.connecting)
                started = trio.current_time()
                await self.data.call(
                    m.DataStartBackupRequest(
                        butype_name=plan.butype, env=tuple(Pair(*pair) for pair in plan.environment)
                    )
                )
                await self.until_halted()
                result = await self._result(trio.current_time() - started)
                await tape_steps.write_filemarks(self.tape, plan.filemarks)
                await self.stop()
                is_done = True
                return result
        finally:
            if not is_done:
                await self.clean_up()

    async def _result(self, seconds: float) -> BackupResult:
        _check_success(self, "backup")
        environment = await self.data.call(m.DataGetEnvRequest())
        data_state = await self.data.call(m.DataGetStateRequest())
        mover_state = await self.tape.call(m.MoverGetStateRequest())
        self._end_part(mover_state.bytes_moved)
        return BackupResult(
            environment=tuple((pair.name, pair.value) for pair in environment.env),
            parts=tuple(self._parts),
            bytes_moved=mover_state.bytes_moved,
            bytes_processed=data_state.bytes_processed,
            seconds=seconds,
            data_halt=DataHaltReason.SUCCESSFUL,
            mover_halt=MoverHaltReason.CONNECT_CLOSED,
        )

    def _end_part(self, end: int) -> ImagePart:
        """The last part is complete: the image is on tape up to ``end``."""
        part = msgspec.structs.replace(self._parts[-1], length=end - self._parts[-1].offset)
        self._parts[-1] = part
        return part

    async def paused(self, post: m.NotifyMoverPausedPost) -> None:
        reason = post.reason
        if not isinstance(reason, MoverPauseReason) or reason not in _TAPE_IS_FULL:
            raise _unexpected_pause("backup", post)
        state = await self.tape.call(m.MoverGetStateRequest())
        part = self._end_part(state.bytes_moved)
        if reason is not MoverPauseReason.EOM:
            await tape_steps.write_filemarks(self.tape, self._plan.filemarks)
        wanted = TapeWanted(reason, state.bytes_moved, part)
        place = await self.change_tape(wanted, None)
        self._parts.append(ImagePart(place, offset=state.bytes_moved))
        await self.set_window(state.bytes_moved, UNLIMITED)
        await self.tape.call(m.MoverContinueRequest())

    async def data_halted(self) -> None:
        """The mover sees the end of the stream by itself."""


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
                await self.prepare(plan.record_size, part.tape, part.offset, part.length)
                await self.connect(plan.connecting)
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
                _check_success(self, "restore")
                data_state = await self.data.call(m.DataGetStateRequest())
                await self.stop()
                is_done = True
                return RecoverResult(
                    bytes_processed=data_state.bytes_processed,
                    seconds=seconds,
                    data_halt=DataHaltReason.SUCCESSFUL,
                    mover_halt=MoverHaltReason.CONNECT_CLOSED,
                )
        finally:
            if not is_done:
                await self.clean_up()

    async def paused(self, post: m.NotifyMoverPausedPost) -> None:
        reason = post.reason
        if not isinstance(reason, MoverPauseReason) or reason not in _TAPE_IS_READ | _IS_ELSEWHERE:
            raise _unexpected_pause("restore", post)
        part = self._later_part() if reason in _TAPE_IS_READ else self._part_for(post)
        if part is None:
            await self._close_mover()
            return
        await self.change_tape(TapeWanted(reason, post.seek_position, part), part.tape)
        self._present = part
        await self.set_window(part.offset, part.length)
        await self.tape.call(m.MoverContinueRequest())

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
        raise _unexpected_pause("restore", post)

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


def _check_success(transfer: Transfer, operation: str) -> None:
    """A result is good if both servers halted as they should."""
    data, mover = transfer.data_halt, transfer.mover_halt
    if data != DataHaltReason.SUCCESSFUL or mover != MoverHaltReason.CONNECT_CLOSED:
        raise CATALOGUE.raised_as(
            OperationFailed,
            "operation-failed",
            operation=operation,
            data=_word(data),
            mover=_word(mover),
        )


def _unexpected_pause(operation: str, post: m.NotifyMoverPausedPost) -> OperationFailed:
    return CATALOGUE.raised_as(
        OperationFailed,
        "unexpected-pause",
        operation=operation,
        reason=_word(post.reason),
        position=post.seek_position,
    )


def _word(reason: int | None) -> str:
    """The document's name of a reason, or the number of an unknown one."""
    return reason.name if isinstance(reason, enum.IntEnum) else str(reason)
