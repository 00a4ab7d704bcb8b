"""The changer over its door copes with what real libraries do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.cdb import CHANGER_COMMANDS, Command
from tapekit.scsi.door import CdbReply, ScsiAddress, Status
from tapekit.scsi.elements import Element, ElementType, encode_elements
from tapekit.scsi.mode import (
    ElementAddresses,
    ElementRange,
    ModeData,
    encode_element_addresses,
    encode_mode,
)
from tapekit.scsi.sense import Sense, encode_sense
from tapekit.scsi_devices.changer import CdbChanger

if TYPE_CHECKING:
    from collections.abc import Mapping

ADDRESSES = ElementAddresses(
    ElementRange(0, 1), ElementRange(1024, 2), ElementRange(0, 0), ElementRange(256, 1)
)
ELEMENTS = (
    Element(address=0, type=ElementType.TRANSPORT, is_full=False),
    Element(address=1024, type=ElementType.STORAGE, is_full=True, volume_tag="A00001L6"),
    Element(address=1025, type=ElementType.STORAGE, is_full=False),
    Element(address=256, type=ElementType.DRIVE, is_full=False, drive_serial="D1"),
)
ATTENTION = Sense(6, 0x29, 0)
BAD_FIELD = Sense(5, 0x24, 0)


class MemoryDoor:
    """A library as some makers build it."""

    address = ScsiAddress(0, 1, 0)

    def __init__(self, *, has_identifiers: bool = True, short_by: int = 0) -> None:
        self.waiting: list[Sense] = []
        self.ran: list[tuple[str, Mapping[str, int]]] = []
        self.mode = encode_mode(
            ModeData(pages=(encode_element_addresses(ADDRESSES),)), is_long=False
        )
        self._has_identifiers = has_identifiers
        self._short_by = short_by

    def execute(
        self, cdb: bytes, *, data_out: bytes = b"", data_in: int = 0, timeout_s: float | None = None
    ) -> CdbReply:
        assert timeout_s is not None
        command = CHANGER_COMMANDS[cdb[0]]
        if self.waiting:
            sense = encode_sense(self.waiting.pop(0))
            return CdbReply(Status.CHECK_CONDITION, sense=sense)
        return self._answer(command, command.parse(cdb), data_in)

    def _answer(self, command: Command, values: Mapping[str, int], data_in: int) -> CdbReply:
        self.ran.append((command.name, values))
        if command.name == "MODE SENSE(6)":
            return CdbReply(Status.GOOD, self.mode[:data_in])
        if command.name != "READ ELEMENT STATUS":
            return CdbReply(Status.GOOD)
        if values["identifiers"] and not self._has_identifiers:
            return CdbReply(Status.CHECK_CONDITION, sense=encode_sense(BAD_FIELD))
        data = bytearray(
            encode_elements(
                [one for one in ELEMENTS if one.type == values["type"]],
                with_tags=True,
                with_identifiers=bool(values["identifiers"]),
            )
        )
        announced = int.from_bytes(data[5:8], "big") - self._short_by
        data[5:8] = announced.to_bytes(3, "big")
        return CdbReply(Status.GOOD, bytes(data[:data_in]))

    def reset(self) -> None:
        self.waiting.append(ATTENTION)


def changer_over(door: MemoryDoor) -> CdbChanger:
    return CdbChanger(door, "v.9", lambda: None)


def test_elements_are_read_type_by_type() -> None:
    door = MemoryDoor()
    assert changer_over(door).elements() == list(ELEMENTS)
    asked = {values["type"] for name, values in door.ran if name == "READ ELEMENT STATUS"}
    assert asked == {1, 2, 4}


def test_a_library_that_announces_too_little_is_read_in_full() -> None:
    assert changer_over(MemoryDoor(short_by=8)).elements() == list(ELEMENTS)


def test_a_library_without_identifiers_is_asked_without() -> None:
    *others, drive = changer_over(MemoryDoor(has_identifiers=False)).elements()
    assert others == list(ELEMENTS[:3])
    assert (drive.address, drive.drive_serial) == (256, None)


def test_unit_attentions_are_heard_before_a_command_is_sent_again() -> None:
    door = MemoryDoor()
    door.waiting = [ATTENTION, Sense(6, 0x28, 1)]
    changer_over(door).move(1024, 256)
    assert [name for name, _ in door.ran] == ["MOVE MEDIUM"]
    assert door.ran[0][1]["source"] == 1024


def test_a_changer_that_never_settles_is_not_ready() -> None:
    door = MemoryDoor()
    door.waiting = [ATTENTION] * 20
    with pytest.raises(TapeError) as caught:
        changer_over(door).initialize()
    assert caught.value.condition is Condition.NOT_READY
    assert len(door.waiting) == 12


def test_a_refused_move_is_not_sent_again() -> None:
    door = MemoryDoor()
    door.waiting = [Sense(4, 0x53, 0), Sense(4, 0x53, 0)]
    with pytest.raises(TapeError) as caught:
        changer_over(door).exchange(1024, 256, 1025)
    assert caught.value.condition is Condition.HARDWARE_ERROR
    assert "v.9 did not carry out EXCHANGE MEDIUM: 4/53/00" in str(caught.value)
    assert len(door.waiting) == 1


@pytest.mark.parametrize(
    "mode", [b"", b"\x03\0\0\0", encode_mode(ModeData(), is_long=False) + b"\x1d\x02\0\0"]
)
def test_a_changer_without_addresses_cannot_be_read(mode: bytes) -> None:
    door = MemoryDoor()
    door.mode = mode
    with pytest.raises(TapeError) as caught:
        changer_over(door).elements()
    assert caught.value.condition is Condition.HARDWARE_ERROR
    assert "v.9 answered MODE SENSE(6) with data that cannot be read" in str(caught.value)


def test_closing_lets_the_door_go() -> None:
    closed: list[str] = []
    CdbChanger(MemoryDoor(), "v.9", lambda: closed.append("x")).close()
    assert closed == ["x"]
