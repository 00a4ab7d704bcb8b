"""The driver finds the library's drives and opens each for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tapekit.hookspecs.tape_driver import Condition
from tapekit_vtape.driver import VtapeDriver
from tapekit_vtape.settings import VtapeSettings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.requirement("R067")
def test_drives_are_described(robot: Any) -> None:
    first, second = robot.driver.discover()
    assert (first.address, first.physical_path, first.serial) == ("0", "v.0", "5E1A1D00")
    assert (second.address, second.physical_path, second.serial) == ("1", "v.1", "5E1A1D01")
    assert (first.vendor, first.product) == ("TAPEKIT", "VIRTUAL-TAPE")
    assert first.formats == dict.fromkeys("lmha", "TAPEKIT (10.7GB)")


@pytest.mark.parametrize(
    ("capacity", "shown"),
    [
        (200 * 10**9, "200GB"),
        (18 * 10**12, "18TB"),
        (1_500_000_000_000, "1.5TB"),
        (1 << 20, "1MB"),
    ],
)
def test_capacities_are_shown_as_on_the_box(
    robot_in: Any, tmp_path: Path, capacity: int, shown: str
) -> None:
    robot = robot_in(tmp_path, capacity_bytes=capacity, early_warning_bytes=0)
    assert robot.driver.discover()[0].formats["a"] == f"TAPEKIT ({shown})"


def test_the_folder_of_the_stack_file_is_where_the_library_is(tmp_path: Path) -> None:
    driver = VtapeDriver(VtapeSettings(directory="tapes"))
    driver.settle(tmp_path)
    assert driver.library.directory == tmp_path / "tapes"


def test_without_a_library_there_is_nothing_to_find(tmp_path: Path, condition_of: Any) -> None:
    driver = VtapeDriver(VtapeSettings())
    driver.settle(tmp_path)
    assert condition_of(driver.discover) is Condition.NO_DEVICE


def test_an_open_drive_is_busy(robot: Any, condition_of: Any) -> None:
    drive = robot.open()
    assert condition_of(robot.open) is Condition.BUSY
    robot.driver.open_drive("1").close()
    drive.close()
    robot.open().close()


@pytest.mark.parametrize("address", ["2", "-1", "00", "x", ""])
def test_an_unknown_address_is_no_device(robot: Any, condition_of: Any, address: str) -> None:
    assert condition_of(lambda: robot.driver.open_drive(address)) is Condition.NO_DEVICE


def test_a_library_that_vanishes_is_a_hardware_error(robot: Any, condition_of: Any) -> None:
    drive = robot.fresh()
    (robot.library.directory / "library.json").write_text("{")
    assert condition_of(drive.status) is Condition.HARDWARE_ERROR
    drive.close()


def test_the_changer_is_described(robot: Any) -> None:
    (changer,) = robot.driver.discover_changers()
    assert (changer.address, changer.physical_path) == ("changer", "v.64")
    assert (changer.vendor, changer.product) == ("TAPEKIT", "VIRTUAL-LIBRARY")
    assert changer.serial == "5E1A1L00"


@pytest.mark.parametrize("address", ["0", "", "changer0"])
def test_another_changer_is_no_device(robot: Any, condition_of: Any, address: str) -> None:
    assert condition_of(lambda: robot.driver.open_changer(address)) is Condition.NO_DEVICE


def test_a_drive_has_a_door_that_says_the_same_of_it(robot: Any) -> None:
    drive = robot.driver.open_drive("1")
    assert drive.door.address == (0, 1, 0)
    serial = drive.door.execute(bytes.fromhex("12 01 80 00 ff 00"), data_in=255).data[4:]
    assert serial.decode() == robot.driver.discover()[1].serial
    drive.close()
