"""The capacity of a tape is what the drive tells of it."""

from __future__ import annotations

from typing import Any

import pytest

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.cdb import TAPE_COMMANDS
from tapekit.scsi.log import CAPACITY_PAGE, LogParameter, encode_log
from tapekit.scsi.sense import Sense
from tapekit.scsi_devices.capacity import capacity_of
from tapekit.scsi_devices.conversation import Conversation


@pytest.fixture
def talk(door: Any) -> Conversation:
    return Conversation(door, "v.0", TAPE_COMMANDS)


def test_a_drive_without_the_page_tells_nothing(talk: Conversation) -> None:
    assert capacity_of(talk) == (None, None)


@pytest.mark.parametrize(
    ("rows", "told"),
    [({1: 3, 3: 9}, (3 << 20, 9 << 20)), ({2: 5, 3: 9}, (None, 9 << 20)), ({}, (None, None))],
)
def test_the_first_partition_is_told(
    door: Any, talk: Conversation, rows: dict[int, int], told: tuple[int | None, int | None]
) -> None:
    parameters = [LogParameter(code, value.to_bytes(4, "big")) for code, value in rows.items()]
    door.usual["LOG SENSE"] = encode_log(CAPACITY_PAGE, parameters)
    assert capacity_of(talk) == told


def test_a_drive_that_fails_is_an_error(door: Any, talk: Conversation) -> None:
    door.usual["LOG SENSE"] = Sense(4, 0x44, 0)
    with pytest.raises(TapeError) as caught:
        capacity_of(talk)
    assert caught.value.condition is Condition.HARDWARE_ERROR
