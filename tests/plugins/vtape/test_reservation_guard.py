"""Two stacks at one library: drives and changer keep them apart as reservations say."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tapekit.hookspecs.tape_driver import Condition
from tapekit.scsi.cdb import changer_command, tape_command
from tapekit.scsi.door import CdbReply, Status
from tapekit.scsi.reservations import (
    InAction,
    MoveList,
    OutAction,
    OutList,
    Registration,
    ReservationType,
    decode_capabilities,
    decode_full_status,
    decode_keys,
    decode_reservation,
    encode_move_list,
    encode_out_list,
)
from tapekit.scsi.sense import decode_sense
from tapekit_vtape.driver import VtapeDriver
from tapekit_vtape.settings import VtapeSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tapekit.scsi.door import CdbDoor

SIZE = 512


class Stack(NamedTuple):
    """A stack that uses the library, under a name of its own."""

    driver: VtapeDriver

    def drive(self) -> Any:
        return self.driver.open_drive("0")

    def changer(self) -> Any:
        return self.driver.open_changer("changer")


def stack(directory: Path, name: str) -> Stack:
    settings = VtapeSettings(drives=2, slots=500, durability="none", initiator=name)
    driver = VtapeDriver(settings)
    driver.settle(directory)
    return Stack(driver)


@pytest.fixture
def stacks(robot: Any, tmp_path: Path) -> tuple[Stack, Stack]:
    robot.insert_new()
    return stack(tmp_path, "left"), stack(tmp_path, "right")


def send(door: CdbDoor, name: str, data: bytes = b"", **values: int) -> CdbReply:
    block = tape_command(name).build(**values)
    return door.execute(block, data_out=data, data_in=1 << 12)


def said(reply: CdbReply) -> str:
    if reply.status == Status.CHECK_CONDITION:
        return str(decode_sense(reply.sense)).partition(",")[0]
    return Status(reply.status).name


def out(door: CdbDoor, action: int, key: int = 0, service: int = 0, **values: int) -> str:
    data = encode_out_list(OutList(key, service, persists=bool(values.pop("persists", 0))))
    values = {"type": ReservationType.EXCLUSIVE_ACCESS, "list_length": len(data), **values}
    return said(send(door, "PERSISTENT RESERVE OUT", data, service_action=action, **values))


def ask(door: CdbDoor, action: int) -> bytes:
    return send(door, "PERSISTENT RESERVE IN", service_action=action, allocation=512).data


def write(drive: Any, data: bytes) -> int:
    count: int = drive.write_records([memoryview(data)], SIZE)
    return count


def test_a_reserved_drive_is_one_stacks(
    stacks: tuple[Stack, Stack], condition_of: Callable[..., Condition]
) -> None:
    left, right = stacks
    drive = left.drive()
    assert said(send(drive.door, "RESERVE(6)")) == "GOOD"
    drive.close()
    other = right.drive()
    assert condition_of(other.status) is Condition.RESERVED
    assert condition_of(lambda: write(other, b"x" * SIZE)) is Condition.RESERVED
    assert condition_of(other.rewind) is Condition.RESERVED
    for name in ("TEST UNIT READY", "REWIND", "RESERVE(6)", "PERSISTENT RESERVE OUT"):
        assert said(send(other.door, name)) == "RESERVATION_CONFLICT"
    assert said(send(other.door, "INQUIRY", allocation=36)) == "GOOD"
    assert said(send(other.door, "RELEASE(6)")) == "GOOD"
    assert said(send(other.door, "REWIND")) == "RESERVATION_CONFLICT"
    other.close()
    drive = left.drive()
    assert said(send(drive.door, "RELEASE(6)")) == "GOOD"
    drive.close()
    other = right.drive()
    assert other.status().has_tape
    other.close()


@pytest.mark.requirement("R031")
def test_a_reset_lets_another_have_a_simple_reservation(stacks: tuple[Stack, Stack]) -> None:
    left, right = stacks
    drive = left.drive()
    send(drive.door, "RESERVE(6)")
    other = right.drive()
    other.door.reset()
    assert said(send(other.door, "RESERVE(6)")) == "6/29/03"
    assert said(send(other.door, "RESERVE(6)")) == "GOOD"
    assert said(send(drive.door, "REWIND")) == "6/29/03"
    assert said(send(drive.door, "REWIND")) == "RESERVATION_CONFLICT"
    drive.close()
    assert said(send(other.door, "REWIND")) == "GOOD"
    other.close()


@pytest.mark.requirement("R032")
def test_a_persistent_reservation_is_preempted_while_the_holder_works(
    stacks: tuple[Stack, Stack], condition_of: Callable[..., Condition]
) -> None:
    left, right = stacks
    drive = left.drive()
    assert out(drive.door, OutAction.REGISTER, 0, 0xA) == "GOOD"
    assert out(drive.door, OutAction.RESERVE, 0xA) == "GOOD"
    write(drive, b"a" * SIZE)
    drive.door.reset()
    assert said(send(drive.door, "TEST UNIT READY")) == "6/29/03"
    other = right.drive()
    assert said(send(other.door, "REWIND")) == "RESERVATION_CONFLICT"
    assert out(other.door, OutAction.RESERVE, 0xB) == "RESERVATION_CONFLICT"
    assert out(other.door, OutAction.REGISTER, 0, 0xB) == "GOOD"
    assert out(other.door, OutAction.PREEMPT, 0xB, 0xA) == "GOOD"
    # What the holder had written before is on the tape; nothing follows it.
    assert condition_of(lambda: write(drive, b"b" * SIZE)) is Condition.RESERVED
    assert condition_of(lambda: write(drive, b"b" * SIZE)) is Condition.RESERVED
    # The tape is loaded in the other process's drive until that lets it go.
    assert condition_of(other.status) is Condition.BUSY
    assert said(send(other.door, "TEST UNIT READY")) == "2/04/07"
    drive.close()
    other.rewind()
    assert other.read_record(SIZE) == b"a" * SIZE
    other.close()


def test_who_has_reserved_can_be_asked_by_anybody(stacks: tuple[Stack, Stack]) -> None:
    left, right = stacks
    drive = left.drive()
    assert out(drive.door, OutAction.REGISTER, 0, 0xA, persists=1) == "GOOD"
    assert out(drive.door, OutAction.RESERVE, 0xA) == "GOOD"
    drive.close()
    other = right.drive()
    assert decode_keys(ask(other.door, InAction.READ_KEYS)) == (1, (0xA,))
    assert decode_reservation(ask(other.door, InAction.READ_RESERVATION)) == (1, 0xA, 3)
    can = decode_capabilities(ask(other.door, InAction.REPORT_CAPABILITIES))
    assert can == (frozenset(ReservationType), True, True)
    full = send(other.door, "PERSISTENT RESERVE IN", service_action=4, allocation=512)
    assert said(full) == "5/24/00"
    other.close()


def test_a_stack_is_named_by_its_host_and_folder(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    unnamed = stack(folder, "")
    unnamed.driver.library.create("5E1A1", [])
    drive = unnamed.drive()
    assert said(send(drive.door, "RESERVE(6)")) == "GOOD"
    holder = unnamed.driver.library.reservations.state("drive-0").simple
    assert holder == f"{os.uname().nodename}:{tmp_path.resolve()}/caf\\xe9"
    drive.close()


def test_commands_that_are_not_in_order_are_refused(stacks: tuple[Stack, Stack]) -> None:
    drive = stacks[0].drive()
    assert out(drive.door, OutAction.REGISTER, 0, 1, list_length=23) == "5/1A/00"
    assert out(drive.door, OutAction.REGISTER, 0, 1, scope=1) == "5/24/00"
    assert out(drive.door, 9, 0, 1) == "5/24/00"
    drive.close()


def test_a_drive_that_nobody_has_reserved_is_busy_while_it_is_used(
    stacks: tuple[Stack, Stack], condition_of: Callable[..., Condition]
) -> None:
    left, right = stacks
    drive = left.drive()
    assert condition_of(right.drive) is Condition.BUSY
    drive.close()


def test_the_changer_is_reserved_alike(
    stacks: tuple[Stack, Stack], condition_of: Callable[..., Condition]
) -> None:
    left, right = (one.changer() for one in stacks)
    reserve = changer_command("RESERVE(6)").build()
    assert left.door.execute(reserve).status == Status.GOOD
    assert right.door.execute(reserve).status == Status.RESERVATION_CONFLICT
    for work in (
        right.elements,
        right.initialize,
        lambda: right.move(256, 1024),
        lambda: right.exchange(256, 257, 1024),
    ):
        assert condition_of(work) is Condition.RESERVED
    left.move(256, 1030)
    assert stacks[0].drive().status().has_tape is False


HOLDER = """
import sys
from pathlib import Path
from tapekit_vtape.driver import VtapeDriver
from tapekit_vtape.settings import VtapeSettings
driver = VtapeDriver(VtapeSettings(drives=2, slots=500, initiator="holder"))
driver.settle(Path(sys.argv[1]))
drive = driver.open_drive("0")
for block, data in eval(sys.argv[2]):
    assert drive.door.execute(block, data_out=data).status == 0
