"""A tape that is being loaded is waited for, and no other."""

from __future__ import annotations

from typing import Any

import pytest

from tapekit.hookspecs.tape_driver import Condition, DriveSetup, TapeError
from tapekit.scsi.cdb import TAPE_COMMANDS
from tapekit.scsi.sense import Sense
from tapekit.scsi_devices.conversation import Conversation
from tapekit.scsi_devices.drive import CdbDrive
from tapekit.scsi_devices.loading import finish_loading

SOON, LOAD_ME, EMPTY = Sense(2, 4, 1), Sense(2, 4, 2), Sense(2, 0x3A, 0)


class Pauses(list[float]):
    """Takes no time."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def load(door: Any, *states: Any, loads_itself: bool = True) -> Pauses:
    door.next["TEST UNIT READY"] = list(states)
    pauses = Pauses()
    talk = Conversation(door, "v.0", TAPE_COMMANDS)
    finish_loading(talk, loads_itself=loads_itself, timeout_s=60, pause=pauses)
    return pauses


def test_a_drive_is_asked_until_it_is_ready(door: Any) -> None:
    assert load(door, SOON, SOON, b"") == [1, 1]
    assert load(door, SOON, EMPTY) == [1]
    assert load(door) == []


def test_a_drive_that_never_becomes_ready_is_given_up(door: Any) -> None:
    door.usual["TEST UNIT READY"] = SOON
    assert len(load(door)) == 180


@pytest.mark.requirement("R050")
@pytest.mark.parametrize("loads_itself", [True, False])
def test_a_tape_is_loaded_where_the_drive_does_not(door: Any, loads_itself: bool) -> None:
    assert load(door, LOAD_ME, loads_itself=loads_itself) == []
    loads = [values for name, values, _ in door.ran if name == "LOAD UNLOAD"]
    assert [one["load"] for one in loads] == ([] if loads_itself else [1])


@pytest.mark.requirement("R050")
def test_a_tape_that_waits_for_the_robot_is_loaded_when_the_device_is_opened(door: Any) -> None:
    door.next["TEST UNIT READY"] = [LOAD_ME]
    drive = CdbDrive(door, "v.0", lambda: None)
    door.next["TEST UNIT READY"] = [LOAD_ME]
    drive.adjust(DriveSetup(compression="a", loads_itself=False))
    assert "LOAD UNLOAD" in door.names
    assert drive.status().has_tape


def test_a_drive_that_turns_out_to_be_empty_is_no_error(door: Any) -> None:
    door.usual["LOAD UNLOAD"] = EMPTY
    load(door, LOAD_ME, loads_itself=False)
    door.usual["LOAD UNLOAD"] = Sense(3, 0x53, 0)
    with pytest.raises(TapeError) as caught:
        load(door, LOAD_ME, loads_itself=False)
    assert caught.value.condition is Condition.MEDIUM_ERROR
