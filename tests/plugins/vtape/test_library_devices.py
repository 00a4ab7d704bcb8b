"""Several libraries in one stack: each is itself, and what they share is in order."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from typer.testing import CliRunner

from tapekit.errors import TapekitError
from tapekit.hookspecs.tape_driver import Condition, OpenMode
from tapekit_tape_devices.plugin import TapeDevicesPlugin
from tapekit_vtape.commands import command_app
from tapekit_vtape.driver import VtapeDriver
from tapekit_vtape.faults import DeviceFault, FaultKind
from tapekit_vtape.plugin import VtapePlugin
from tapekit_vtape.settings import VtapeSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tapekit.kernel import StackKernel

TABLES: Final = """
[[vtape.library]]
name = "east"
directory = "tapes/east"
drives = 3
model = "lto8"

[[vtape.library]]
name = "west"
directory = "tapes/west"
drives = 1
slots = 20
faults = [{ kind = "not-ready", drive = 0, times = 1 }]
"""


def settings(*libraries: dict[str, object], **others: object) -> VtapeSettings:
    return msgspec.convert({"library": libraries, **others}, VtapeSettings)


EAST: Final[dict[str, object]] = {"name": "east", "directory": "east", "drives": 2}
WEST: Final[dict[str, object]] = {"name": "west", "directory": "west", "drives": 1}


@pytest.fixture
def driver(tmp_path: Path) -> VtapeDriver:
    made = VtapeDriver(settings(EAST, WEST))
    made.settle(tmp_path)
    for number, name in enumerate(("east", "west")):
        made.of(name).library.create(f"5E1A{number}", [f"{name[0].upper()}{n}" for n in range(4)])
    return made


def invoked(driver: VtapeDriver, *words: str) -> str:
    app = command_app(driver.of, lambda: pytest.fail("asked"))
    result = CliRunner().invoke(app, words)
    if result.exception is not None:
        raise result.exception
    return str(result.output)


def test_a_stack_numbers_the_devices_of_all_its_libraries(
    assembled: Callable[..., StackKernel], tmp_path: Path
) -> None:
    kernel = assembled(TapeDevicesPlugin, VtapePlugin, tables=TABLES)
    runner, app = CliRunner(), kernel.command_groups({})["vtape"].app
    for name in ("east", "west"):
        runner.invoke(app, ["init", "--library", name], catch_exceptions=False)
    inventory = kernel.tape_inventory
    assert inventory is not None
    rows = inventory.drives()
    assert [row.description.physical_path for row in rows] == ["v.0", "v.1", "v.2", "v1.0"]
    assert [row.devices[0].name for row in rows] == ["rst0l", "rst1l", "rst2l", "rst3l"]
    assert [row.description.vendor for row in rows] == ["HPE", "HPE", "HPE", "TAPEKIT"]
    assert [row.description.physical_path for row in inventory.changers()] == ["v.64", "v1.64"]
    assert len({row.description.serial for row in rows}) == 4
    with pytest.raises(TapekitError, match="not ready"):
        inventory.open("rst3a", OpenMode.READ_WRITE, "test")
    tape = inventory.open("rst3a", OpenMode.READ_WRITE, "test")
    tape.drive.write_records([memoryview(b"in the west")], 11)
    tape.close()
    assert (tmp_path / "tapes/west/cartridges/VT0001/payload").read_bytes() == b"in the west"
    robots = [inventory.open_changer(name, "test") for name in ("mc0", "mc1")]
    sizes = [len(robot.changer.elements()) for robot in robots]
    assert sizes == [1 + 8 + 3, 1 + 20 + 1]
    for robot in robots:
        robot.close()


def test_addresses_name_the_library(driver: VtapeDriver, condition_of: Any) -> None:
    assert [found.address for found in driver.discover()] == ["east/0", "east/1", "west/0"]
    assert [found.address for found in driver.discover_changers()] == [
        "east/changer",
        "west/changer",
    ]
    drive = driver.open_drive("west/0")
    assert drive.door is not None
    assert drive.door.address == (1, 0, 0)
    drive.close()
    for address in ("0", "west/1", "north/0", "/0"):
        assert condition_of(lambda address=address: driver.open_drive(address)) is (
            Condition.NO_DEVICE
        )
    assert condition_of(lambda: driver.open_changer("changer")) is Condition.NO_DEVICE


def test_commands_work_on_the_library_that_is_named(driver: VtapeDriver) -> None:
    assert "W1" in invoked(driver, "list", "--library", "west")
    assert "W1" not in invoked(driver, "list", "--library", "east")
    assert invoked(driver, "unload", "0", "--library", "west") == "W0 is in slot 0\n"
    assert invoked(driver, "load", "0", "W2", "--library", "west") == "W2 is in drive 0\n"
    assert invoked(driver, "create", "E9", "--library", "east") == "made E9 in slot 4\n"
    assert invoked(driver, "move", "E9", "shelf", "--library", "east") == "E9 is on the shelf\n"
    assert "can be written" in invoked(driver, "unprotect", "E1", "--library", "east")
    assert "E0" in invoked(driver, "inventory", "--library", "east")
    with pytest.raises(TapekitError, match="there are several libraries: east, west"):
        invoked(driver, "list")
    with pytest.raises(TapekitError, match='no library "north"; there is: east, west'):
        invoked(driver, "list", "--library", "north")
    with pytest.raises(TapekitError, match='no library ""'):
        invoked(driver, "list", "--library", "")


def test_a_cartridge_tells_its_library(driver: VtapeDriver, tmp_path: Path) -> None:
    assert "can be read" in invoked(driver, "verify", "W1")
    assert "write protected" in invoked(driver, "protect", "E1")
    assert invoked(driver, "unprotect", "E1") == "E1 can be written\n"
    assert invoked(driver, "move", "E2", "shelf") == "E2 is on the shelf\n"
    assert invoked(driver, "move", "E2", "2") == "E2 is in slot 2\n"
    target = tmp_path / "e1.simh"
    invoked(driver, "export", "E1", "--format", "simh", "-o", str(target))
    assert "0 more records" in invoked(driver, "import", "W1", str(target), "--format", "simh")
    invoked(driver, "create", "W1", "--library", "east")
    for barcode in ("W1", "N1", "../W2"):
        with pytest.raises(TapekitError, match="there are several libraries: east, west"):
            invoked(driver, "verify", barcode)
    with pytest.raises(TapekitError, match="W1 already"):
        invoked(driver, "create", "W1", "--library", "east")


def test_the_only_library_needs_no_name(tmp_path: Path) -> None:
    one = VtapeDriver(settings(WEST))
    one.settle(tmp_path)
    assert invoked(one, "init", "--cartridges", "1") == f"made {tmp_path}/west with 1 cartridges\n"
    assert invoked(one, "list") == invoked(one, "list", "--library", "west")
    unnamed = VtapeDriver(VtapeSettings())
    with pytest.raises(TapekitError, match='no library "west"; there is: one without a name'):
        unnamed.of("west")


def test_faults_are_of_one_library_or_of_all(driver: VtapeDriver, condition_of: Any) -> None:
    driver.arm(DeviceFault(kind=FaultKind.HARDWARE_ERROR, library="west"))
    east, west = driver.open_drive("east/0"), driver.open_drive("west/0")
    east.rewind()
    assert condition_of(west.rewind) is Condition.HARDWARE_ERROR
    driver.faults.clear()
    driver.arm(DeviceFault(kind=FaultKind.HARDWARE_ERROR, drive=0))
    for drive in (east, west):
        assert condition_of(drive.rewind) is Condition.HARDWARE_ERROR
        drive.close()
    driver.arm(DeviceFault(kind=FaultKind.JAM, library="east"))
    driver.of("west").changer().move(1025, 1030)
    assert condition_of(lambda: driver.of("east").changer().move(1027, 1030)) is (
        Condition.HARDWARE_ERROR
    )
    driver.arm(DeviceFault(kind=FaultKind.NO_TAPE, drive=1))
    with pytest.raises(TapekitError, match="no drive 1; there are 1"):
        driver.arm(DeviceFault(kind=FaultKind.NO_TAPE, library="west", drive=1))
    with pytest.raises(TapekitError, match='no library "north"'):
        driver.arm(DeviceFault(kind=FaultKind.NO_TAPE, library="north"))


def test_one_folder_is_one_library(tmp_path: Path) -> None:
    (tmp_path / "west").symlink_to("east")
    with pytest.raises(TapekitError, match="libraries east and west have the same folder"):
        VtapeDriver(settings(EAST, WEST)).settle(tmp_path)


def test_a_copied_library_is_told_apart_or_refused(
    driver: VtapeDriver, tmp_path: Path, condition_of: Any
) -> None:
    shutil.copyfile(tmp_path / "east/library.json", tmp_path / "west/library.json")
    assert condition_of(driver.discover) is Condition.HARDWARE_ERROR
    assert condition_of(driver.discover_changers) is Condition.HARDWARE_ERROR


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"drives": 4}, r"drives has to stand in one of the tables \[\[vtape.library\]\]"),
        ({"faults": [{"kind": "jam"}]}, "faults has to stand in one of the tables"),
        ({"library": [EAST, EAST]}, "2 libraries have the name east"),
        ({"library": [EAST | {"drives": 64}, WEST]}, "the libraries have 65 drives; 64 is the"),
        ({"library": [EAST | {"name": "a/b"}]}, "name"),
        ({"library": [{"directory": "x"}]}, "missing required field `name`"),
        ({"library": [EAST | {"slot_address": 257}]}, "slot_address"),
        (
            {"library": [EAST | {"faults": [{"kind": "jam", "library": "west"}]}]},
            "is of the library that it is set for",
        ),
    ],
)
def test_libraries_in_each_others_way_are_refused(values: Any, words: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert({"library": [EAST, WEST], **values}, VtapeSettings)


def test_what_is_common_stands_outside(tmp_path: Path) -> None:
    made = settings(EAST, WEST, initiator="host-a")
    assert [name for name, _ in made.libraries] == ["east", "west"]
    assert VtapeSettings().libraries == (("", VtapeSettings()),)
    VtapeDriver(made).settle(tmp_path)
