"""SCSI_OPEN to SCSI_CLOSE, and commands to a tape drive, over a connection."""

from __future__ import annotations

import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from memory_devices import (
    INQUIRY,
    NOT_READY,
    TEST_UNIT_READY,
    WRITE_BUFFER,
    Asked,
    MemoryDevices,
)
from session_stack import ServedStack, clock, serving
from tapekit.hookspecs.tape_driver import Condition
from tapekit.kernel import assemble, installed
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import (
    UNLIMITED,
    AddrType,
    AuthType,
    CdbFlag,
    MoverHaltReason,
    MoverMode,
    NdmpError,
    TapeOpenMode,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tapekit_ndmp_v4.client import NdmpClient

STACK = """
plugins = ["ndmp_v4", "transport_tcp", "tape_devices", "mover", "doors"]
[transport_tcp]
listen = ["127.0.0.1:0"]
"""

OPEN_CHANGER = m.ScsiOpenRequest(device="mc0")
OPEN_TAPE = m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR)


@pytest.fixture
def devices() -> MemoryDevices:
    return MemoryDevices()


@pytest.fixture
async def doors(tmp_path: Path, devices: MemoryDevices) -> AsyncIterator[ServedStack]:
    """A stack with these devices that needs no password."""
    file = tmp_path / "tapekit.toml"
    file.write_text(STACK)
    kernel = assemble(file, [*installed(), devices.available()], clock=clock)
    async with serving(tmp_path, kernel) as served:
        yield served


@asynccontextmanager
async def session(stack: ServedStack) -> AsyncIterator[NdmpClient]:
    async with stack.stranger() as client:
        await client.open()
        await client.authenticate(AuthType.NONE)
        yield client


@pytest.fixture
async def client(doors: ServedStack) -> AsyncIterator[NdmpClient]:
    async with session(doors) as one:
        yield one


async def refused(call: Awaitable[object]) -> int:
    """The error code of a call that must be refused."""
    with pytest.raises(NdmpReplyError) as caught:
        await call
    assert caught.value.reply is not None, "refused in the body, not in the header"
    return caught.value.code


def scsi(cdb: bytes, **more: Any) -> m.ScsiExecuteCdbRequest:
    fields = {"flags": 0, "timeout": 0, "datain_len": 0, "dataout": b"", **more}
    return m.ScsiExecuteCdbRequest(cdb=cdb, **fields)


def to_tape(cdb: bytes, **more: Any) -> m.TapeExecuteCdbRequest:
    fields = {"flags": 0, "timeout": 0, "datain_len": 0, "dataout": b"", **more}
    return m.TapeExecuteCdbRequest(cdb=cdb, **fields)


EXECUTE = pytest.mark.parametrize(
    ("open_", "command", "door"),
    [(OPEN_CHANGER, scsi, "changer_door"), (OPEN_TAPE, to_tape, "drive_door")],
    ids=["SCSI_EXECUTE_CDB", "TAPE_EXECUTE_CDB"],
)


def cdb(code: int, length: int = 6) -> bytes:
    return bytes([code]).ljust(length, b"\0")


async def test_changers_are_listed_with_their_paths_and_serial_numbers(
    client: NdmpClient,
) -> None:
    reply = await client.call(m.ConfigGetScsiInfoRequest())
    assert [each.model for each in reply.scsi_info] == ["EXAMPLE DOORS", "EXAMPLE DOORS"]
    (first,), (second,) = (each.caplist for each in reply.scsi_info)
    assert (first.device, second.device) == ("mc0", "mc1")
    assert dict(map(tuple, first.capability)) == {
        "PHYSICAL_PATH": "d.robot0",
        "SERIAL_NUMBER": "SN-robot0",
    }


@EXECUTE
async def test_a_command_that_reads_brings_its_data(
    client: NdmpClient,
    devices: MemoryDevices,
    open_: Any,
    command: Callable[..., Any],
    door: str,
) -> None:
    await client.call(open_)
    reply = await client.call(
        command(cdb(INQUIRY), flags=CdbFlag.DATA_IN, datain_len=36, timeout=1500)
    )
    assert (reply.status, reply.dataout_len, reply.ext_sense) == (0, 0, b"")
    assert reply.datain == (b"\x08" + b"TAPEKIT" * 5)
    assert getattr(devices, door).asked == [Asked(cdb(INQUIRY), b"", 36, 1.5)]


