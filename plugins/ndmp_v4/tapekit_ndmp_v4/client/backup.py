"""Backup as a client runs it, in one call.

A few requests set the transfer up, the mover pauses for tapes, and the
result is a plain value for a catalogue. A result means that all went well;
anything else raises, with both servers idle again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import msgspec
import trio

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import tape as tape_steps
from tapekit_ndmp_v4.client.plans import BackupResult, ImagePart, TapeWanted, Watch
from tapekit_ndmp_v4.client.transfer import Transfer
from tapekit_ndmp_v4.numbers import (
    UNLIMITED,
    DataHaltReason,
    MoverHaltReason,
    MoverMode,
    MoverPauseReason,
    TapeOpenMode,
)
from tapekit_ndmp_v4.wire import Pair

if TYPE_CHECKING:
    from tapekit_ndmp_v4.client.client import NdmpClient
    from tapekit_ndmp_v4.client.plans import BackupPlan, NextTape

__all__ = ["back_up"]

_TAPE_IS_FULL: Final = frozenset(
    # NDMJOB's mover says SEEK for a full window, others EOW.
    {MoverPauseReason.EOM, MoverPauseReason.EOW, MoverPauseReason.SEEK}
)


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
                await self.agree(plan.connecting)
                await self.prepare(plan.record_size, plan.tape, 0, UNLIMITED)
                await self.connect(plan.connecting, plan.butype, plan.environment)
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
        self.check_success("backup")
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
            raise self.unexpected_pause("backup", post)
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
