"""The commands that reserve a device, and what refusals of theirs mean."""

from __future__ import annotations

from typing import Any

import pytest

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.door import CdbReply, Status
from tapekit.scsi.reservations import (
    OutAction,
    Reservation,
    ReservationType,
    decode_out_list,
    encode_reservation,
)
from tapekit.scsi.sense import Sense, SenseKey, encode_sense
from tapekit_reservations.ways import PersistentWay, ScsiWay

KEY, OTHER = 0xAB, 0xCD
UNKNOWN = Sense(SenseKey.ILLEGAL_REQUEST, 0x20, 0x00)


class RecordingDoor:
    """Grants everything but the actions in ``refused``; tells what was done."""

    def __init__(self, holder: int = 0, *refused: OutAction) -> None:
        self.holder = holder
        self.refused = set(refused)
        self.unknown: set[OutAction] = set()
        self.done: list[tuple[OutAction, int, int]] = []

    def execute(
        self, cdb: bytes, *, data_out: bytes = b"", data_in: int = 0, timeout_s: float | None = None
    ) -> CdbReply:
        if cdb[0] == 0x5E:
            kind = ReservationType.EXCLUSIVE_ACCESS
            return CdbReply(Status.GOOD, encode_reservation(Reservation(1, self.holder, kind)))
        assert cdb[0] == 0x5F
        wanted = decode_out_list(data_out)
        action = OutAction(cdb[1] & 0x1F)
        assert int.from_bytes(cdb[5:9], "big") == len(data_out) == 24
        if action not in (OutAction.REGISTER, OutAction.REGISTER_AND_IGNORE):
            assert cdb[2] == ReservationType.EXCLUSIVE_ACCESS
        self.done.append((action, wanted.key, wanted.service_key))
        if action in self.unknown:
            return CdbReply(Status.CHECK_CONDITION, sense=encode_sense(UNKNOWN))
        return CdbReply(Status.RESERVATION_CONFLICT if action in self.refused else Status.GOOD)


def test_a_key_is_registered_reserves_and_goes_again() -> None:
    door: Any = RecordingDoor()
    way = PersistentWay(door, "x.1", KEY)
    way.take()
    way.give_back()
    assert door.done == [
        (OutAction.REGISTER_AND_IGNORE, 0, KEY),
        (OutAction.RESERVE, KEY, 0),
        (OutAction.RELEASE, KEY, 0),
        (OutAction.REGISTER, KEY, 0),
    ]


def test_whoever_is_refused_leaves_no_key_behind() -> None:
    door: Any = RecordingDoor(OTHER, OutAction.RESERVE)
    with pytest.raises(TapeError, match=r"another system, under the key 00000000000000cd$"):
        PersistentWay(door, "x.1", KEY).take()
    assert door.done[-1] == (OutAction.REGISTER, KEY, 0)


def test_a_reservation_of_our_own_from_before_is_taken_over() -> None:
    door: Any = RecordingDoor(KEY, OutAction.RESERVE)
    PersistentWay(door, "x.1", KEY).take()
    assert door.done[-1] == (OutAction.PREEMPT_AND_ABORT, KEY, KEY)


def test_a_device_that_aborts_nothing_is_taken_over_all_the_same() -> None:
    door: Any = RecordingDoor(KEY, OutAction.RESERVE)
    door.unknown = {OutAction.PREEMPT_AND_ABORT}
    PersistentWay(door, "x.1", KEY).take()
    assert [action for action, _, _ in door.done[-2:]] == [
        OutAction.PREEMPT_AND_ABORT,
        OutAction.PREEMPT,
    ]


def test_a_reservation_of_another_system_is_broken_off() -> None:
    door: Any = RecordingDoor(OTHER)
    PersistentWay(door, "x.1", KEY).break_off(OTHER)
    assert door.done == [
        (OutAction.REGISTER_AND_IGNORE, 0, KEY),
        (OutAction.PREEMPT, KEY, OTHER),
        (OutAction.RELEASE, KEY, 0),
        (OutAction.REGISTER, KEY, 0),
    ]


@pytest.mark.requirement("R032")
@pytest.mark.parametrize("is_persistent", [False, True])
def test_a_device_that_cannot_be_reserved_so_says_it(door_of: Any, is_persistent: bool) -> None:
    door = door_of(x16=UNKNOWN, x5F=UNKNOWN)
    way = PersistentWay(door, "x.1", KEY) if is_persistent else ScsiWay(door, "x.1")
    method = "persistent" if is_persistent else "scsi"
    with pytest.raises(TapeError, match=f"^x.1 cannot be reserved by the method {method}: ") as no:
        way.take()
    assert no.value.condition is Condition.BAD_REQUEST
    assert "tape.reservations off" in no.value.action


def test_another_trouble_stays_what_it_is(door_of: Any) -> None:
    with pytest.raises(TapeError) as caught:
        ScsiWay(door_of(x16=Status.BUSY), "x.1").take()
    assert caught.value.condition is Condition.BUSY
