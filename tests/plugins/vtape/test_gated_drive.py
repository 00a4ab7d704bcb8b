"""Faults on cue, as callers of a drive and as SCSI initiators meet them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.cdb import changer_command, tape_command
from tapekit.scsi.door import CdbReply, Status
from tapekit.scsi.log import SEQUENTIAL_PAGE, VOLUME_PAGE, decode_alerts, decode_log
from tapekit.scsi.sense import decode_sense
from tapekit.testing import bytes_of
from tapekit_vtape.faults import DeviceFault, FaultKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit_vtape.gated_drive import GatedDrive

SIZE = 512


def arm(robot: Any, kind: FaultKind, **fields: Any) -> None:
    robot.driver.arm(DeviceFault(kind=kind, **fields))


def records(first: int, count: int) -> list[bytes]:
    return [bytes([number]) * SIZE for number in range(first, first + count)]


def write(drive: GatedDrive, data: list[bytes]) -> int:
    return drive.write_records([memoryview(b"".join(data))], SIZE)


def read(drive: GatedDrive, count: int = 100) -> list[bytes]:
    """So many records at most, up to whatever ends them."""
    found: list[bytes] = []
    while len(found) < count:
        try:
            found.append(drive.read_record(SIZE))
        except TapeError:
            break
    return found


def send(drive: GatedDrive, name: str, data: bytes = b"", **values: int) -> CdbReply:
    assert drive.door is not None
    return drive.door.execute(tape_command(name).build(**values), data_out=data, data_in=1 << 16)


def said(reply: CdbReply) -> str:
    """The status, and the sense data if there is any."""
    if reply.status == Status.CHECK_CONDITION:
        return str(decode_sense(reply.sense)).partition(",")[0]
    return Status(reply.status).name


# The medium.


def test_a_bad_record_stops_writing_and_all_before_it_is_there(
    robot: Any, condition_of: Callable[..., Condition]
) -> None:
    drive = robot.fresh()
    arm(robot, FaultKind.WRITE_ERROR, record=3)
    assert write(drive, records(0, 8)) == 3
    assert condition_of(lambda: write(drive, records(3, 5))) is Condition.MEDIUM_ERROR
    assert said(send(drive, "WRITE(6)", b"x" * SIZE, count=SIZE)) == "3/0C/00"
    drive.write_filemarks(1)
    drive.close()
    again = robot.open()
    again.rewind()
    assert read(again) == records(0, 3)


def test_a_bad_record_is_counted_over_tape_files(robot: Any) -> None:
    drive = robot.fresh()
    arm(robot, FaultKind.WRITE_ERROR, record=3)
    write(drive, records(0, 2))
    drive.write_filemarks(2)
    assert write(drive, records(2, 2)) == 1


def test_a_record_that_cannot_be_read_ends_a_run(
    robot: Any, condition_of: Callable[..., Condition]
) -> None:
    drive = robot.fresh()
    write(drive, records(0, 6))
    drive.rewind()
    arm(robot, FaultKind.READ_ERROR, record=4, times=2)
    room = memoryview(bytearray(1 << 16))
    run = drive.read_records(room, len(room), SIZE)
    assert (run.records, bytes_of(run.pieces)) == (4, b"".join(records(0, 4)))
    assert condition_of(lambda: drive.read_records(room, len(room), SIZE)) is Condition.MEDIUM_ERROR
    assert said(send(drive, "READ(6)", count=SIZE)) == "3/11/00"
    assert read(drive) == records(4, 2), "the fault has struck twice"


def test_a_bad_record_also_keeps_the_short_one_behind_it(robot: Any) -> None:
    drive = robot.fresh()
    write(drive, records(0, 2))
    drive.write_records([memoryview(b"short")], 5)
    drive.rewind()
    arm(robot, FaultKind.READ_ERROR, record=2)
    run = drive.read_records(memoryview(bytearray(4096)), 4096, SIZE)
    assert (run.records, run.length) == (2, 2 * SIZE)


def test_fixed_blocks_before_a_bad_one_come_with_the_residue(robot: Any) -> None:
    drive = robot.fresh()
    write(drive, records(0, 4))
    drive.rewind()
    block = bytes.fromhex("00 00 10 08 00 000000 00 000200")
    assert said(send(drive, "MODE SELECT(6)", block, page_format=1, list_length=12)) == "GOOD"
    arm(robot, FaultKind.READ_ERROR, record=3)
    reply = send(drive, "READ(6)", fixed=1, count=4)
    assert reply.data == b"".join(records(0, 3))
    assert (said(reply), decode_sense(reply.sense).information) == ("3/11/00", 1)


def test_a_tape_that_seems_protected(robot: Any, condition_of: Callable[..., Condition]) -> None:
    drive = robot.fresh()
    arm(robot, FaultKind.WRITE_PROTECTED)
    assert drive.status().write_protected
    assert condition_of(lambda: write(drive, records(0, 1))) is Condition.WRITE_PROTECTED
    assert said(send(drive, "WRITE(6)", b"x", count=1)) == "7/27/00"
    robot.driver.faults.clear()
    assert write(drive, records(0, 1)) == 1


def test_a_tape_that_the_drive_does_not_see(
    robot: Any, condition_of: Callable[..., Condition]
) -> None:
    drive = robot.fresh()
    write(drive, records(0, 1))
    arm(robot, FaultKind.NO_TAPE)
    assert not drive.status().has_tape
    assert condition_of(drive.rewind) is Condition.NO_TAPE
    assert said(send(drive, "TEST UNIT READY")) == "2/3A/00"
    robot.driver.faults.clear()
    drive.rewind()
    assert read(drive) == records(0, 1)


def test_a_tape_that_ends_early(robot: Any, condition_of: Callable[..., Condition]) -> None:
    drive = robot.fresh()
    arm(robot, FaultKind.EARLY_WARNING, byte=2 * SIZE)
    arm(robot, FaultKind.END_OF_MEDIUM, byte=5 * SIZE)
    assert drive.status().remaining_bytes == 5 * SIZE
    assert write(drive, records(0, 4)) == 2
    assert condition_of(lambda: write(drive, records(2, 4))) is Condition.EARLY_WARNING
    assert said(send(drive, "WRITE(6)", records(2, 1)[0], count=SIZE)) == "0/00/02"
    assert write(drive, records(3, 4)) == 2
    assert condition_of(lambda: write(drive, records(5, 1))) is Condition.END_OF_MEDIUM
    assert condition_of(lambda: drive.write_filemarks(1)) is Condition.END_OF_MEDIUM
    drive.rewind()
    assert read(drive) == records(0, 5)


@pytest.mark.parametrize("cut", [0, 1, SIZE, 2 * SIZE + 17, 4 * SIZE - 1])
def test_power_that_fails_in_a_write_loses_that_write_alone(
    robot: Any, condition_of: Callable[..., Condition], cut: int
) -> None:
    barcode = robot.insert_new()
    drive = robot.open()
    write(drive, records(0, 3))
    arm(robot, FaultKind.TORN_WRITE, byte=3 * SIZE + cut)
    assert condition_of(lambda: write(drive, records(3, 4))) is Condition.TIMEOUT
    assert condition_of(drive.status) is Condition.TIMEOUT
    with pytest.raises(TapeError) as caught:
        send(drive, "TEST UNIT READY")
    assert caught.value.condition is Condition.TIMEOUT
    assert (robot.library.folder(barcode) / "payload").stat().st_size == 3 * SIZE + cut
    drive.close()
    again = robot.open()
    again.rewind()
    assert read(again) == records(0, 3)
    assert write(again, records(20, 2)) == 2
    again.rewind()
    assert read(again) == [*records(0, 3), *records(20, 2)]


def test_a_slow_drive_takes_its_time(tmp_path: Any, robot_in: Any) -> None:
    waited: list[float] = []
    robot = robot_in(tmp_path, wait=waited.append)
    drive = robot.fresh()
    arm(robot, FaultKind.SLOW, bytes_per_second=SIZE << 10)
    write(drive, records(0, 4))
    drive.rewind()
    room = memoryview(bytearray(1 << 16))
    drive.read_record(SIZE)
    assert drive.read_records(room, len(room), SIZE).records == 3
    assert waited == [4 / 1024, 1 / 1024, 3 / 1024]


# The drive.


def test_a_drive_that_asks_to_be_cleaned_works(robot: Any) -> None:
    drive = robot.fresh()
    arm(robot, FaultKind.CLEANING, drive=0)
    assert write(drive, records(0, 1)) == 1
    assert said(send(drive, "TEST UNIT READY")) == "GOOD"
    assert str(decode_sense(send(drive, "REQUEST SENSE", allocation=18).data)) == (
        "0/00/17, cleaning requested"
    )
    page = send(drive, "LOG SENSE", page=0x2E, control=1, allocation=4096).data
    assert decode_alerts(page) == {20}
    robot.driver.faults.clear()
    page = send(drive, "LOG SENSE", page=0x2E, control=1, allocation=4096).data
    assert decode_alerts(page) == set()


@pytest.mark.parametrize(
    ("kind", "condition", "sense", "looks"),
    [
        (FaultKind.HARDWARE_ERROR, Condition.HARDWARE_ERROR, "4/44/00", "GOOD"),
        (FaultKind.NOT_READY, Condition.NOT_READY, "2/04/01", "2/04/01"),
        (FaultKind.RESERVED, Condition.RESERVED, "RESERVATION_CONFLICT", "RESERVATION_CONFLICT"),
    ],
)
def test_a_drive_that_refuses_has_done_nothing(
    robot: Any,
    condition_of: Callable[..., Condition],
    kind: FaultKind,
    condition: Condition,
    sense: str,
    looks: str,
) -> None:
    drive = robot.fresh()
    write(drive, records(0, 3))
    arm(robot, kind)
    for move in (
        lambda: write(drive, records(3, 1)),
        lambda: drive.read_record(SIZE),
        lambda: drive.write_filemarks(1),
        lambda: drive.space_records(-1),
        lambda: drive.space_filemarks(-1),
        drive.rewind,
        drive.unload,
        drive.load,
    ):
        assert condition_of(move) is condition
    assert said(send(drive, "REWIND")) == sense
    assert said(send(drive, "TEST UNIT READY")) == looks
    assert said(send(drive, "INQUIRY", allocation=36)) == "GOOD"
    robot.driver.faults.clear()
    assert drive.status().position == (0, 3)


def test_after_the_way_was_down_the_tape_has_to_be_rewound(
    robot: Any, condition_of: Callable[..., Condition]
) -> None:
    drive = robot.fresh()
    write(drive, records(0, 3))
    arm(robot, FaultKind.OFFLINE, times=2)
    assert condition_of(lambda: write(drive, records(3, 1))) is Condition.TIMEOUT
    with pytest.raises(TapeError, match="the way to it is down"):
        send(drive, "INQUIRY", allocation=36)
    assert drive.status().position == (None, None)
    assert condition_of(lambda: write(drive, records(3, 1))) is Condition.HARDWARE_ERROR
    drive.rewind()
    assert drive.status().position == (0, 0)
    assert read(drive) == records(0, 3)


# The changer.


def test_a_robot_that_is_jammed_moves_nothing(
    robot: Any, condition_of: Callable[..., Condition]
) -> None:
    robot.insert_new()
    changer = robot.driver.changer()
    before = changer.elements()
    arm(robot, FaultKind.JAM, times=2)
    assert condition_of(lambda: changer.move(256, 1400)) is Condition.HARDWARE_ERROR
    block = changer_command("MOVE MEDIUM").build(source=256, destination=1400)
    assert said(changer.door.execute(block)) == "4/15/01"
    assert changer.elements() == before
    changer.move(256, 1400)
    assert changer.elements() != before


def test_a_changer_that_is_busy_says_so(robot: Any, condition_of: Callable[..., Condition]) -> None:
    changer = robot.driver.changer()
    arm(robot, FaultKind.CHANGER_BUSY, times=2)
    assert condition_of(changer.elements) is Condition.NOT_READY
    assert said(changer.door.execute(changer_command("TEST UNIT READY").build())) == "2/04/01"
    assert len(changer.elements()) > 500


def test_what_the_drive_wants_is_known_when_it_is_closed(robot: Any) -> None:
    drive = robot.open()
    arm(robot, FaultKind.CLEANING, drive=0)
    page = send(drive, "LOG SENSE", control=1, page=SEQUENTIAL_PAGE, allocation=512).data
    wanted = dict(decode_log(page, SEQUENTIAL_PAGE))[0x100]
    assert int.from_bytes(wanted, "big") == 1
    drive.close()
    robot.driver.faults.clear()
    drive.close()
    assert drive.alerts == {20: "clean now"}


def test_what_is_on_the_tape_is_counted_wherever_the_head_is(robot: Any) -> None:
    drive = robot.fresh()
    drive.write_records([memoryview(bytes(3_000_000))], 1_000_000)
    drive.space_records(-1)
    page = send(drive, "LOG SENSE", control=1, page=SEQUENTIAL_PAGE, allocation=512).data
    told = {code: int.from_bytes(value, "big") for code, value in decode_log(page, SEQUENTIAL_PAGE)}
    assert (told[4], told[7]) == (3, 2)
    drive.rewind()
    page = send(drive, "LOG SENSE", control=1, page=VOLUME_PAGE, allocation=512).data
    used = dict(decode_log(page, VOLUME_PAGE))[0x17]
    assert int.from_bytes(used, "big") == 3
