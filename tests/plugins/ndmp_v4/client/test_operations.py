"""Backup and restore, message by message, on one session and on two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio
import trio.testing

from tapekit.errors import TapekitError
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4 import xdr
from tapekit_ndmp_v4.client import (
    BackupPlan,
    Connecting,
    ImagePart,
    RecoverPlan,
    TapeAt,
    TapeWanted,
    Watch,
    back_up,
    recover,
)
from tapekit_ndmp_v4.errors import ConnectionLost, NdmpReplyError, OperationFailed
from tapekit_ndmp_v4.exchanges import EXCHANGES, refusal
from tapekit_ndmp_v4.numbers import (
    UNLIMITED,
    AddrType,
    DataHaltReason,
    DataState,
    MoverHaltReason,
    MoverMode,
    MoverPauseReason,
    MoverState,
    MtioOp,
    NdmpError,
    TapeOpenMode,
)

OK = NdmpError.NO_ERR
TCP_ADDR = m.TcpAddrs(tcp_addr=(m.TcpAddr(ip=0x7F00_0001, port=4444, addr_env=()),))

ENV = (("FILESYSTEM", "/vs1/vol1"), ("LEVEL", "0"))
SAVED = (*ENV, ("DUMP_DATE", "7"))
FIRST, SECOND = TapeAt("nrst0a", 2), TapeAt("nrst1a")

DATA_DONE = m.NotifyDataHaltedPost(reason=DataHaltReason.SUCCESSFUL)
MOVER_DONE = m.NotifyMoverHaltedPost(reason=MoverHaltReason.CONNECT_CLOSED)


def pairs(plain: tuple[tuple[str, str], ...]) -> tuple[m.Pair, ...]:
    return tuple(m.Pair(*pair) for pair in plain)


def data_state(state: DataState, processed: int = 0) -> m.DataGetStateReply:
    return msgspec.structs.replace(
        xdr.zero(m.DataGetStateReply), state=state, bytes_processed=processed
    )


def mover_state(state: MoverState, moved: int = 0) -> m.MoverGetStateReply:
    return msgspec.structs.replace(xdr.zero(m.MoverGetStateReply), state=state, bytes_moved=moved)


class Script:
    """Writes the usual requests of an operation into a dialogue."""

    def __init__(self, dialogue: Any) -> None:
        self.dialogue = dialogue

    def granted(self, *requests: m.Message) -> Script:
        """Requests whose replies say no error and nothing else."""
        for request in requests:
            self.dialogue.expect(request, refusal(EXCHANGES.of(type(request)), OK))
        return self

    def refused(self, request: m.Message, error: NdmpError) -> Script:
        self.dialogue.expect(request, refusal(EXCHANGES.of(type(request)), error))
        return self

    def opened(self, place: TapeAt, mode: TapeOpenMode) -> Script:
        self.granted(m.TapeOpenRequest(device=place.device, mode=mode))
        self.moved(MtioOp.REW, 1)
        return self.moved(MtioOp.FSF, place.file) if place.file else self

    def moved(self, op: MtioOp, count: int) -> Script:
        return self.granted(m.TapeMtioRequest(tape_op=op, count=count))

    def window(self, offset: int, length: int) -> Script:
        return self.granted(m.MoverSetWindowRequest(offset=offset, length=length))

    def prepared(self, mode: MoverMode, offset: int = 0, length: int = UNLIMITED) -> Script:
        self.granted(m.MoverSetRecordSizeRequest(len=65536))
        backup = mode is MoverMode.READ
        self.opened(FIRST, TapeOpenMode.RDWR if backup else TapeOpenMode.READ)
        return self.window(offset, length)

    def mover_listens(self, mode: MoverMode, kind: AddrType, addr: m.Addr) -> Script:
        self.dialogue.expect(
            m.MoverListenRequest(mode=mode, addr_type=kind),
            m.MoverListenReply(error=OK, connect_addr=addr),
        )
        return self

    def data_connects(self, addr: m.Addr) -> Script:
        return self.granted(m.DataConnectRequest(addr=addr))

    def backup_starts(self, *posts: m.Message) -> Script:
        self.dialogue.expect(
            m.DataStartBackupRequest(butype_name="dump", env=pairs(ENV)),
            m.DataStartBackupReply(error=OK),
            *posts,
        )
        return self

    def recovery_starts(self, *posts: m.Message, names: tuple[m.Name, ...] = ()) -> Script:
        self.dialogue.expect(
            m.DataStartRecoverRequest(butype_name="dump", env=pairs(SAVED), nlist=names),
            m.DataStartRecoverReply(error=OK),
            *posts,
        )
        return self

    def environment_given(self) -> Script:
        self.dialogue.expect(
            m.DataGetEnvRequest(), m.DataGetEnvReply(error=OK, env=pairs(SAVED))
        )
        return self

    def data_is(self, state: DataState, processed: int = 0) -> Script:
        self.dialogue.expect(m.DataGetStateRequest(), data_state(state, processed))
        return self

    def mover_is(self, state: MoverState, moved: int = 0) -> Script:
        self.dialogue.expect(m.MoverGetStateRequest(), mover_state(state, moved))
        return self

    def tape_closed(self) -> Script:
        return self.moved(MtioOp.REW, 1).granted(m.TapeCloseRequest())

    def stopped(self) -> Script:
        return self.granted(m.DataStopRequest(), m.MoverStopRequest())

    def cleaned_up(self, illegal: NdmpError = NdmpError.ILLEGAL_STATE_ERR) -> Script:
        """What a failed operation asks of servers that are idle already."""
        self.refused(m.DataAbortRequest(), illegal)
        self.refused(m.MoverAbortRequest(), illegal)
        self.data_is(DataState.HALTED).mover_is(MoverState.HALTED)
        return self.stopped().granted(m.TapeCloseRequest())


@pytest.fixture
def script(scene: Any) -> Script:
    return Script(scene.dialogue)


@pytest.fixture
def tape_script(other_scene: Any) -> Script:
    return Script(other_scene.dialogue)


async def play(scene: Any, nursery: trio.Nursery) -> None:
    nursery.start_soon(scene.dialogue.run)


PLAN = BackupPlan(tape=FIRST, environment=ENV)


# Backup.


@pytest.mark.parametrize("posts", [(DATA_DONE, MOVER_DONE), (MOVER_DONE, DATA_DONE)])
@pytest.mark.requirement("R167")
async def test_a_local_backup(
    scene: Any, script: Script, nursery: trio.Nursery, posts: tuple[m.Message, ...]
) -> None:
    script.prepared(MoverMode.READ)
    script.mover_listens(MoverMode.READ, AddrType.LOCAL, m.LocalAddr())
    script.data_connects(m.LocalAddr()).backup_starts(*posts)
    script.environment_given().data_is(DataState.HALTED, 70_000)
    script.mover_is(MoverState.HALTED, 131_072)
    script.moved(MtioOp.EOF, 2).tape_closed().stopped()
    nursery.start_soon(scene.dialogue.run)
    result = await back_up(scene.client, PLAN)
    assert result.environment == SAVED
    assert result.parts == (ImagePart(FIRST, 0, 131_072),)
    assert (result.bytes_processed, result.bytes_moved) == (70_000, 131_072)
    assert result.data_halt is DataHaltReason.SUCCESSFUL
    assert result.mover_halt is MoverHaltReason.CONNECT_CLOSED
    await scene.client.close()


async def test_a_three_way_backup(
    scene: Any, other_scene: Any, script: Script, tape_script: Script, nursery: trio.Nursery
) -> None:
    tape_script.prepared(MoverMode.READ)
    tape_script.mover_listens(MoverMode.READ, AddrType.TCP, TCP_ADDR)
    script.data_connects(TCP_ADDR).backup_starts(DATA_DONE)
    tape_script.dialogue.post(MOVER_DONE)
    script.environment_given().data_is(DataState.HALTED)
    tape_script.mover_is(MoverState.HALTED, 65536)
    tape_script.moved(MtioOp.EOF, 2).tape_closed()
    script.granted(m.DataStopRequest())
    tape_script.granted(m.MoverStopRequest())
    nursery.start_soon(scene.dialogue.run)
    nursery.start_soon(other_scene.dialogue.run)
    result = await back_up(scene.client, PLAN, tape=other_scene.client)
    assert result.bytes_moved == 65536
    await scene.client.close()
    await other_scene.client.close()


async def test_the_data_server_may_be_the_one_that_listens(
    scene: Any, script: Script, nursery: trio.Nursery
) -> None:
    script.prepared(MoverMode.READ)
    script.dialogue.expect(
        m.DataListenRequest(addr_type=AddrType.TCP),
        m.DataListenReply(error=OK, connect_addr=TCP_ADDR),
    )
    script.granted(m.MoverConnectRequest(mode=MoverMode.READ, addr=TCP_ADDR))
    script.backup_starts(DATA_DONE, MOVER_DONE)
    script.environment_given().data_is(DataState.HALTED).mover_is(MoverState.HALTED)
    script.tape_closed().stopped()
    nursery.start_soon(scene.dialogue.run)
    connecting = Connecting(kind=AddrType.TCP, data_listens=True)
    plan = msgspec.structs.replace(PLAN, connecting=connecting, filemarks=0)
    assert (await back_up(scene.client, plan)).parts == (ImagePart(FIRST, 0, 0),)
    await scene.client.close()


@pytest.mark.parametrize(
    ("reason", "marks"),
    [
        (MoverPauseReason.EOM, False),
        (MoverPauseReason.EOW, True),
        (MoverPauseReason.SEEK, True),
    ],
)
async def test_a_full_tape_is_changed(
    scene: Any, script: Script, nursery: trio.Nursery, reason: MoverPauseReason, marks: bool
) -> None:
    wanted: list[TapeWanted] = []

    async def next_tape(want: TapeWanted) -> TapeAt:
        await trio.lowlevel.checkpoint()
        wanted.append(want)
        return SECOND

    script.prepared(MoverMode.READ)
    script.mover_listens(MoverMode.READ, AddrType.LOCAL, m.LocalAddr())
    paused = m.NotifyMoverPausedPost(reason=reason, seek_position=1_048_576)
    script.data_connects(m.LocalAddr()).backup_starts(paused)
    script.mover_is(MoverState.PAUSED, 1_048_576)
    if marks:
        script.moved(MtioOp.EOF, 2)
    script.tape_closed().opened(SECOND, TapeOpenMode.RDWR).window(1_048_576, UNLIMITED)
    # The data server may be done while the mover still holds a record.
    script.granted(m.MoverContinueRequest())
    script.dialogue.post(DATA_DONE, MOVER_DONE)
    script.environment_given().data_is(DataState.HALTED)
    script.mover_is(MoverState.HALTED, 1_114_112)
    script.moved(MtioOp.EOF, 2).tape_closed().stopped()
    nursery.start_soon(scene.dialogue.run)
    result = await back_up(scene.client, PLAN, next_tape=next_tape)
    first = ImagePart(FIRST, 0, 1_048_576)
    assert result.parts == (first, ImagePart(SECOND, 1_048_576, 65_536))
    assert wanted == [TapeWanted(reason, 1_048_576, first)]
    await scene.client.close()


@pytest.mark.parametrize("has_way", [False, True])
async def test_without_a_next_tape_a_backup_is_given_up(
    scene: Any, script: Script, nursery: trio.Nursery, has_way: bool
) -> None:
    async def none_left(_: TapeWanted) -> None:
        await trio.lowlevel.checkpoint()

    script.prepared(MoverMode.READ)
    script.mover_listens(MoverMode.READ, AddrType.LOCAL, m.LocalAddr())
    paused = m.NotifyMoverPausedPost(reason=MoverPauseReason.EOM, seek_position=65536)
    script.data_connects(m.LocalAddr()).backup_starts(paused)
    script.mover_is(MoverState.PAUSED, 65536).tape_closed().cleaned_up()
    nursery.start_soon(scene.dialogue.run)
    with pytest.raises(TapekitError, match=r"paused \(EOM\) at byte 65536 of the image, and no"):
        await back_up(scene.client, PLAN, next_tape=none_left if has_way else None)
    await scene.client.close()


@pytest.mark.parametrize("reason", [MoverPauseReason.EOF, 4])
async def test_a_pause_without_a_cure_fails(
    scene: Any, script: Script, nursery: trio.Nursery, reason: int
) -> None:
    script.prepared(MoverMode.READ)
    script.mover_listens(MoverMode.READ, AddrType.LOCAL, m.LocalAddr())
    paused = m.NotifyMoverPausedPost(reason=reason, seek_position=9)
    script.data_connects(m.LocalAddr()).backup_starts(paused).cleaned_up()
    nursery.start_soon(scene.dialogue.run)
    name = reason.name if isinstance(reason, MoverPauseReason) else "4"
    with pytest.raises(OperationFailed, match=f"during a backup for {name} at byte 9"):
        await back_up(scene.client, PLAN)
    await scene.client.close()


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
    assert trio.current_time() - started >= 120
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
    with pytest.raises(ConnectionLost, match="the server closed it"):
        async with trio.open_nursery() as servers:
            servers.start_soon(scene.dialogue.run)
            servers.start_soon(other_scene.dialogue.run)
            try:
                await back_up(scene.client, PLAN, tape=other_scene.client)
            except ConnectionLost as lost:
                failure = lost
            await scene.client.close()
            await other_scene.client.close()
        raise failure


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


# Restore.

PARTS = (ImagePart(FIRST, 0, 1000), ImagePart(SECOND, 1000, 500))
RECOVER = RecoverPlan(parts=PARTS, environment=SAVED)


def seek(position: int, reason: int = MoverPauseReason.SEEK) -> m.NotifyMoverPausedPost:
    return m.NotifyMoverPausedPost(reason=reason, seek_position=position)


@pytest.fixture
def local_recovery(script: Script) -> Script:
    """A restore on one session, up to its start."""
    script.prepared(MoverMode.WRITE, 0, 1000)
    script.mover_listens(MoverMode.WRITE, AddrType.LOCAL, m.LocalAddr())
    return script.data_connects(m.LocalAddr())


async def test_a_local_restore(
    scene: Any, local_recovery: Script, nursery: trio.Nursery
) -> None:
    names = (m.Name(original_path="/a", destination_path="/vs1/vol1/b"),)
    local_recovery.recovery_starts(MOVER_DONE, DATA_DONE, names=names)
    local_recovery.data_is(DataState.HALTED, 900).tape_closed().stopped()
    nursery.start_soon(scene.dialogue.run)
    plan = msgspec.structs.replace(RECOVER, names=names)
    assert (await recover(scene.client, plan)).bytes_processed == 900
    await scene.client.close()


async def test_a_mover_that_waits_for_reads_is_closed(
    scene: Any, local_recovery: Script, nursery: trio.Nursery
) -> None:
    local_recovery.recovery_starts(DATA_DONE)
    local_recovery.dialogue.expect(
        m.MoverCloseRequest(), m.MoverCloseReply(error=OK), MOVER_DONE
    )
    local_recovery.data_is(DataState.HALTED).tape_closed().stopped()
    nursery.start_soon(scene.dialogue.run)
    await recover(scene.client, RECOVER)
    await scene.client.close()


async def test_a_mover_that_closes_by_itself_meanwhile_is_fine(
    scene: Any, local_recovery: Script, nursery: trio.Nursery
) -> None:
    local_recovery.recovery_starts(DATA_DONE, MOVER_DONE)
    local_recovery.refused(m.MoverCloseRequest(), NdmpError.ILLEGAL_STATE_ERR)
    local_recovery.data_is(DataState.HALTED).tape_closed().stopped()
    nursery.start_soon(scene.dialogue.run)
    await recover(scene.client, RECOVER)
    await scene.client.close()


async def test_another_refusal_to_close_comes_out(
    scene: Any, local_recovery: Script, nursery: trio.Nursery
) -> None:
    local_recovery.recovery_starts(DATA_DONE)
    local_recovery.refused(m.MoverCloseRequest(), NdmpError.IO_ERR).cleaned_up()
    nursery.start_soon(scene.dialogue.run)
    with pytest.raises(NdmpReplyError, match="MOVER_CLOSE was refused: IO_ERR"):
        await recover(scene.client, RECOVER)
    await scene.client.close()


async def test_a_three_way_restore_passes_reads_on(
    scene: Any, other_scene: Any, script: Script, tape_script: Script, nursery: trio.Nursery
) -> None:
    tape_script.prepared(MoverMode.WRITE, 0, 1000)
    tape_script.mover_listens(MoverMode.WRITE, AddrType.TCP, TCP_ADDR)
    script.data_connects(TCP_ADDR)
    script.recovery_starts(m.NotifyDataReadPost(offset=1024, length=512))
    tape_script.granted(m.MoverReadRequest(offset=1024, length=512))
    tape_script.dialogue.post(MOVER_DONE)
    script.dialogue.post(DATA_DONE)
    script.data_is(DataState.HALTED)
    tape_script.tape_closed()
    script.granted(m.DataStopRequest())
    tape_script.granted(m.MoverStopRequest())

    async def tolerant(dialogue: Any) -> None:
        """Whether the mover is closed depends on which post is heard first."""
        await dialogue.run()

    nursery.start_soon(tolerant, other_scene.dialogue)
    async with trio.open_nursery() as data_server:
        data_server.start_soon(scene.dialogue.run)
        await recover(scene.client, RECOVER, tape=other_scene.client)
        await scene.client.close()
    await other_scene.client.close()


@pytest.mark.parametrize(
    "pause", [seek(1200), seek(1200, MoverPauseReason.EOW), seek(1000, MoverPauseReason.EOF)]
)
@pytest.mark.parametrize("has_way", [False, True])
async def test_the_next_part_is_found_and_loaded(
    scene: Any,
    local_recovery: Script,
    nursery: trio.Nursery,
    pause: m.NotifyMoverPausedPost,
    has_way: bool,
) -> None:
    wanted: list[ImagePart] = []
    elsewhere = TapeAt("nrst3a", 1)

    async def next_tape(want: TapeWanted) -> TapeAt:
        await trio.lowlevel.checkpoint()
        wanted.append(want.part)
        return elsewhere

    local_recovery.recovery_starts(pause)
    place = elsewhere if has_way else SECOND
    local_recovery.tape_closed().opened(place, TapeOpenMode.READ).window(1000, 500)
    local_recovery.granted(m.MoverContinueRequest())
    local_recovery.dialogue.post(MOVER_DONE, DATA_DONE)
    local_recovery.data_is(DataState.HALTED).tape_closed().stopped()
    nursery.start_soon(scene.dialogue.run)
    await recover(scene.client, RECOVER, next_tape=next_tape if has_way else None)
    assert wanted == ([PARTS[1]] if has_way else [])
    await scene.client.close()


@pytest.mark.parametrize("pause", [seek(1500), seek(2000), seek(1500, MoverPauseReason.EOM)])
async def test_behind_the_image_the_stream_is_closed(
    scene: Any, script: Script, nursery: trio.Nursery, pause: m.NotifyMoverPausedPost
) -> None:
    script.granted(m.MoverSetRecordSizeRequest(len=65536))
    script.opened(FIRST, TapeOpenMode.READ).window(1000, 500)
    script.mover_listens(MoverMode.WRITE, AddrType.LOCAL, m.LocalAddr())
    script.data_connects(m.LocalAddr()).recovery_starts(pause)
    script.dialogue.expect(
        m.MoverCloseRequest(), m.MoverCloseReply(error=OK), MOVER_DONE, DATA_DONE
    )
    script.data_is(DataState.HALTED).tape_closed().stopped()
    nursery.start_soon(scene.dialogue.run)
    last = ImagePart(FIRST, 1000, 500)
    await recover(scene.client, msgspec.structs.replace(RECOVER, parts=(last,)))
    await scene.client.close()


@pytest.mark.parametrize("pause", [seek(0), seek(999), seek(1, 4)])
async def test_a_position_on_no_tape_fails(
    scene: Any, script: Script, nursery: trio.Nursery, pause: m.NotifyMoverPausedPost
) -> None:
    script.granted(m.MoverSetRecordSizeRequest(len=65536))
    script.opened(FIRST, TapeOpenMode.READ).window(1000, 500)
    script.mover_listens(MoverMode.WRITE, AddrType.LOCAL, m.LocalAddr())
    script.data_connects(m.LocalAddr()).recovery_starts(pause).cleaned_up()
    nursery.start_soon(scene.dialogue.run)
    last = ImagePart(FIRST, 1000, 500)
    with pytest.raises(OperationFailed, match=f"at byte {pause.seek_position} of the image"):
        await recover(scene.client, msgspec.structs.replace(RECOVER, parts=(last,)))
    await scene.client.close()


async def test_an_older_part_is_found_again(
    scene: Any, local_recovery: Script, nursery: trio.Nursery
) -> None:
    local_recovery.recovery_starts(seek(1200))
    local_recovery.tape_closed().opened(SECOND, TapeOpenMode.READ).window(1000, 500)
    local_recovery.granted(m.MoverContinueRequest()).dialogue.post(seek(10))
    local_recovery.tape_closed().opened(FIRST, TapeOpenMode.READ).window(0, 1000)
    local_recovery.granted(m.MoverContinueRequest())
    local_recovery.dialogue.post(MOVER_DONE, DATA_DONE)
    local_recovery.data_is(DataState.HALTED).tape_closed().stopped()
    nursery.start_soon(scene.dialogue.run)
    await recover(scene.client, RECOVER)
    await scene.client.close()


def test_a_part_holds_its_bytes_and_an_endless_one_all_that_follow() -> None:
    part = ImagePart(FIRST, 1000, 500)
    assert [part.holds(at) for at in (999, 1000, 1499, 1500)] == [False, True, True, False]
    assert ImagePart(FIRST, 1000).holds(UNLIMITED - 1)
