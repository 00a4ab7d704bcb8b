"""Restore, message by message, on one session and on two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio
import trio.testing

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import (
    ImagePart,
    RecoverPlan,
    TapeAt,
    TapeWanted,
    recover,
)
from tapekit_ndmp_v4.errors import NdmpReplyError, OperationFailed
from tapekit_ndmp_v4.numbers import (
    UNLIMITED,
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
    from tests.plugins.ndmp_v4.client.conftest import Script

OK = NdmpError.NO_ERR
TCP_ADDR = m.TcpAddrs(tcp_addr=(m.TcpAddr(ip=0x7F00_0001, port=4444, addr_env=()),))

ENV = (("FILESYSTEM", "/vs1/vol1"), ("LEVEL", "0"))
SAVED = (*ENV, ("DUMP_DATE", "7"))
FIRST, SECOND = TapeAt("nrst0a", 2), TapeAt("nrst1a")

DATA_DONE = m.NotifyDataHaltedPost(reason=DataHaltReason.SUCCESSFUL)
MOVER_DONE = m.NotifyMoverHaltedPost(reason=MoverHaltReason.CONNECT_CLOSED)


PARTS = (ImagePart(FIRST, 0, 1000), ImagePart(SECOND, 1000, 500))
RECOVER = RecoverPlan(parts=PARTS, environment=SAVED)


def seek(position: int, reason: int = MoverPauseReason.SEEK) -> m.NotifyMoverPausedPost:
    return m.NotifyMoverPausedPost(reason=reason, seek_position=position)


async def test_a_local_restore(scene: Any, local_recovery: Script, nursery: trio.Nursery) -> None:
    names = (m.Name(original_path="/a", destination_path="/vs1/vol1/b"),)
    local_recovery.recovery_starts(MOVER_DONE, DATA_DONE, names=names)
    local_recovery.data_is(DataState.HALTED, 900).mover_is(MoverState.HALTED, 1000)
    local_recovery.tape_closed().stopped()
    nursery.start_soon(scene.dialogue.run)
    plan = msgspec.structs.replace(RECOVER, names=names)
    result = await recover(scene.client, plan)
    assert (result.bytes_processed, result.bytes_moved) == (900, 1000)
    await scene.client.close()


async def test_a_mover_that_waits_for_reads_is_closed(
    scene: Any, local_recovery: Script, nursery: trio.Nursery
) -> None:
    local_recovery.recovery_starts(DATA_DONE)
    local_recovery.dialogue.expect(m.MoverCloseRequest(), m.MoverCloseReply(error=OK), MOVER_DONE)
    local_recovery.data_is(DataState.HALTED).mover_is(MoverState.HALTED).tape_closed().stopped()
    nursery.start_soon(scene.dialogue.run)
    await recover(scene.client, RECOVER)
    await scene.client.close()


async def test_a_mover_that_closes_by_itself_meanwhile_is_fine(
    scene: Any, local_recovery: Script, nursery: trio.Nursery
) -> None:
    local_recovery.recovery_starts(DATA_DONE, MOVER_DONE)
    local_recovery.refused(m.MoverCloseRequest(), NdmpError.ILLEGAL_STATE_ERR)
    local_recovery.data_is(DataState.HALTED).mover_is(MoverState.HALTED).tape_closed().stopped()
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
    script.recovery_starts(m.NotifyDataReadPost(offset=1024, length=512), DATA_DONE)
    tape_script.granted(m.MoverReadRequest(offset=1024, length=512))
    tape_script.dialogue.expect(m.MoverCloseRequest(), m.MoverCloseReply(error=OK), MOVER_DONE)
    script.data_is(DataState.HALTED)
    tape_script.mover_is(MoverState.HALTED).tape_closed()
    script.granted(m.DataStopRequest())
    tape_script.granted(m.MoverStopRequest())
    nursery.start_soon(scene.dialogue.run)
    nursery.start_soon(other_scene.dialogue.run)
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
    local_recovery.data_is(DataState.HALTED).mover_is(MoverState.HALTED).tape_closed().stopped()
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
    script.data_is(DataState.HALTED).mover_is(MoverState.HALTED).tape_closed().stopped()
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
    local_recovery.data_is(DataState.HALTED).mover_is(MoverState.HALTED).tape_closed().stopped()
    nursery.start_soon(scene.dialogue.run)
    await recover(scene.client, RECOVER)
    await scene.client.close()


def test_a_part_holds_its_bytes_and_an_endless_one_all_that_follow() -> None:
    part = ImagePart(FIRST, 1000, 500)
    assert [part.holds(at) for at in (999, 1000, 1499, 1500)] == [False, True, True, False]
    assert ImagePart(FIRST, 1000).holds(UNLIMITED - 1)
