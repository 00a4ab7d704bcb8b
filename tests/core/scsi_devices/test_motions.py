"""What SPACE came to is told from the places before and after it, as a drive tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tapekit.hookspecs.tape_driver import Condition
from tapekit.scsi.cdb import tape_command
from tapekit.scsi.position import LONG, POSITION_BYTES, Position, decode_position
from tapekit.scsi.sense import decode_sense
from tapekit.scsi_devices.conditions import condition_of
from tapekit.scsi_devices.motions import BLOCKS, FILEMARKS, arrival_at
from tapekit_vtape.driver import VtapeDriver
from tapekit_vtape.settings import VtapeSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

LAYOUT = "rrr|rr||r|rrrr|"
"""Records and filemarks of a tape."""


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The door of a drive with that tape."""
    folder = tmp_path_factory.mktemp("library")
    driver = VtapeDriver(VtapeSettings(directory=str(folder)))
    driver.library.create("S1", ["T00001"])
    drive = driver.open_drive("0")
    drive.rewind()
    for one in LAYOUT:
        if one == "r":
            drive.write_records([memoryview(bytes(512))], 512)
        else:
            drive.write_filemarks(1)
    yield drive.door
    drive.close()


def place(door: Any) -> Position:
    cdb = tape_command("READ POSITION").build(service_action=LONG)
    return decode_position(door.execute(cdb, data_in=POSITION_BYTES[LONG]).data, LONG)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.integers(0, len(LAYOUT)),
    code=st.sampled_from((BLOCKS, FILEMARKS)),
    count=st.integers(-6, 6).filter(bool),
)
def test_what_a_drive_says_follows_from_its_places(
    door: Any, start: int, code: int, count: int
) -> None:
    assert door.execute(tape_command("LOCATE(10)").build(object=start)).status == 0
    before = place(door)
    assert before.object_id == start
    reply = door.execute(tape_command("SPACE(6)").build(code=code, count=count))
    told: tuple[int | None, Condition | None] = (0, None)
    if reply.sense:
        sense = decode_sense(reply.sense)
        told = (sense.information, condition_of(sense))
    found = arrival_at(code, count, before, place(door))
    if told[1] in (Condition.END_OF_DATA, Condition.BEGINNING_OF_MEDIUM):
        assert found is None
    else:
        assert found == told


@pytest.mark.parametrize(
    "now",
    [
        Position(None, 1),
        Position(6, None),
        Position(6, 1, partition=1),
        Position(5, 1),
        Position(3, 1),
        Position(9, 4),
    ],
)
@pytest.mark.parametrize("code", [BLOCKS, FILEMARKS])
def test_other_places_prove_nothing(now: Position, code: int) -> None:
    assert arrival_at(code, 2, Position(5, 1), now) is None