@EXECUTE
async def test_a_command_that_writes_says_how_much_was_taken(
    client: NdmpClient,
    devices: MemoryDevices,
    open_: Any,
    command: Callable[..., Any],
    door: str,
) -> None:
    await client.call(open_)
    request = command(cdb(WRITE_BUFFER, 10), flags=CdbFlag.DATA_OUT, dataout=b"parameters")
    reply = await client.call(request)
    assert (reply.status, reply.dataout_len, reply.datain) == (0, 10, b"")
    assert getattr(devices, door).asked == [Asked(request.cdb, b"parameters", 0, None)]


@EXECUTE
async def test_a_check_condition_is_no_error(
    client: NdmpClient,
    devices: MemoryDevices,
    open_: Any,
    command: Callable[..., Any],
    door: str,
) -> None:
    await client.call(open_)
    reply = await client.call(command(cdb(TEST_UNIT_READY)))
    assert (reply.error, reply.status, reply.ext_sense) == (NdmpError.NO_ERR, 2, NOT_READY)
    assert getattr(devices, door).asked == [Asked(cdb(TEST_UNIT_READY), b"", 0, None)]


@EXECUTE
async def test_data_of_the_other_direction_stays_out(
    client: NdmpClient,
    devices: MemoryDevices,
    open_: Any,
    command: Callable[..., Any],
    door: str,
) -> None:
    await client.call(open_)
    await client.call(command(cdb(TEST_UNIT_READY), datain_len=100, dataout=b"left over"))
    await client.call(
        command(cdb(INQUIRY), flags=CdbFlag.DATA_IN, datain_len=5, dataout=b"left over")
    )
    assert [(each.data_out, each.data_in) for each in getattr(devices, door).asked] == [
        (b"", 0),
        (b"", 5),
    ]


