"""The changer tells where cartridges are and moves them, beside open drives."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.hookspecs.media_changer import Element, ElementType
from tapekit.hookspecs.tape_driver import Condition

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def library(robot_in: Any, tmp_path: Path) -> Any:
    """Slots 1024 to 1027, mail slots 16 and 17, drives 256 and 257."""
    robot = robot_in(tmp_path, slots=4, mail_slots=2)
    for barcode in ("A", "B"):
        robot.library.create_cartridge(barcode)
    return robot


@pytest.fixture
def changer(library: Any) -> Any:
    return library.driver.open_changer("changer")


def tags(changer: Any) -> dict[int, str]:
    return {one.address: one.volume_tag for one in changer.elements() if one.is_full}


def test_elements_are_where_the_settings_put_them(changer: Any) -> None:
    assert [(one.type, one.address) for one in changer.elements()] == [
        (ElementType.TRANSPORT, 0),
        *((ElementType.STORAGE, address) for address in range(1024, 1028)),
        *((ElementType.IMPORT_EXPORT, address) for address in (16, 17)),
        *((ElementType.DRIVE, address) for address in (256, 257)),
    ]
    assert tags(changer) == {1024: "A", 1025: "B"}


def test_a_drive_is_told_with_its_serial_number_and_its_tape(library: Any, changer: Any) -> None:
    changer.move(1025, 257)
    drive = changer.elements()[-1]
    assert drive == Element(
        address=257,
        type=ElementType.DRIVE,
        is_full=True,
        volume_tag="B",
        source=1025,
        drive_serial="5E1A1D01",
    )
    assert drive.drive_serial == library.driver.discover()[1].serial


def test_what_the_command_line_moves_is_seen(library: Any, changer: Any) -> None:
    library.library.load(0, "B")
    assert tags(changer) == {1024: "A", 256: "B"}
    library.library.unload(0)
    assert tags(changer) == {1024: "A", 1025: "B"}


def test_a_loaded_tape_stays_until_it_is_unloaded(
    library: Any, changer: Any, condition_of: Any
) -> None:
    changer.move(1024, 256)
    drive = library.open()
    drive.write_filemarks(1)
    assert not changer.elements()[-2].is_accessible
    assert condition_of(lambda: changer.move(256, 1024)) is Condition.BUSY
    assert condition_of(lambda: changer.exchange(1025, 256, 1024)) is Condition.BUSY
    assert tags(changer) == {256: "A", 1025: "B"}
    drive.unload()
    assert changer.elements()[-2].is_accessible
    changer.move(256, 1024)
    assert tags(changer) == {1024: "A", 1025: "B"}


def test_an_open_drive_gets_the_next_tape(library: Any, changer: Any, condition_of: Any) -> None:
    drive = library.open()
    assert condition_of(drive.rewind) is Condition.NO_TAPE
    changer.move(1024, 256)
    drive.write_records([b"first"], 5)
    drive.unload()
    changer.exchange(1025, 256, 1024)
    assert drive.status().position == (0, 0)
    assert condition_of(lambda: drive.read_record(5)) is Condition.END_OF_DATA
    drive.unload()
    changer.exchange(1024, 256, 1025)
    assert drive.read_record(5) == b"first"
    drive.close()


def test_mail_slots_hold_cartridges_like_slots(library: Any, changer: Any) -> None:
    changer.move(1024, 17)
    assert tags(changer) == {17: "A", 1025: "B"}
    changer.move(17, 256)
    drive = changer.elements()[-2]
    assert (drive.volume_tag, drive.source) == ("A", 17)
    library.library.unload(0)
    assert tags(changer) == {17: "A", 1025: "B"}


def test_what_an_operator_puts_into_a_mail_slot_counts_as_imported(
    library: Any, changer: Any
) -> None:
    library.library.create_cartridge("NEW", slot=5)
    library.library.move("A", 4)
    assert [one.was_imported for one in changer.elements() if one.is_full] == [False, True, True]
    changer.move(17, 1027)
    changer.move(1027, 17)
    library.library.move("A", 0)
    assert not any(one.was_imported for one in changer.elements())


def test_a_cartridge_whose_slot_was_taken_away_has_no_source(
    library: Any, robot_in: Any, tmp_path: Path
) -> None:
    library.library.move("B", 3)
    library.library.load(0, "B")
    settings = {"slots": 2, "drives": 2, "durability": "none"}
    smaller = type(library.driver)(type(library.driver._settings)(**settings))
    smaller.settle(tmp_path)
    drive = smaller.open_changer("changer").elements()[-2]
    assert (drive.volume_tag, drive.source) == ("B", None)


@pytest.mark.parametrize(
    ("source", "destination", "condition"),
    [
        (0, 256, Condition.BAD_REQUEST),
        (1024, 1028, Condition.BAD_REQUEST),
        (1024, 0, Condition.BAD_REQUEST),
        (1026, 256, Condition.SOURCE_EMPTY),
        (1024, 1025, Condition.DESTINATION_FULL),
        (1024, 1024, Condition.DESTINATION_FULL),
    ],
)
def test_what_cannot_be_moved_stays(
    changer: Any, condition_of: Any, source: int, destination: int, condition: Condition
) -> None:
    assert condition_of(lambda: changer.move(source, destination)) is condition
    assert tags(changer) == {1024: "A", 1025: "B"}


def test_a_library_that_is_gone_is_told(library: Any, changer: Any, condition_of: Any) -> None:
    (library.library.directory / "library.json").unlink()
    assert condition_of(changer.initialize) is Condition.NO_DEVICE
    assert condition_of(changer.elements) is Condition.NO_DEVICE


def test_moves_outlast_the_changer(library: Any, changer: Any) -> None:
    changer.move(1024, 1027)
    changer.close()
    assert tags(library.driver.open_changer("changer")) == {1027: "A", 1025: "B"}


def test_looking_does_not_come_in_the_way_of_a_drive(library: Any, changer: Any) -> None:
    """A drive takes and leaves its tape while others read the elements."""
    changer.move(1024, 256)
    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(lambda: [changer.elements() for _ in range(500)])
        for _ in range(500):
            drive = library.open()
            drive.rewind()
            drive.close()
        assert len(looking.result()) == 500


def test_a_cartridge_that_is_lost_is_told_all_the_same(
    library: Any, changer: Any, condition_of: Any
) -> None:
    changer.move(1024, 256)
    shutil.rmtree(library.library.folder("A"))
    assert tags(changer) == {256: "A", 1025: "B"}
    assert condition_of(lambda: changer.move(256, 1024)) is Condition.MEDIUM_ERROR
