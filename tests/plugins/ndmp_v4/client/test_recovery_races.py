"""News of a restore that crosses the client's own requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import ImagePart, RecoverPlan, TapeAt, recover
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import (
    DataHaltReason,
    DataState,
    MoverHaltReason,
    MoverPauseReason,
    MoverState,
    NdmpError,
    TapeOpenMode,
)

if TYPE_CHECKING:
    import trio
    from tests.plugins.ndmp_v4.client.conftest import Script

OK = NdmpError.NO_ERR
FIRST, SECOND = TapeAt("nrst0a", 2), TapeAt("nrst1a")
PARTS = (ImagePart(FIRST, 0, 1000), ImagePart(SECOND, 1000, 500))
PLAN = RecoverPlan(parts=PARTS, environment=(("FILESYSTEM", "/vs1/vol1"),))
DATA_DONE = m.NotifyDataHaltedPost(reason=DataHaltReason.SUCCESSFUL)
MOVER_DONE = m.NotifyMoverHaltedPost(reason=MoverHaltReason.CONNECT_CLOSED)
AT_END = m.NotifyMoverPausedPost(reason=MoverPauseReason.EOF, seek_position=1000)


def begin(script: Script, *posts: m.Message) -> Script:
    """The request that starts it, with the environment of this page."""
    request = m.DataStartRecoverRequest(
        env=tuple(m.Pair(*pair) for pair in PLAN.environment), nlist=(), butype_name="dump"
    )
    script.dialogue.expect(request, m.DataStartRecoverReply(error=OK), *posts)
    return script


async def test_a_pause_after_the_data_server_is_done_needs_no_cure(
    scene: Any, local_recovery: Script, nursery: trio.Nursery
) -> None:
    begin(local_recovery, DATA_DONE, AT_END)
    local_recovery.dialogue.expect(m.MoverCloseRequest(), m.MoverCloseReply(error=OK), MOVER_DONE)
    local_recovery.data_is(DataState.HALTED).mover_is(MoverState.HALTED).tape_closed().stopped()
    nursery.start_soon(scene.dialogue.run)
    await recover(scene.client, PLAN)
    await scene.client.close()


async def test_a_mover_may_halt_while_its_next_tape_is_loaded(
    scene: Any, local_recovery: Script, nursery: trio.Nursery
) -> None:
    begin(local_recovery, AT_END)
    local_recovery.tape_closed().opened(SECOND, TapeOpenMode.READ)
    local_recovery.refused(
        m.MoverSetWindowRequest(offset=1000, length=500), NdmpError.ILLEGAL_STATE_ERR
    )
    local_recovery.mover_is(MoverState.HALTED)
    local_recovery.dialogue.post(DATA_DONE, MOVER_DONE)
    local_recovery.refused(m.MoverCloseRequest(), NdmpError.ILLEGAL_STATE_ERR)
    local_recovery.data_is(DataState.HALTED).mover_is(MoverState.HALTED).tape_closed().stopped()
    nursery.start_soon(scene.dialogue.run)
    await recover(scene.client, PLAN)
    await scene.client.close()


async def test_a_refusal_by_a_mover_that_is_still_paused_comes_out(
    scene: Any, local_recovery: Script, nursery: trio.Nursery
) -> None:
    begin(local_recovery, AT_END)
    local_recovery.tape_closed().opened(SECOND, TapeOpenMode.READ)
    local_recovery.refused(
        m.MoverSetWindowRequest(offset=1000, length=500), NdmpError.ILLEGAL_ARGS_ERR
    )
    local_recovery.mover_is(MoverState.PAUSED).cleaned_up()
    nursery.start_soon(scene.dialogue.run)
    with pytest.raises(NdmpReplyError, match="MOVER_SET_WINDOW was refused: ILLEGAL_ARGS"):
        await recover(scene.client, PLAN)
    await scene.client.close()
