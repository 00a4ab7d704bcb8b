"""What a device says that takes its reservation away, and what does not."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.door import CdbReply, Status
from tapekit.scsi.reservations import Reservation, ReservationType, encode_reservation
from tapekit.scsi.sense import Sense, SenseKey, decode_sense
from tapekit_reservations.reserved_door import DeviceReservation
from tapekit_reservations.ways import PersistentWay, ScsiWay

KEY = 0x1234
WRITE, INQUIRY, READY = bytes((0x0A, 0, 0, 0, 1, 0)), bytes((0x12, 0, 0, 0, 36, 0)), bytes(6)
HELD = CdbReply(
    Status.GOOD, encode_reservation(Reservation(1, KEY, ReservationType.EXCLUSIVE_ACCESS))
)
FREE = CdbReply(Status.GOOD, encode_reservation(Reservation(1)))


def attention(asc: int, ascq: int) -> Sense:
    return Sense(SenseKey.UNIT_ATTENTION, asc, ascq)


def reserved(door: Any, *, is_persistent: bool = False) -> DeviceReservation:
    way = PersistentWay(door, "x.1", KEY) if is_persistent else ScsiWay(door, "x.1")
    return DeviceReservation(door, "x.1", way)


@pytest.mark.requirement("R312")
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Status.RESERVATION_CONFLICT, "is reserved by another system now"),
        (attention(0x2A, 0x03), "was taken away by another system"),
        (attention(0x2A, 0x05), "was taken away by another system"),
        (attention(0x29, 0x00), "was reset, which has ended its reservation"),
        (attention(0x29, 0x07), "was reset, which has ended its reservation"),
    ],
)
def test_a_loss_stops_all_use(
    door_of: Any, answer: Any, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    door = door_of(x0A=answer)
    entrance = reserved(door).door
    message = f"^Tape reservation preempted: x.1 {reason}$"
    with pytest.raises(TapeError, match=message) as caught:
        entrance.execute(WRITE, data_out=b"x")
    assert caught.value.condition is Condition.RESERVED
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    door.answers = {}
    with pytest.raises(TapeError, match=message):
        entrance.execute(WRITE, data_out=b"x")
    assert door.sent == [0x0A]
    assert entrance.execute(INQUIRY, data_in=36).status == Status.GOOD


@pytest.mark.parametrize(
    "answer",
    [
        Status.BUSY,
        attention(0x28, 0x00),
        Sense(SenseKey.MEDIUM_ERROR, 0x0C, 0x00),
        CdbReply(Status.CHECK_CONDITION, sense=b"?"),
    ],
)
def test_other_answers_come_through(door_of: Any, answer: Any) -> None:
    door = door_of(x0A=answer)
    entrance = reserved(door).door
    first = entrance.execute(WRITE, data_out=b"x")
    assert first.status != Status.GOOD
    assert entrance.execute(READY).status == Status.GOOD
    assert door.sent == [0x0A, 0x00]


@pytest.mark.requirement("R032")
@pytest.mark.parametrize(("left", "is_lost"), [(HELD, False), (FREE, True)])
def test_a_persistent_reservation_is_looked_for_after_a_reset(
    door_of: Any, left: CdbReply, is_lost: bool
) -> None:
    door = door_of(x0A=attention(0x29, 0x00), x5E=left)
    entrance = reserved(door, is_persistent=True).door
    if is_lost:
        with pytest.raises(TapeError, match="was reset"):
            entrance.execute(WRITE, data_out=b"x")
    else:
        assert entrance.execute(WRITE, data_out=b"x").status == Status.CHECK_CONDITION
    # What is held is registered and taken over by the path in use, and looked for again.
    assert door.sent == [0x0A, 0x5E] + ([] if is_lost else [0x5F, 0x5F, 0x5E])


def test_a_conflict_over_a_command_that_reserves_is_its_senders_affair(door_of: Any) -> None:
    door = door_of(x5F=Status.RESERVATION_CONFLICT)
    entrance = reserved(door).door
    block = bytes((0x5F, 0, 0, 0, 0, 0, 0, 0, 24, 0))
    assert entrance.execute(block, data_out=bytes(24)).status == Status.RESERVATION_CONFLICT
    assert entrance.execute(READY).status == Status.GOOD


def test_what_cannot_be_given_back_is_logged(
    door_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    reserved(door_of(x17=Status.BUSY)).release()
    assert "the reservation of x.1 is not given back" in caplog.text


def test_a_reset_by_its_user_goes_through(door_of: Any) -> None:
    door = door_of()
    entrance = reserved(door).door
    entrance.reset()
    assert (door.resets, entrance.address) == (1, door.address)


def test_news_that_the_reservation_has_heard_are_passed_on(door_of: Any) -> None:
    door = door_of(x0A=attention(0x29, 0x07), x5E=HELD)
    entrance = reserved(door, is_persistent=True).door
    door.once = {0x5F: attention(0x28, 0x00)}
    reply = entrance.execute(WRITE, data_out=b"x")
    assert decode_sense(reply.sense)[:3] == (SenseKey.UNIT_ATTENTION, 0x28, 0x00)
