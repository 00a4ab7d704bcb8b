"""SCSI requests of the client, and what it makes of the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tapekit.scsi.door import ScsiAddress
from tapekit.scsi.sense import Sense, SenseKey, encode_sense
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import CdbAnswer, scsi
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import NdmpError

if TYPE_CHECKING:
    import trio

OK = NdmpError.NO_ERR
INQUIRY = bytes.fromhex("12 00 00 00 24 00")
MOVE_MEDIUM = bytes.fromhex("a5 00 0000 0400 0100 00 00 00 00")


async def test_a_device_is_opened_found_reset_and_closed(scene: Any, nursery: trio.Nursery) -> None:
    scene.dialogue.expect(m.ScsiOpenRequest(device="mc0"), m.ScsiOpenReply(error=OK))
    scene.dialogue.expect(
        m.ScsiGetStateRequest(),
        m.ScsiGetStateReply(error=OK, target_controller=-1, target_id=4, target_lun=0),
    )
    scene.dialogue.expect(m.ScsiResetDeviceRequest(), m.ScsiResetDeviceReply(error=OK))
    scene.dialogue.expect(m.ScsiCloseRequest(), m.ScsiCloseReply(error=OK))
    nursery.start_soon(scene.dialogue.run)
    await scsi.open_device(scene.client, "mc0")
    assert await scsi.address(scene.client) == ScsiAddress(-1, 4, 0)
    await scsi.reset(scene.client)
    await scsi.close(scene.client)
    await scene.client.close()


@pytest.mark.parametrize(
    ("execute", "request_type", "reply_type"),
    [
        (scsi.execute, m.ScsiExecuteCdbRequest, m.ScsiExecuteCdbReply),
        (scsi.execute_on_tape, m.TapeExecuteCdbRequest, m.TapeExecuteCdbReply),
    ],
    ids=["SCSI_EXECUTE_CDB", "TAPE_EXECUTE_CDB"],
)
async def test_commands_go_out_with_their_direction_and_time(
    scene: Any, nursery: trio.Nursery, execute: Any, request_type: Any, reply_type: Any
) -> None:
    nothing = {"error": OK, "status": 0, "dataout_len": 0, "datain": b"", "ext_sense": b""}
    scene.dialogue.expect(
        request_type(flags=1, timeout=1500, datain_len=36, cdb=INQUIRY, dataout=b""),
        reply_type(**nothing | {"datain": b"\x08answer"}),
    )
    scene.dialogue.expect(
        request_type(flags=2, timeout=0, datain_len=0, cdb=INQUIRY, dataout=b"list"),
        reply_type(**nothing | {"dataout_len": 3}),
    )
    scene.dialogue.expect(
        request_type(flags=0, timeout=300_000, datain_len=0, cdb=MOVE_MEDIUM, dataout=b""),
        reply_type(**nothing),
    )
    scene.dialogue.expect(
        request_type(flags=0, timeout=1, datain_len=0, cdb=MOVE_MEDIUM, dataout=b""),
        reply_type(**nothing | {"error": NdmpError.TIMEOUT_ERR}),
    )
    nursery.start_soon(scene.dialogue.run)
    told = await execute(scene.client, INQUIRY, data_in=36, timeout_s=1.5)
    assert told == CdbAnswer(0, b"\x08answer", 0, b"")
    assert told.is_good
    assert told.sense is None
    told = await execute(scene.client, INQUIRY, data_out=b"list", timeout_s=None)
    assert told.written == 3
    assert (await execute(scene.client, MOVE_MEDIUM)).is_good
    with pytest.raises(NdmpReplyError) as refused:
        await execute(scene.client, MOVE_MEDIUM, timeout_s=0)
    assert refused.value.code is NdmpError.TIMEOUT_ERR
    await scene.client.close()


async def test_a_check_condition_is_an_answer_with_its_sense(
    scene: Any, nursery: trio.Nursery
) -> None:
    sense = Sense(SenseKey.ILLEGAL_REQUEST, 0x3B, 0x0E)
    scene.dialogue.expect(
        m.ScsiExecuteCdbRequest(
            flags=0, timeout=300_000, datain_len=0, cdb=MOVE_MEDIUM, dataout=b""
        ),
        m.ScsiExecuteCdbReply(
            error=OK, status=2, dataout_len=0, datain=b"", ext_sense=encode_sense(sense)
        ),
    )
    nursery.start_soon(scene.dialogue.run)
    told = await scsi.execute(scene.client, MOVE_MEDIUM)
    assert not told.is_good
    assert told.sense == sense
    assert str(told.sense) == "5/3B/0E, medium source element empty"
    await scene.client.close()


@pytest.mark.parametrize("data", [b"", b"\x70", b"\x00" * 18, b"\xff" * 40], ids=bytes.hex)
def test_sense_data_that_cannot_be_read_is_no_sense(data: bytes) -> None:
    assert CdbAnswer(2, b"", 0, data).sense is None