drive.write_records([memoryview(b"h" * 512)], 512)
print("reserved", flush=True)
sys.stdin.read()
"""


@pytest.mark.requirement("R032")
@pytest.mark.parametrize("method", ["scsi", "persistent"])
def test_a_reservation_outlives_the_process_that_was_killed(
    stacks: tuple[Stack, Stack], tmp_path: Path, method: str
) -> None:
    right = stacks[1]
    register = (
        tape_command("PERSISTENT RESERVE OUT").build(list_length=24),
        encode_out_list(OutList(0, 0xA)),
    )
    take = (
        tape_command("PERSISTENT RESERVE OUT").build(service_action=1, type=3, list_length=24),
        encode_out_list(OutList(0xA)),
    )
    simple = (tape_command("RESERVE(6)").build(), b"")
    commands = [simple] if method == "scsi" else [register, take]
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path), repr(commands)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"reserved\n"
        other = right.drive()
        assert said(send(other.door, "REWIND")) == "RESERVATION_CONFLICT"
        holder.kill()
    assert said(send(other.door, "REWIND")) == "RESERVATION_CONFLICT"
    if method == "scsi":
        other.door.reset()
        assert said(send(other.door, "TEST UNIT READY")) == "6/29/03"
        assert said(send(other.door, "RESERVE(6)")) == "GOOD"
    else:
        assert out(other.door, OutAction.REGISTER, 0, 0xB) == "GOOD"
        assert out(other.door, OutAction.PREEMPT, 0xB, 0xA) == "GOOD"
    other.rewind()
    assert other.read_record(SIZE) == b"h" * SIZE
    other.close()


# Other initiators by their names, and power.


def move(door: CdbDoor, wanted: MoveList, **values: int) -> str:
    data = encode_move_list(wanted)
    values = {"type": ReservationType.EXCLUSIVE_ACCESS, "list_length": len(data), **values}
    action = OutAction.REGISTER_AND_MOVE
    return said(send(door, "PERSISTENT RESERVE OUT", data, service_action=action, **values))


def held(stacks: tuple[Stack, Stack], **values: int) -> tuple[Any, Any]:
    """Both have the drive open, and the left one has reserved it under key 1."""
    left = stacks[0].drive()
    assert out(left.door, OutAction.REGISTER, 0, 1, **values) == "GOOD"
    assert out(left.door, OutAction.RESERVE, 1) == "GOOD"
    return left, stacks[1].drive()


def test_the_full_status_names_all_who_have_registered(stacks: tuple[Stack, Stack]) -> None:
    left, right = held(stacks)
    assert out(right.door, OutAction.REGISTER, 0, 2) == "GOOD"
    status = decode_full_status(ask(right.door, InAction.READ_FULL_STATUS))
    assert status.registrations == (
        Registration(1, "left", ReservationType.EXCLUSIVE_ACCESS),
        Registration(2, "right"),
    )
    left.close()
    right.close()


@pytest.mark.parametrize("unregisters", [False, True])
def test_a_reservation_is_moved_to_another_initiator(
    stacks: tuple[Stack, Stack], unregisters: bool
) -> None:
    left, right = held(stacks)
    wanted = MoveList(1, 7, "right", unregisters=unregisters)
    assert move(left.door, wanted) == "GOOD"
    found = decode_reservation(ask(right.door, InAction.READ_RESERVATION))
    assert (found.key, found.type) == (7, ReservationType.EXCLUSIVE_ACCESS)
    keys = decode_keys(ask(right.door, InAction.READ_KEYS)).keys
    assert sorted(keys) == ([7] if unregisters else [1, 7])
    assert said(send(left.door, "REWIND")) == "RESERVATION_CONFLICT"
    assert out(right.door, OutAction.RELEASE, 7) == "GOOD"
    left.close()
    right.close()


@pytest.mark.parametrize(
    ("wanted", "values", "answer"),
    [
        (MoveList(2, 7, "right"), {}, "RESERVATION_CONFLICT"),
        (MoveList(1, 0, "right"), {}, "5/26/00"),
        (MoveList(1, 7, "left"), {}, "5/26/00"),
        (MoveList(1, 7, "right"), {"type": ReservationType.WRITE_EXCLUSIVE}, "5/24/00"),
        (MoveList(1, 7, "right"), {"list_length": 20}, "5/1A/00"),
    ],
)
def test_a_move_that_is_not_in_order_moves_nothing(
    stacks: tuple[Stack, Stack], wanted: MoveList, values: dict[str, int], answer: str
) -> None:
    left, right = held(stacks)
    assert move(left.door, wanted, **values) == answer
    assert move(right.door, MoveList(0, 7, "right")) == "RESERVATION_CONFLICT"
    assert decode_reservation(ask(left.door, InAction.READ_RESERVATION)).key == 1
    left.close()
    right.close()


@pytest.mark.requirement("R032")
@pytest.mark.parametrize("persists", [0, 1])
def test_a_reservation_outlives_a_loss_of_power_if_it_is_to(
    stacks: tuple[Stack, Stack], persists: int
) -> None:
    left, right = held(stacks, persists=persists)
    stacks[1].driver.of().cut_power()
    assert said(send(left.door, "TEST UNIT READY")) == "6/29/03"
    assert said(send(right.door, "TEST UNIT READY")) == "6/29/03"
    found = decode_reservation(ask(right.door, InAction.READ_RESERVATION))
    assert (found.key, found.generation) == (persists, 0)
    assert out(right.door, OutAction.REGISTER, 0, 2) == "GOOD"
    answer = out(right.door, OutAction.RESERVE, 2)
    assert answer == ("RESERVATION_CONFLICT" if persists else "GOOD")
    left.close()
    right.close()


def test_a_simple_reservation_is_gone_with_the_power(stacks: tuple[Stack, Stack]) -> None:
    left = stacks[0].drive()
    assert said(send(left.door, "RESERVE(6)")) == "GOOD"
    right = stacks[1].drive()
    stacks[0].driver.of().cut_power()
    assert said(send(right.door, "TEST UNIT READY")) == "6/29/03"
    assert said(send(right.door, "RESERVE(6)")) == "GOOD"
    left.close()
    right.close()
