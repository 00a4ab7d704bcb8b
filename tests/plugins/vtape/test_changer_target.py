"""The changer behind its door keeps to SMC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tapekit.scsi.cdb import changer_command
from tapekit.scsi.door import CdbReply, Status
from tapekit.scsi.elements import decode_elements
from tapekit.scsi.inquiry import decode_inquiry
from tapekit.scsi.mode import decode_element_addresses, decode_mode
from tapekit.scsi.sense import decode_sense

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def library(robot_in: Any, tmp_path: Path) -> Any:
    robot = robot_in(tmp_path, slots=4, mail_slots=1)
    for barcode in ("A", "B"):
        robot.library.create_cartridge(barcode)
    return robot


@pytest.fixture
def door(library: Any) -> Any:
    return library.driver.open_changer("changer").door


def send(door: Any, name: str, **values: int) -> CdbReply:
    reply: CdbReply = door.execute(changer_command(name).build(**values), data_in=0xFF_FFFF)
    return reply


def good(door: Any, name: str, **values: int) -> bytes:
    reply = send(door, name, **values)
    assert reply.status == Status.GOOD, str(decode_sense(reply.sense))
    return reply.data


def code(door: Any, name: str, **values: int) -> str:
    reply = send(door, name, **values)
    assert reply.status == Status.CHECK_CONDITION
    return str(decode_sense(reply.sense)).partition(",")[0]


def status(door: Any, **values: int) -> list[tuple[int, str | None]]:
    data = good(
        door, "READ ELEMENT STATUS", **{"tags": 1, "count": 99, "allocation": 9999, **values}
    )
    return [(one.address, one.volume_tag) for one in decode_elements(data)]


def test_the_device_is_a_changer(door: Any) -> None:
    inquiry = decode_inquiry(good(door, "INQUIRY", allocation=36))
    assert (inquiry.type, inquiry.product) == (8, "VIRTUAL-LIBRARY")
    good(door, "TEST UNIT READY")
    good(door, "PREVENT ALLOW MEDIUM REMOVAL", prevent=1)


def test_all_elements_are_told_with_their_tags(door: Any) -> None:
    assert status(door) == [
        (0, None),
        (1024, "A"),
        (1025, "B"),
        (1026, None),
        (1027, None),
        (16, None),
        (256, None),
        (257, None),
    ]


def test_elements_are_chosen_by_type_start_and_number(door: Any) -> None:
    assert status(door, type=2, start=1025, count=2) == [(1025, "B"), (1026, None)]
    assert status(door, type=4) == [(256, None), (257, None)]
    assert status(door, start=1027) == [(1027, None)]
    assert status(door, count=3) == [(0, None), (16, None), (256, None)]
    assert status(door, count=0) == []
    assert status(door, tags=0, type=2, count=1) == [(1024, None)]
    assert code(door, "READ ELEMENT STATUS", start=2000, count=1) == "5/21/01"
    assert code(door, "READ ELEMENT STATUS", type=5, count=1) == "5/24/00"


def test_serial_numbers_of_drives_come_when_asked_for(door: Any) -> None:
    values = {"type": 4, "count": 9, "allocation": 999}
    with_them = decode_elements(good(door, "READ ELEMENT STATUS", identifiers=1, **values))
    assert [one.drive_serial for one in with_them] == ["5E1A1D00", "5E1A1D01"]
    without = decode_elements(good(door, "READ ELEMENT STATUS", **values))
    assert [one.drive_serial for one in without] == [None, None]


def test_a_list_that_is_cut_tells_its_whole_length(door: Any) -> None:
    values = {"tags": 1, "type": 2, "count": 4}
    whole = good(door, "READ ELEMENT STATUS", allocation=9999, **values)
    head = good(door, "READ ELEMENT STATUS", allocation=8, **values)
    assert head == whole[:8]
    assert int.from_bytes(head[5:8], "big") + 8 == len(whole)


def test_cartridges_are_moved_and_exchanged(door: Any) -> None:
    good(door, "MOVE MEDIUM", source=1024, destination=256)
    assert dict(status(door))[256] == "A"
    good(door, "EXCHANGE MEDIUM", transport=0, source=1025, destination=256, second=1027)
    assert dict(status(door))[256] == "B"
    assert dict(status(door))[1027] == "A"


@pytest.mark.parametrize(
    ("name", "values", "sense"),
    [
        ("MOVE MEDIUM", {"source": 1026, "destination": 256}, "5/3B/0E"),
        ("MOVE MEDIUM", {"source": 1024, "destination": 1025}, "5/3B/0D"),
        ("MOVE MEDIUM", {"source": 1024, "destination": 9}, "5/21/01"),
        ("MOVE MEDIUM", {"transport": 1, "source": 1024, "destination": 256}, "5/21/01"),
        ("MOVE MEDIUM", {"source": 1024, "destination": 256, "invert": 1}, "5/24/00"),
        ("EXCHANGE MEDIUM", {"source": 1024, "destination": 256, "second": 1026}, "5/3B/0E"),
        (
            "EXCHANGE MEDIUM",
            {"source": 1024, "destination": 1025, "second": 1026, "invert_second": 1},
            "5/24/00",
        ),
        ("POSITION TO ELEMENT", {"destination": 999}, "5/21/01"),
        ("POSITION TO ELEMENT", {"destination": 256, "invert": 1}, "5/24/00"),
        ("MODE SENSE(6)", {"page": 0x0F, "allocation": 99}, "5/24/00"),
        ("MODE SENSE(10)", {"page": 0x1D, "control": 3, "allocation": 99}, "5/24/00"),
    ],
)
def test_what_is_wrong_is_refused(door: Any, name: str, values: dict[str, int], sense: str) -> None:
    before = status(door)
    assert code(door, name, **values) == sense
    assert status(door) == before


def test_a_loaded_tape_is_not_pulled_out(library: Any, door: Any) -> None:
    good(door, "MOVE MEDIUM", source=1024, destination=256)
    drive = library.open()
    drive.rewind()
    assert code(door, "MOVE MEDIUM", source=256, destination=1024) == "5/53/02"
    drive.unload()
    good(door, "MOVE MEDIUM", source=256, destination=1024)
    drive.close()


def test_the_arm_goes_where_it_is_told(door: Any) -> None:
    for address in (0, 16, 257, 1024):
        good(door, "POSITION TO ELEMENT", destination=address)


def test_what_somebody_puts_into_a_mail_slot_is_told_once(library: Any, door: Any) -> None:
    good(door, "TEST UNIT READY")
    library.library.move("B", 4)
    assert code(door, "READ ELEMENT STATUS", count=9, allocation=999) == "6/28/01"
    data = good(door, "READ ELEMENT STATUS", tags=1, type=3, count=9, allocation=999)
    (mail,) = decode_elements(data)
    assert (mail.volume_tag, mail.was_imported) == ("B", True)
    good(door, "MOVE MEDIUM", source=16, destination=1025)
    good(door, "EXCHANGE MEDIUM", source=1025, destination=1024, second=16)
    data = good(door, "READ ELEMENT STATUS", tags=1, type=3, count=9, allocation=999)
    (mail,) = decode_elements(data)
    assert (mail.volume_tag, mail.was_imported) == ("A", False)


def test_an_inventory_may_be_asked_for(door: Any) -> None:
    good(door, "INITIALIZE ELEMENT STATUS")
    good(door, "INITIALIZE ELEMENT STATUS WITH RANGE", range=1, start=1024, count=2)


@pytest.mark.parametrize("name", ["MODE SENSE(6)", "MODE SENSE(10)"])
def test_element_addresses_are_told(door: Any, name: str) -> None:
    data = good(door, name, page=0x1D, allocation=200)
    (page,) = decode_mode(data, is_long=name.endswith("(10)")).pages
    transport, storage, mail, drives = decode_element_addresses(page)
    assert (transport, storage, mail, drives) == ((0, 1), (1024, 4), (16, 1), (256, 2))


def test_all_pages_and_what_can_be_changed_are_told(door: Any) -> None:
    pages = decode_mode(good(door, "MODE SENSE(6)", page=0x3F, allocation=200), is_long=False).pages
    assert [(page.code, len(page.body)) for page in pages] == [(0x1D, 18), (0x1F, 18)]
    data = good(door, "MODE SENSE(6)", page=0x1D, control=1, allocation=200)
    (page,) = decode_mode(data, is_long=False).pages
    assert not any(page.body)


def test_a_reset_is_told(door: Any) -> None:
    door.reset()
    assert code(door, "TEST UNIT READY") == "6/29/03"
    good(door, "TEST UNIT READY")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(min_size=6, max_size=16), max_size=8))
def test_any_command_gets_an_answer(door: Any, commands: list[bytes]) -> None:
    for block in commands:
        reply = door.execute(block, data_in=4096)
        assert len(reply.data) <= 4096
        if reply.status == Status.CHECK_CONDITION:
            decode_sense(reply.sense)
