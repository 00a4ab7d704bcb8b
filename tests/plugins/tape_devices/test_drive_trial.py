"""A drive is checked with a scratch cartridge, and no other is touched."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from tapekit.errors import TapekitError
from tapekit.hookspecs.tape_driver import OpenMode, TapeError
from tapekit.testing import MemoryTape
from tapekit.testing.tape_script import record, write
from tapekit_tape_devices.commands import command_app
from tapekit_tape_devices.drive_trial import drive_trials
from tapekit_tape_devices.inventory import Inventory
from tapekit_vtape.driver import VtapeDriver
from tapekit_vtape.faults import DeviceFault, FaultKind
from tapekit_vtape.settings import VtapeSettings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def driver(tmp_path: Path) -> VtapeDriver:
    """Two virtual drives, the first with an empty tape."""
    made = VtapeDriver(VtapeSettings(directory=str(tmp_path / "tapes"), slots=2, durability="none"))
    made.library.create("S1", ["T00001"])
    return made


@pytest.fixture
def inventory(driver: VtapeDriver) -> Inventory:
    made = Inventory()
    made.settle({"vtape": driver}, {"vtape": driver})
    return made


def typed(inventory: Inventory, *words: str) -> Any:
    """What ``tapekit tape check`` prints and raises."""
    return CliRunner().invoke(command_app(lambda: inventory), ["check", *words])


def with_a_record(inventory: Inventory) -> None:
    tape = inventory.open("nrst0a", OpenMode.READ_WRITE, "somebody")
    write(tape.drive, [record(7)])
    tape.close()


@pytest.mark.requirement("R067")
def test_a_good_drive_passes_and_its_tape_is_empty_again(inventory: Inventory) -> None:
    result = typed(inventory, "nrst0a")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    passed = [line for line in lines if line.startswith("passed  ")]
    assert f"The drive of nrst0a passes all {len(passed)} checks. Not checked:" in lines
    assert {"passed  reopened", "passed  filemark stops reading", "passed  random walk 3"} <= set(
        passed
    )
    rows = json.loads(typed(inventory, "rst0l", "--json").output)
    assert [row["is_passed"] for row in rows] == [True] * len(passed)


def test_a_tape_with_data_is_left_alone_unless_that_is_asked_for(inventory: Inventory) -> None:
    with_a_record(inventory)
    result = typed(inventory, "nrst0a")
    assert isinstance(result.exception, TapeError)
    assert result.exception.id == "tape_devices.tape-not-empty"
    assert "--overwrite" in result.exception.action
    tape = inventory.open("nrst0a", OpenMode.READ, "somebody")
    tape.drive.rewind()
    assert tape.drive.read_record(4096) == record(7)
    tape.close()
    assert typed(inventory, "nrst0a", "--overwrite").exit_code == 0


def test_a_tape_that_begins_with_a_filemark_is_not_empty(inventory: Inventory) -> None:
    tape = inventory.open("nrst0a", OpenMode.READ_WRITE, "somebody")
    tape.drive.write_filemarks(1)
    tape.close()
    result = typed(inventory, "nrst0a")
    assert isinstance(result.exception, TapeError)
    assert result.exception.id == "tape_devices.tape-not-empty"


def test_a_drive_that_fails_is_told_check_by_check(
    inventory: Inventory, driver: VtapeDriver
) -> None:
    driver.arm(DeviceFault(kind=FaultKind.WRITE_ERROR, record=40))
    result = typed(inventory, "nrst0a")
    assert isinstance(result.exception, TapekitError)
    assert result.exception.id == "tape_devices.check-failed"
    failed = [line for line in result.output.splitlines() if line.startswith("FAILED  ")]
    assert failed
    assert all(": " in line for line in failed)
    assert any(line.startswith("passed  ") for line in result.output.splitlines())
    driver.faults.clear()
    assert typed(inventory, "nrst0a", "--overwrite").exit_code == 0


def test_a_drive_that_cannot_be_checked_says_why(
    inventory: Inventory, driver_of: Any, inventory_of: Any
) -> None:
    held = inventory.open("nrst0a", OpenMode.RAW, "session 3")
    assert "in use by session 3" in str(typed(inventory, "nrst0a").exception)
    held.close()
    assert "no tape loaded" in str(typed(inventory, "nrst1a").exception)
    assert "there is no tape device" in str(typed(inventory, "nrst7a").exception)
    without_door = inventory_of(driver_of("m", MemoryTape()))
    assert "takes no SCSI commands" in str(typed(without_door, "nrst0a").exception)
    protected = inventory_of(driver_of("m", MemoryTape(is_protected=True)))
    assert "write protected" in str(typed(protected, "nrst0a").exception)
    inventory.open("nrst0a", OpenMode.RAW, "session 4").close()


def test_a_cartridge_that_is_put_in_meanwhile_is_left_alone(
    inventory: Inventory, driver: VtapeDriver
) -> None:
    library = driver.library
    library.create_cartridge("T00002", slot=1, capacity=None, early_warning=None)
    trials = drive_trials(inventory, "nrst0a", overwrite=False)
    assert next(trials).is_passed
    library.unload(0)
    library.load(0, "T00002")
    with_a_record_in(driver)
    with pytest.raises(TapeError, match="T00002 TAPEKIT T00002 and was T00001") as caught:
        next(trials)
    assert caught.value.id == "tape_devices.cartridge-changed"
    assert inventory.drives()[0].holder is None
    assert typed(inventory, "nrst0a").exception.id == "tape_devices.tape-not-empty"


def with_a_record_in(driver: VtapeDriver) -> None:
    drive = driver.open_drive("0")
    write(drive, [record(7)])
    drive.close()


def test_rows_before_an_error_that_ends_the_check_are_told(
    inventory: Inventory, driver: VtapeDriver
) -> None:
    driver.arm(DeviceFault(kind=FaultKind.HARDWARE_ERROR, after=80))
    result = typed(inventory, "nrst0a", "--json")
    assert isinstance(result.exception, TapeError)
    rows = json.loads(result.output)
    assert [row["is_passed"] for row in rows].count(True) > 1


@pytest.mark.parametrize("words", ["st0", "v.0", "the serial number"])
def test_a_drive_is_checked_by_any_of_its_names(inventory: Inventory, words: str) -> None:
    with_a_record(inventory)
    serial = inventory.drives()[0].description.serial
    result = typed(inventory, serial if "serial" in words else words)
    assert isinstance(result.exception, TapeError)
    assert str(result.exception).startswith("the tape in the drive of nrst0a is not empty")


def test_a_drive_that_is_not_there_is_told(inventory: Inventory) -> None:
    result = typed(inventory, "st9")
    assert isinstance(result.exception, TapeError)
    assert result.exception.id == "tape_devices.no-such-drive"
