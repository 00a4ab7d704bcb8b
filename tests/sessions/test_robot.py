"""A session moves cartridges with the robot of the virtual library."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tapekit.scsi.cdb import changer_command, tape_command
from tapekit.scsi.elements import Element, ElementType, decode_elements
from tapekit.scsi.inquiry import DeviceType, decode_inquiry
from tapekit.scsi.sense import SenseKey
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import CdbAnswer, NdmpClient, scsi, tape
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import (
    UNLIMITED,
    AddrType,
    MoverHaltReason,
    MoverMode,
    MoverPauseReason,
    TapeOpenMode,
)

if TYPE_CHECKING:
    from session_stack import ServedStack

RECORD_BYTES = 8192


async def elements(client: NdmpClient) -> list[Element]:
    """What is where, asked over the open changer."""
    room = 65536
    status = changer_command("READ ELEMENT STATUS")
    cdb = status.build(tags=1, count=0xFFFF, allocation=room)
    answer = await scsi.execute(client, cdb, data_in=room)
    assert answer.is_good
    return decode_elements(answer.data)


async def move(client: NdmpClient, source: int, destination: int) -> CdbAnswer:
    command = changer_command("MOVE MEDIUM")
    return await scsi.execute(client, command.build(source=source, destination=destination))


async def change_to(client: NdmpClient, cartridge: str) -> None:
    """Take what is in the first drive home, and put a cartridge in."""
    await scsi.open_device(client, "mc0")
    found = await elements(client)
    drive = next(each for each in found if each.type is ElementType.DRIVE)
    if drive.volume_tag is not None:
        assert drive.source is not None
        assert (await move(client, drive.address, drive.source)).is_good
    slot = next(each for each in found if each.volume_tag == cartridge)
    assert (await move(client, slot.address, drive.address)).is_good
    await scsi.close(client)


@pytest.mark.requirement("R106")
async def test_one_session_changes_tapes_while_its_mover_is_paused(stack: ServedStack) -> None:
    """The one device of a session is by turns the drive and the changer."""
    names = ["VT0003", "VT0004", "VT0005"]
    data = [bytes([number]) * RECORD_BYTES for number in range(12)]
    async with stack.client() as client:
        await client.call(m.MoverSetRecordSizeRequest(len=RECORD_BYTES))
        await change_to(client, names[0])
        await tape.open_device(client, "nrst0a", TapeOpenMode.RDWR)
        window = 5 * RECORD_BYTES
        await client.call(m.MoverSetWindowRequest(offset=0, length=window))
        listening = await client.call(
            m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.TCP)
        )
        assert isinstance(listening.connect_addr, m.TcpAddrs)
        port = listening.connect_addr.tcp_addr[0].port
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(b"".join(data))
        for number in (1, 2):
            paused = await client.wait_for(m.NotifyMoverPausedPost)
            assert paused.reason is MoverPauseReason.EOW
            await tape.close(client)
            await change_to(client, names[number])
            await tape.open_device(client, "nrst0a", TapeOpenMode.RDWR)
            length = window if number == 1 else UNLIMITED
            await client.call(m.MoverSetWindowRequest(offset=number * window, length=length))
            await client.call(m.MoverContinueRequest())
        halted = await client.wait_for(m.NotifyMoverHaltedPost)
        assert halted.reason is MoverHaltReason.CONNECT_CLOSED
        await tape.close(client)
        await client.call(m.MoverStopRequest())
        assert [await records(client, name) for name in names] == [data[:5], data[5:10], data[10:]]


async def records(client: NdmpClient, cartridge: str) -> list[bytes]:
    """All records of a cartridge that has one tape file."""
    await change_to(client, cartridge)
    await tape.open_device(client, "nrst0a", TapeOpenMode.READ)
    found: list[bytes] = []
    with pytest.raises(NdmpReplyError, match="EOM_ERR"):
        await read_to_the_end(client, found)
    await tape.close(client)
    return found


async def read_to_the_end(client: NdmpClient, found: list[bytes]) -> None:
    while True:
        reply = await client.call(m.TapeReadRequest(count=RECORD_BYTES))
        found.append(reply.data_in)


async def test_the_robot_says_what_it_cannot_do(stack: ServedStack) -> None:
    async with stack.client() as client:
        await scsi.open_device(client, "mc0")
        before = await elements(client)
        slots = [each for each in before if each.type is ElementType.STORAGE]
        full = next(each.address for each in slots if each.is_full)
        empty = next(each.address for each in slots if not each.is_full)
        drive = next(each.address for each in before if each.type is ElementType.DRIVE)
        answers = [
            await move(client, empty, full),
            await move(client, full, drive),
            await move(client, 60000, empty),
        ]
        told = [(each.sense.key, each.sense.asc, each.sense.ascq) for each in answers if each.sense]
        illegal = SenseKey.ILLEGAL_REQUEST
        assert told == [(illegal, 0x3B, 0x0E), (illegal, 0x3B, 0x0D), (illegal, 0x21, 0x01)]
        assert await elements(client) == before


async def test_drives_and_changers_say_what_they_are(stack: ServedStack) -> None:
    cdb = tape_command("INQUIRY").build(allocation=96)
    async with stack.client() as client:
        await scsi.open_device(client, "mc0")
        answer = await scsi.execute(client, cdb, data_in=96)
        assert decode_inquiry(answer.data).type == DeviceType.CHANGER
        await scsi.close(client)
        await tape.open_device(client, "nrst1a", TapeOpenMode.RAW)
        answer = await scsi.execute_on_tape(client, cdb, data_in=96)
        assert decode_inquiry(answer.data).type == DeviceType.TAPE
        await tape.close(client)
        await scsi.open_device(client, "rst1a")
        answer = await scsi.execute(client, cdb, data_in=96)
        assert decode_inquiry(answer.data).type == DeviceType.TAPE


@pytest.mark.requirement("R106")
async def test_a_command_to_the_drive_moves_the_tape(stack: ServedStack) -> None:
    async with stack.client() as client:
        await tape.open_device(client, "nrst0a", TapeOpenMode.RDWR)
        for number in range(3):
            await client.call(m.TapeWriteRequest(data_out=bytes([number]) * 512))
        await tape.write_filemarks(client, 1)
        rewind = tape_command("REWIND").build()
        assert (await scsi.execute_on_tape(client, rewind)).is_good
        state = await client.call(m.TapeGetStateRequest())
        assert (state.file_num, state.blockno) == (0, 0)
        back = tape_command("SPACE(6)").build(code=1, count=1)
        assert (await scsi.execute_on_tape(client, back)).is_good
        state = await client.call(m.TapeGetStateRequest())
        assert (state.file_num, state.blockno) == (1, 0)


async def test_another_session_cannot_have_the_changer(stack: ServedStack) -> None:
    async with stack.client() as first, stack.client() as second:
        await scsi.open_device(first, "mc0")
        with pytest.raises(NdmpReplyError, match="DEVICE_BUSY_ERR"):
            await scsi.open_device(second, "mc0")
        await scsi.close(first)
        await scsi.open_device(second, "mc0")