@EXECUTE
@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"flags": 3}, "the flags 0x3 of a SCSI command"),
        ({"flags": 4}, "the flags 0x4 of a SCSI command"),
        ({"cdb": b""}, "6 to 16 bytes, and not 0"),
        ({"cdb": bytes(5)}, "6 to 16 bytes, and not 5"),
        ({"cdb": bytes(17)}, "6 to 16 bytes, and not 17"),
        ({"flags": 1, "datain_len": 1 << 20 | 1}, "asks for 1048577 bytes of data"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
async def test_what_no_device_can_be_asked_is_refused(
    client: NdmpClient,
    devices: MemoryDevices,
    open_: Any,
    command: Callable[..., Any],
    door: str,
    fields: dict[str, Any],
    told: str,
) -> None:
    said: list[m.LogMessagePost] = []
    client.on_post(m.LogMessagePost, said.append)
    await client.call(open_)
    request = command(**{"cdb": cdb(TEST_UNIT_READY), **fields})
    assert await refused(client.call(request)) == NdmpError.ILLEGAL_ARGS_ERR
    assert told in said[0].entry
    assert getattr(devices, door).asked == []


@EXECUTE
@pytest.mark.parametrize(
    ("condition", "code"),
    [
        (Condition.TIMEOUT, NdmpError.TIMEOUT_ERR),
        (Condition.NO_DEVICE, NdmpError.NO_DEVICE_ERR),
        (Condition.HARDWARE_ERROR, NdmpError.IO_ERR),
    ],
    ids=lambda value: value.name,
)
async def test_a_device_that_does_not_answer_is_an_error(
    client: NdmpClient,
    devices: MemoryDevices,
    open_: Any,
    command: Callable[..., Any],
    door: str,
    condition: Condition,
    code: NdmpError,
) -> None:
    getattr(devices, door).fails[TEST_UNIT_READY] = condition
    await client.call(open_)
    assert await refused(client.call(command(cdb(TEST_UNIT_READY)))) == code
    reply = await client.call(command(cdb(INQUIRY), flags=CdbFlag.DATA_IN, datain_len=1))
    assert reply.datain == b"\x08"


async def test_where_the_device_is(client: NdmpClient) -> None:
    await client.call(OPEN_CHANGER)
    reply = await client.call(m.ScsiGetStateRequest())
    assert (reply.target_controller, reply.target_id, reply.target_lun) == (1, 2, 3)


async def test_a_device_is_reset(client: NdmpClient, devices: MemoryDevices) -> None:
    await client.call(OPEN_CHANGER)
    await client.call(m.ScsiResetDeviceRequest())
    assert devices.changer_door.resets == 1
    devices.changer_door.reset_fails = Condition.BAD_REQUEST
    assert await refused(client.call(m.ScsiResetDeviceRequest())) == NdmpError.NOT_SUPPORTED_ERR
    devices.changer_door.reset_fails = Condition.HARDWARE_ERROR
    assert await refused(client.call(m.ScsiResetDeviceRequest())) == NdmpError.IO_ERR


@pytest.mark.parametrize(
    "request_",
    [
        m.ScsiCloseRequest(),
        m.ScsiGetStateRequest(),
        m.ScsiResetDeviceRequest(),
        scsi(cdb(INQUIRY)),
        to_tape(cdb(INQUIRY)),
    ],
    ids=lambda request: type(request).__name__,
)
async def test_without_a_device_nothing_can_be_asked(client: NdmpClient, request_: Any) -> None:
    assert await refused(client.call(request_)) == NdmpError.DEV_NOT_OPEN_ERR


async def test_an_unknown_device_is_told_by_what_there_is(client: NdmpClient) -> None:
    said: list[m.LogMessagePost] = []
    client.on_post(m.LogMessagePost, said.append)
    for name in ("mc7", "/dev/sg0", ""):
        request = m.ScsiOpenRequest(device=name)
        assert await refused(client.call(request)) == NdmpError.NO_DEVICE_ERR
    assert 'no media changer "mc7"' in said[0].entry


async def test_a_device_without_a_door_is_not_supported_and_not_held(
    doors: ServedStack, client: NdmpClient
) -> None:
    for name in ("mc1", "nrst1a"):
        request = m.ScsiOpenRequest(device=name)
        assert await refused(client.call(request)) == NdmpError.NOT_SUPPORTED_ERR
    inventory = doors.kernel.tape_inventory
    assert {row.holder for row in (*inventory.changers(), *inventory.drives())} == {None}
    await client.call(m.TapeOpenRequest(device="nrst1a", mode=TapeOpenMode.READ))
    assert await refused(client.call(to_tape(cdb(INQUIRY)))) == NdmpError.NOT_SUPPORTED_ERR


async def test_a_session_has_one_device(client: NdmpClient) -> None:
    await client.call(OPEN_CHANGER)
    for request in (OPEN_CHANGER, OPEN_TAPE, m.ScsiOpenRequest(device="mc1")):
        assert await refused(client.call(request)) == NdmpError.DEVICE_OPENED_ERR
    await client.call(m.ScsiCloseRequest())
    await client.call(OPEN_TAPE)
    for request in (OPEN_CHANGER, OPEN_TAPE):
        assert await refused(client.call(request)) == NdmpError.DEVICE_OPENED_ERR
    await client.call(m.TapeCloseRequest())
    await client.call(OPEN_CHANGER)


async def test_a_device_of_another_session_is_busy_until_that_ends(
    doors: ServedStack, client: NdmpClient, devices: MemoryDevices
) -> None:
    async with session(doors) as other:
        await other.call(OPEN_CHANGER)
        assert await refused(client.call(OPEN_CHANGER)) == NdmpError.DEVICE_BUSY_ERR
    with trio.fail_after(60):
        while devices.changer.is_open:
            await trio.lowlevel.checkpoint()
    await client.call(OPEN_CHANGER)
    assert doors.kernel.tape_inventory.changers()[0].holder is not None


async def test_a_tape_drive_can_be_a_scsi_device(
    doors: ServedStack, client: NdmpClient, devices: MemoryDevices
) -> None:
    await client.call(m.ScsiOpenRequest(device="rst0a"))
    await client.call(scsi(cdb(INQUIRY), flags=CdbFlag.DATA_IN, datain_len=1))
    assert len(devices.drive_door.asked) == 1
    async with session(doors) as other:
        assert await refused(other.call(OPEN_TAPE)) == NdmpError.DEVICE_BUSY_ERR
    await client.call(m.ScsiCloseRequest())
    await client.call(OPEN_TAPE)


@pytest.mark.parametrize(
    "code", [0x0A, 0x10, 0x15, 0x19, 0x3B, 0x55, 0x5F, 0x82, 0x8A, 0x8D, 0xB5, 0xC0], ids=hex
)
async def test_a_command_cannot_change_what_was_opened_for_reading(
    client: NdmpClient, devices: MemoryDevices, code: int
) -> None:
    await client.call(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.READ))
    assert await refused(client.call(to_tape(cdb(code)))) == NdmpError.PERMISSION_ERR
    assert devices.drive_door.asked == []
    await client.call(m.TapeCloseRequest())
    await client.call(OPEN_TAPE)
    await client.call(to_tape(cdb(code)))
    assert [each.cdb[0] for each in devices.drive_door.asked] == [code]


