"""What all transfers have in common: failures, patience, letting go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import (
    BackupPlan,
    TapeAt,
    Watch,
    back_up,
)
from tapekit_ndmp_v4.errors import ConnectionLost, NdmpReplyError, OperationFailed
from tapekit_ndmp_v4.numbers import (
    AddrType,
    DataHaltReason,
    DataState,
    MoverHaltReason,
    MoverMode,
    MoverState,
    MtioOp,
    NdmpError,
    TapeOpenMode,
)

if TYPE_CHECKING:
    from tests.plugins.ndmp_v4.client.conftest import Script

OK = NdmpError.NO_ERR
TCP_ADDR = m.TcpAddrs(tcp_addr=(m.TcpAddr(ip=0x7F00_0001, port=4444, addr_env=()),))

ENV = (("FILESYSTEM", "/vs1/vol1"), ("LEVEL", "0"))
FIRST = TapeAt("nrst0a", 2)

DATA_DONE = m.NotifyDataHaltedPost(reason=DataHaltReason.SUCCESSFUL)
MOVER_DONE = m.NotifyMoverHaltedPost(reason=MoverHaltReason.CONNECT_CLOSED)

PLAN = BackupPlan(tape=FIRST, environment=ENV)


@pytest.mark.parametrize(
    ("data", "mover", "said"),
    [
        (DataHaltReason.INTERNAL_ERROR, MoverHaltReason.CONNECT_CLOSED, "INTERNAL_ERROR"),
        (DataHaltReason.SUCCESSFUL, MoverHaltReason.MEDIA_ERROR, "MEDIA_ERROR"),
        (77, MoverHaltReason.ABORTED, "data server 77, mover ABORTED"),
    ],
)
async def test_only_two_good_ends_are_a_good_backup(
    scene: Any, script: Script, nursery: trio.Nursery, data: int, mover: int, said: str
) -> None:
    script.prepared(MoverMode.READ)
    script.mover_listens(MoverMode.READ, AddrType.LOCAL, m.LocalAddr())
    script.data_connects(m.LocalAddr()).backup_starts(
        m.NotifyDataHaltedPost(reason=data), m.NotifyMoverHaltedPost(reason=mover)
    )
    script.cleaned_up()
    nursery.start_soon(scene.dialogue.run)
    with pytest.raises(OperationFailed, match=said):
        await back_up(scene.client, PLAN)
    await scene.client.close()


async def test_a_refused_request_leaves_everything_idle(
    scene: Any, script: Script, nursery: trio.Nursery
) -> None:
    script.granted(m.MoverSetRecordSizeRequest(len=65536))
    open_request = m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR)
    script.refused(open_request, NdmpError.NO_TAPE_LOADED_ERR)
    illegal = NdmpError.ILLEGAL_STATE_ERR
    script.refused(m.DataAbortRequest(), illegal).refused(m.MoverAbortRequest(), illegal)
    script.data_is(DataState.IDLE).mover_is(MoverState.IDLE)
    script.refused(m.DataStopRequest(), illegal).refused(m.MoverStopRequest(), illegal)
    script.refused(m.TapeCloseRequest(), NdmpError.DEV_NOT_OPEN_ERR)
    nursery.start_soon(scene.dialogue.run)
    with pytest.raises(NdmpReplyError, match="TAPE_OPEN was refused: NO_TAPE_LOADED_ERR"):
        await back_up(scene.client, PLAN)
    await scene.client.close()


async def test_a_cancelled_backup_is_aborted_and_let_go(
    scene: Any, script: Script, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    script.prepared(MoverMode.READ)
    script.mover_listens(MoverMode.READ, AddrType.LOCAL, m.LocalAddr())
    script.data_connects(m.LocalAddr()).backup_starts()
    script.granted(m.DataAbortRequest(), m.MoverAbortRequest())
    # The threads need a moment to notice.
    script.data_is(DataState.ACTIVE)
    script.data_is(DataState.HALTED).mover_is(MoverState.HALTED)
    script.stopped().granted(m.TapeCloseRequest())
    nursery.start_soon(scene.dialogue.run)
    with trio.move_on_after(60) as given_up:
        await back_up(scene.client, PLAN)
    assert given_up.cancelled_caught
    await scene.client.close()


async def test_a_server_that_works_on_alone_is_aborted(
    scene: Any, script: Script, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    script.prepared(MoverMode.READ)
    script.mover_listens(MoverMode.READ, AddrType.LOCAL, m.LocalAddr())
    media_error = m.NotifyMoverHaltedPost(reason=MoverHaltReason.MEDIA_ERROR)
    script.data_connects(m.LocalAddr()).backup_starts(media_error)
    script.dialogue.expect(
        m.DataAbortRequest(),
        m.DataAbortReply(error=OK),
        m.NotifyDataHaltedPost(reason=DataHaltReason.ABORTED),
    )
    script.refused(m.MoverAbortRequest(), NdmpError.ILLEGAL_STATE_ERR)
    script.cleaned_up()
    nursery.start_soon(scene.dialogue.run)
    started = trio.current_time()
    with pytest.raises(OperationFailed, match="data server ABORTED, mover MEDIA_ERROR"):
        await back_up(scene.client, PLAN)
    assert trio.current_time() - started >= 600
    await scene.client.close()


@pytest.mark.parametrize("which", ["data", "tape"])
async def test_a_lost_session_ends_the_backup_on_the_other(
    scene: Any,
    other_scene: Any,
    script: Script,
    tape_script: Script,
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    which: str,
) -> None:
    tape_script.prepared(MoverMode.READ)
    tape_script.mover_listens(MoverMode.READ, AddrType.TCP, TCP_ADDR)
    script.data_connects(TCP_ADDR).backup_starts()
    (script if which == "data" else tape_script).dialogue.hang_up()
    if which == "data":
        tape_script.granted(m.MoverAbortRequest()).mover_is(MoverState.HALTED)
        tape_script.granted(m.MoverStopRequest(), m.TapeCloseRequest())
    else:
        script.granted(m.DataAbortRequest()).data_is(DataState.HALTED)
        script.granted(m.DataStopRequest())
    nursery.start_soon(scene.dialogue.run)
    nursery.start_soon(other_scene.dialogue.run)
    with pytest.raises(ConnectionLost, match="the server closed it"):
        await back_up(scene.client, PLAN, tape=other_scene.client)
    await scene.client.close()
    await other_scene.client.close()


async def test_a_caller_hears_posts_and_states(
    scene: Any, script: Script, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    posts: list[m.Message] = []
    states: list[tuple[int, float]] = []
    log = m.LogMessagePost(log_type=0, message_id=1, entry="phase I")
    history = m.FhAddDirPost(dirs=())
    script.prepared(MoverMode.READ)
    script.mover_listens(MoverMode.READ, AddrType.LOCAL, m.LocalAddr())
    script.data_connects(m.LocalAddr()).backup_starts(log, history)
    script.data_is(DataState.ACTIVE, 1).data_is(DataState.ACTIVE, 2)
    script.dialogue.post(DATA_DONE, MOVER_DONE)
    script.environment_given().data_is(DataState.HALTED).mover_is(MoverState.HALTED)
    script.moved(MtioOp.EOF, 2).tape_closed().stopped()
    script.dialogue.expect(m.DataStopRequest(), m.DataStopReply(error=OK), log)
    nursery.start_soon(scene.dialogue.run)

    def tell(state: m.DataGetStateReply, latency_s: float) -> None:
        states.append((state.bytes_processed, latency_s))

    watch = Watch(on_post=posts.append, on_state=tell, poll_every_s=10)
    result = await back_up(scene.client, PLAN, watch=watch)
    assert posts == [log, history]
    assert states == [(1, 0.0), (2, 0.0)]
    assert result.seconds == 20
    await scene.client.call(m.DataStopRequest())
    assert len(posts) == 2
    await scene.client.close()
