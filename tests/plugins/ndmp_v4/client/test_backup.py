"""Backup, message by message, on one session and on two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio
import trio.testing

from tapekit.errors import TapekitError
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import (
    BackupPlan,
    Connecting,
    ImagePart,
    TapeAt,
    TapeWanted,
    back_up,
)
from tapekit_ndmp_v4.errors import OperationFailed
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

if TYPE_CHECKING:
    from tests.plugins.ndmp_v4.client.conftest import Script

OK = NdmpError.NO_ERR
TCP_ADDR = m.TcpAddrs(tcp_addr=(m.TcpAddr(ip=0x7F00_0001, port=4444, addr_env=()),))

ENV = (("FILESYSTEM", "/vs1/vol1"), ("LEVEL", "0"))
SAVED = (*ENV, ("DUMP_DATE", "7"))
FIRST, SECOND = TapeAt("nrst0a", 2), TapeAt("nrst1a")

DATA_DONE = m.NotifyDataHaltedPost(reason=DataHaltReason.SUCCESSFUL)
MOVER_DONE = m.NotifyMoverHaltedPost(reason=MoverHaltReason.CONNECT_CLOSED)

PLAN = BackupPlan(tape=FIRST, environment=ENV)


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
