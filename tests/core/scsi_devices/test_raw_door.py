"""A user's own commands find the drive where the user believes it."""

from __future__ import annotations

from typing import Any

import pytest

from tapekit.scsi.cdb import tape_command
from tapekit.scsi.door import Status
from tapekit.scsi.sense import Sense
from tapekit.scsi_devices.raw_door import RawDoor

NEWS = [False]
"""Doubts of which the first is left to the door's user to ask about."""


def test_the_drive_is_settled_before_a_command(door: Any) -> None:
    settled: list[int] = []
    raw = RawDoor(door, lambda: settled.append(len(door.ran)), lambda _: None)
    raw.execute(bytes(6), timeout_s=1)
    raw.reset()
    assert settled == [0]
    assert raw.execute(bytes(6), timeout_s=1).status == Status.CHECK_CONDITION
    assert raw.address == door.address


def test_a_drive_that_cannot_be_settled_gets_no_command(door: Any) -> None:
    def fail() -> None:
        raise OSError("cannot")

    with pytest.raises(OSError, match="cannot"):
        RawDoor(door, fail, lambda _: None).execute(bytes(6), timeout_s=1)
    assert door.ran == []


@pytest.mark.parametrize("name", ["REWIND", "SPACE(6)", "WRITE(6)", "LOAD UNLOAD", "LOCATE(10)"])
def test_what_may_move_the_tape_leaves_its_place_in_doubt(door: Any, name: str) -> None:
    doubts: list[tuple[int, bool]] = []
    RawDoor(door, lambda: None, lambda may_ask: doubts.append((len(door.ran), may_ask))).execute(
        tape_command(name).build(), timeout_s=1
    )
    assert doubts == [(1, True)]


def test_a_look_leaves_no_doubt_unless_it_is_refused(door: Any) -> None:
    doubts: list[bool] = []
    raw = RawDoor(door, lambda: None, doubts.append)
    for name in ("TEST UNIT READY", "MODE SENSE(6)", "READ POSITION", "INQUIRY"):
        raw.execute(tape_command(name).build(), timeout_s=1)
    assert doubts == []
    door.next["TEST UNIT READY"] = [Sense(6, 0x28, 0)]
    raw.execute(bytes(6), timeout_s=1)
    assert doubts == NEWS


def test_a_command_without_an_answer_and_a_reset_leave_doubt(door: Any) -> None:
    doubts: list[bool] = []
    raw = RawDoor(door, lambda: None, doubts.append)
    with pytest.raises(AssertionError):
        raw.execute(bytes(6))
    assert doubts == NEWS
    raw.reset()
    assert doubts == NEWS * 2
