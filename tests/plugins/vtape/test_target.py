"""What every virtual device does with commands, good and bad."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.cdb import TAPE_COMMANDS, tape_command
from tapekit.scsi.door import CdbReply, Status
from tapekit.scsi.inquiry import decode_designators, decode_inquiry, decode_page_list, decode_serial
from tapekit.scsi.sense import Sense, decode_sense
from tapekit_vtape.errors import CATALOGUE
from tapekit_vtape.identity import drive_identity
from tapekit_vtape.target import RESET, Answer, Request, TargetDoor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tapekit_vtape.target import Handler


class MemoryGuard:
    """Lets everybody in, or nobody; with news on demand."""

    def __init__(self) -> None:
        self.handlers: Mapping[str, Handler] = {"RESERVE(6)": lambda _request: Answer()}
        self.waiting: list[Sense] = []
        self.is_reserved = False
        self.was_reset = 0

    def refuse(self, command: str) -> None:
        if self.is_reserved and command != "LOG SENSE":
            raise CATALOGUE.raised_as(
                TapeError,
                "reserved-by-other",
                condition=Condition.RESERVED,
                drive="v.2",
                holder="another",
            )

    def news(self) -> Sense | None:
        return self.waiting.pop(0) if self.waiting else None

    def reset(self) -> None:
        self.was_reset += 1


class MemoryDevice:
    """A device that rewinds, with news on demand."""

    def __init__(self) -> None:
        self.identity = drive_identity("S", 2)
        self.commands = TAPE_COMMANDS
        self.busy = Sense(2, 4, 7)
        self.handlers = {"REWIND": self._rewind, "MODE SELECT(6)": self._select}
        self.waiting: list[Sense] = []
        self.fails: Condition | None = None
        self.is_dirty = False
        self.was_reset = 0
        self.rewound = 0

    def _rewind(self, _request: Request) -> Answer:
        if self.fails is not None:
            raise CATALOGUE.raised_as(TapeError, "no-tape", condition=self.fails, drive="v.2")
        self.rewound += 1
        return Answer()

    def _select(self, request: Request) -> Answer:
        return Answer(written=request.values["list_length"])

    def news(self) -> Sense | None:
        return self.waiting.pop(0) if self.waiting else None

    def wish(self) -> Sense:
        return Sense(0, 0, 0x17) if self.is_dirty else Sense(0)

    def reset(self) -> None:
        self.was_reset += 1


@pytest.fixture
def device() -> MemoryDevice:
    return MemoryDevice()


@pytest.fixture
def guard() -> MemoryGuard:
    return MemoryGuard()


@pytest.fixture
def door(device: MemoryDevice, guard: MemoryGuard) -> TargetDoor:
    return TargetDoor(device, guard)


def run(door: TargetDoor, name: str, room: int = 512, data: bytes = b"", **values: int) -> CdbReply:
    block = tape_command(name).build(**values)
    return door.execute(block, data_in=room, data_out=data)


def sense_of(reply: CdbReply) -> str:
    assert reply.status == Status.CHECK_CONDITION
    return str(decode_sense(reply.sense)).partition(",")[0]


def test_the_device_says_who_it_is(door: TargetDoor) -> None:
    inquiry = decode_inquiry(run(door, "INQUIRY", allocation=96).data)
    assert (inquiry.type, inquiry.vendor, inquiry.product) == (1, "TAPEKIT", "VIRTUAL-TAPE")
    pages = run(door, "INQUIRY", vital=1, allocation=96).data
    assert decode_page_list(pages) == {0x00, 0x80, 0x83}
    serial = run(door, "INQUIRY", vital=1, page=0x80, allocation=96).data
    assert decode_serial(serial) == "SD02"
    found = run(door, "INQUIRY", vital=1, page=0x83, allocation=96).data
    assert decode_designators(found) == list(drive_identity("S", 2).designators)
    assert door.address == (0, 2, 0)


def test_answers_are_cut_by_what_the_client_allows(door: TargetDoor) -> None:
    assert len(run(door, "INQUIRY", allocation=5).data) == 5
    assert len(run(door, "INQUIRY", room=7, allocation=96).data) == 7
    assert run(door, "INQUIRY", allocation=0).data == b""


@pytest.mark.parametrize(
    ("block", "sense"),
    [
        ("", "5/20/00"),
        ("ff 00 00 00 00 00", "5/20/00"),
        ("0a 00 00 00 01 00", "5/20/00"),
        ("01 00", "5/24/00"),
        ("01 40 00 00 00 00", "5/24/00"),
        ("12 00 80 00 ff 00", "5/24/00"),
        ("12 01 99 00 ff 00", "5/24/00"),
        ("15 10 00 00 0c 00", "5/1A/00"),
    ],
)
def test_what_is_not_in_order_is_refused(door: TargetDoor, block: str, sense: str) -> None:
    assert sense_of(door.execute(bytes.fromhex(block), data_in=255)) == sense


def test_the_wrong_field_is_pointed_at(door: TargetDoor) -> None:
    reply = door.execute(bytes.fromhex("01 00 00 01 00 00"))
    assert decode_sense(reply.sense).field == 3


def test_a_unit_attention_comes_before_the_next_command(
    door: TargetDoor, device: MemoryDevice
) -> None:
    device.waiting.append(Sense(6, 0x28, 0))
    assert run(door, "INQUIRY", allocation=36).status == Status.GOOD
    assert sense_of(run(door, "REWIND")) == "6/28/00"
    assert device.rewound == 0
    assert run(door, "REWIND").status == Status.GOOD
    assert device.rewound == 1


def test_request_sense_takes_a_unit_attention_away(door: TargetDoor, device: MemoryDevice) -> None:
    device.waiting.append(Sense(6, 0x28, 0))
    data = run(door, "REQUEST SENSE", allocation=18).data
    assert decode_sense(data) == Sense(6, 0x28, 0)
    again = run(door, "REQUEST SENSE", allocation=18, descriptor=1).data
    assert decode_sense(again) == Sense(0)
    assert again[0] == 0x72
    assert run(door, "REWIND").status == Status.GOOD


def test_a_reset_is_told_once(door: TargetDoor, device: MemoryDevice) -> None:
    device.waiting.append(Sense(6, 0x28, 0))
    run(door, "REQUEST SENSE", allocation=18)
    door.reset()
    assert device.was_reset == 1
    assert sense_of(run(door, "REWIND")) == "6/29/03"
    assert run(door, "REWIND").status == Status.GOOD


@pytest.mark.parametrize(
    ("condition", "sense"),
    [
        (Condition.NO_TAPE, "2/3A/00"),
        (Condition.BUSY, "2/04/07"),
        (Condition.MEDIUM_ERROR, "3/11/00"),
        (Condition.HARDWARE_ERROR, "4/44/00"),
        (Condition.WRITE_PROTECTED, "7/27/00"),
        (Condition.NOT_PERMITTED, "4/44/00"),
    ],
)
def test_conditions_become_sense_data(
    door: TargetDoor, device: MemoryDevice, condition: Condition, sense: str
) -> None:
    device.fails = condition
    assert sense_of(run(door, "REWIND")) == sense


def test_a_device_that_does_not_answer_has_no_sense_data(
    door: TargetDoor, device: MemoryDevice
) -> None:
    device.fails = Condition.TIMEOUT
    with pytest.raises(TapeError) as caught:
        run(door, "REWIND")
    assert caught.value.condition is Condition.TIMEOUT


def test_a_reservation_conflict_is_a_status(door: TargetDoor, device: MemoryDevice) -> None:
    device.fails = Condition.RESERVED
    assert run(door, "REWIND") == CdbReply(Status.RESERVATION_CONFLICT)


def test_a_device_that_wishes_for_something_says_so_when_asked(
    door: TargetDoor, device: MemoryDevice
) -> None:
    device.is_dirty = True
    told = decode_sense(run(door, "REQUEST SENSE", allocation=18).data)
    assert str(told) == "0/00/17, cleaning requested"
    assert run(door, "REWIND").status == Status.GOOD


def test_a_command_that_is_not_admitted_is_not_carried_out(device: MemoryDevice) -> None:
    def admit(command: str) -> None:
        if command == "REWIND":
            raise CATALOGUE.raised_as(TapeError, "robot-jam", condition=Condition.HARDWARE_ERROR)

    door = TargetDoor(device, MemoryGuard(), admit)
    assert sense_of(run(door, "REWIND")) == "4/15/01"
    assert device.rewound == 0
    assert run(door, "INQUIRY", allocation=96).status == Status.GOOD


def test_the_device_is_its_only_logical_unit(door: TargetDoor) -> None:
    data = run(door, "REPORT LUNS", allocation=16).data
    assert data == bytes.fromhex("00000008 00000000 0000000000000000")


def test_a_device_that_is_reserved_is_left_alone(
    door: TargetDoor, device: MemoryDevice, guard: MemoryGuard
) -> None:
    assert run(door, "RESERVE(6)").status == Status.GOOD
    guard.is_reserved = True
    device.waiting.append(Sense(6, 0x28, 0))
    assert run(door, "REWIND") == CdbReply(Status.RESERVATION_CONFLICT)
    assert run(door, "RESERVE(6)") == CdbReply(Status.RESERVATION_CONFLICT)
    assert decode_sense(run(door, "REQUEST SENSE", allocation=18).data) == Sense(0)
    assert run(door, "INQUIRY", allocation=36).status == Status.GOOD
    guard.is_reserved = False
    assert sense_of(run(door, "REWIND")) == "6/28/00"


def test_news_of_reservations_come_before_the_conflict(
    door: TargetDoor, device: MemoryDevice, guard: MemoryGuard
) -> None:
    guard.is_reserved = True
    guard.waiting.append(Sense(6, 0x2A, 5))
    assert sense_of(run(door, "REWIND")) == "6/2A/05"
    assert run(door, "REWIND") == CdbReply(Status.RESERVATION_CONFLICT)
    assert device.rewound == 0


def test_a_reset_by_another_makes_the_device_forget(
    door: TargetDoor, device: MemoryDevice, guard: MemoryGuard
) -> None:
    guard.waiting.append(RESET)
    assert sense_of(run(door, "REWIND")) == "6/29/03"
    assert (device.was_reset, guard.was_reset) == (1, 0)
    door.reset()
    assert (device.was_reset, guard.was_reset) == (2, 1)


def test_commands_are_told_with_the_bits_that_they_use(door: TargetDoor) -> None:
    name = "REPORT SUPPORTED OPERATION CODES"
    everything = run(door, name, service_action=0x0C, allocation=512).data
    opcodes = everything[4::8]
    assert int.from_bytes(everything[:4], "big") == len(everything) - 4
    assert 0x01 in opcodes
    assert 0x0A not in opcodes
    one: dict[str, Any] = {"service_action": 0x0C, "options": 1, "allocation": 512}
    rewind = run(door, name, opcode=0x01, **one).data
    assert rewind == bytes.fromhex("00 03 0006 01 01 00 00 00 ff")
    assert run(door, name, opcode=0x0A, **one).data == bytes.fromhex("00 01 0000")
    assert sense_of(run(door, name, service_action=0x0D, allocation=512)) == "5/24/00"
    assert sense_of(run(door, name, service_action=0x0C, options=2)) == "5/24/00"


@given(st.binary(max_size=20), st.binary(max_size=300), st.integers(0, 300))
def test_any_command_gets_an_answer(block: bytes, data: bytes, room: int) -> None:
    reply = TargetDoor(MemoryDevice(), MemoryGuard()).execute(block, data_out=data, data_in=room)
    assert len(reply.data) <= room
    assert reply.written <= len(data)
    assert (reply.status == Status.GOOD) == (not reply.sense)