async def test_the_drive_belongs_to_a_working_mover(
    client: NdmpClient, devices: MemoryDevices
) -> None:
    await client.call(OPEN_TAPE)
    await client.call(m.MoverSetWindowRequest(offset=0, length=UNLIMITED))
    listening = await client.call(m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.TCP))
    assert isinstance(listening.connect_addr, m.TcpAddrs)
    stream = await trio.open_tcp_stream("127.0.0.1", listening.connect_addr.tcp_addr[0].port)
    async with stream:
        with trio.fail_after(60):
            while (await client.call(m.MoverGetStateRequest())).state != 2:
                await trio.lowlevel.checkpoint()
        assert await refused(client.call(to_tape(cdb(INQUIRY)))) == NdmpError.ILLEGAL_STATE_ERR
        assert await refused(client.call(OPEN_CHANGER)) == NdmpError.DEVICE_OPENED_ERR
    await client.wait_for(m.NotifyMoverHaltedPost)
    await client.call(to_tape(cdb(INQUIRY)))
    assert len(devices.drive_door.asked) == 1
    await client.call(m.MoverStopRequest())


async def test_a_connected_mover_waits_for_the_request_that_has_the_drive(
    client: NdmpClient, devices: MemoryDevices, nursery: trio.Nursery
) -> None:
    devices.drive_door.holds = has_come, may_end = threading.Event(), threading.Event()
    await client.call(OPEN_TAPE)
    await client.call(m.MoverSetRecordSizeRequest(len=4))
    listening = await client.call(m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.TCP))
    assert isinstance(listening.connect_addr, m.TcpAddrs)
    nursery.start_soon(client.call, to_tape(cdb(INQUIRY)))
    assert await trio.to_thread.run_sync(has_come.wait, 10)
    stream = await trio.open_tcp_stream("127.0.0.1", listening.connect_addr.tcp_addr[0].port)
    async with stream:
        await stream.send_all(b"data")
    await trio.testing.wait_all_tasks_blocked(0.05)
    assert devices.tape.items == []
    may_end.set()
    halted = await client.wait_for(m.NotifyMoverHaltedPost)
    assert halted.reason is MoverHaltReason.CONNECT_CLOSED
    assert devices.tape.items == [b"data"]
    await client.call(m.MoverStopRequest())


async def test_a_mover_that_listens_keeps_its_tape(client: NdmpClient) -> None:
    await client.call(OPEN_TAPE)
    await client.call(m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.TCP))
    assert await refused(client.call(m.TapeCloseRequest())) == NdmpError.ILLEGAL_STATE_ERR
    await client.call(m.MoverAbortRequest())
    await client.call(m.TapeCloseRequest())
    await client.call(m.MoverStopRequest())


async def test_a_stack_without_devices_says_so(tmp_path: Path) -> None:
    file = tmp_path / "tapekit.toml"
    file.write_text(STACK.replace('"tape_devices", "mover", "doors"', '"mover"'))
    kernel = assemble(file, installed(), clock=clock)
    async with serving(tmp_path, kernel) as stack, session(stack) as client:
        said: list[m.LogMessagePost] = []
        client.on_post(m.LogMessagePost, said.append)
        assert (await client.call(m.ConfigGetScsiInfoRequest())).scsi_info == ()
        assert await refused(client.call(OPEN_CHANGER)) == NdmpError.NO_DEVICE_ERR
        assert "there is no device mc0" in said[0].entry
