"""News of a restore that crosses the client's own requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import ImagePart, RecoverPlan, TapeAt, recover
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import (
    AddrType,
    DataHaltReason,
    DataState,
    MoverHaltReason,
    MoverMode,
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


@pytest.fixture
def started(script: Script) -> Script:
    """A restore on one session, up to its start."""
    script.prepared(MoverMode.WRITE, 0, 1000)
    script.mover_listens(MoverMode.WRITE, AddrType.LOCAL, m.LocalAddr())
    return script.data_connects(m.LocalAddr())


def begin(script: Script, *posts: m.Message) -> Script:
    """The request that starts it, with the environment of this page."""
    request = m.DataStartRecoverRequest(
        env=tuple(m.Pair(*pair) for pair in PLAN.environment), nlist=(), butype_name="dump"
    )
    script.dialogue.expect(request, m.DataStartRecoverReply(error=OK), *posts)
    return script


async def test_a_pause_after_the_data_server_is_done_needs_no_cure(
    scene: Any, started: Script, nursery: trio.Nursery
) -> None:
    begin(started, DATA_DONE, AT_END)
    started.dialogue.expect(m.MoverCloseRequest(), m.MoverCloseReply(error=OK), MOVER_DONE)
    started.data_is(DataState.HALTED).mover_is(MoverState.HALTED).tape_closed().stopped()
    nursery.start_soon(scene.dialogue.run)
    await recover(scene.client, PLAN)
    await scene.client.close()


async def test_a_mover_may_halt_while_its_next_tape_is_loaded(
    scene: Any, started: Script, nursery: trio.Nursery
) -> None:
    begin(started, AT_END)
    started.tape_closed().opened(SECOND, TapeOpenMode.READ)
    started.refused(m.MoverSetWindowRequest(offset=1000, length=500), NdmpError.ILLEGAL_STATE_ERR)
    started.mover_is(MoverState.HALTED)
    started.dialogue.post(DATA_DONE, MOVER_DONE)
    started.refused(m.MoverCloseRequest(), NdmpError.ILLEGAL_STATE_ERR)
    started.data_is(DataState.HALTED).mover_is(MoverState.HALTED).tape_closed().stopped()
    nursery.start_soon(scene.dialogue.run)
    await recover(scene.client, PLAN)
    await scene.client.close()


async def test_a_refusal_by_a_mover_that_is_still_paused_comes_out(
    scene: Any, started: Script, nursery: trio.Nursery
) -> None:
    begin(started, AT_END)
    started.tape_closed().opened(SECOND, TapeOpenMode.READ)
    started.refused(m.MoverSetWindowRequest(offset=1000, length=500), NdmpError.ILLEGAL_ARGS_ERR)
    started.mover_is(MoverState.PAUSED).cleaned_up()
    nursery.start_soon(scene.dialogue.run)
    with pytest.raises(NdmpReplyError, match="MOVER_SET_WINDOW was refused: ILLEGAL_ARGS"):
        await recover(scene.client, PLAN)
    await scene.client.close()
