"""Other plugins judge drives and name devices (``tapekit_provide_drive_qualifier``
and ``tapekit_provide_device_names``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tapekit.hookspecs.tape_driver import Condition, DriveSetup, OpenMode, TapeError
from tapekit.kernel import StartErrors
from tapekit.testing import MemoryChanger, MemoryTape
from tapekit_tape_devices.errors import CATALOGUE
from tapekit_tape_devices.plugin import TapeDevicesPlugin

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.kernel import StackKernel


class MemoryQualifier:
    """Refuses the drives with these addresses."""

    def __init__(self, *refused: str) -> None:
        self.met: list[str] = []
        self._refused = refused

    def meet(self, drives: Any) -> None:
        self.met = [drive.address for drive in drives]

    def described(self, drive: Any) -> Any:
        return msgspec.structs.replace(drive, formats=dict.fromkeys("lmha", "judged"))

    def name(self, drive: Any) -> str:
        return f"Pretty {drive.serial}"

    def setup(self, drive: Any, compression: str) -> Any:
        return DriveSetup(compression=compression, density=0x5A)

    def permit(self, drive: Any) -> None:
        if drive.address in self._refused:
            raise CATALOGUE.raised_as(
                TapeError, "no-tape", condition=Condition.NO_DEVICE, drive=drive.physical_path
            )


class MemoryNames:
    """Names devices by their physical paths, and knows when it met them."""

    def __init__(self, **names: tuple[str, ...]) -> None:
        self.names_by_path = {path.replace("_", "."): each for path, each in names.items()}
        self.met: list[list[str]] = []

    def meet(self, drives: Any, changers: Any) -> None:
        self.met.append([device.physical_path for device in (*drives, *changers)])

    def names(self, device: Any) -> Any:
        return self.names_by_path.get(device.physical_path, ())


@pytest.fixture
def stack(assembled: Callable[..., StackKernel], plugin: Any, driver_of: Any) -> Any:
    """The inventory of a stack with what these plugins provide."""

    def build(**provided: Any) -> Any:
        driver = driver_of("m", MemoryTape(), MemoryTape())
        kernel = assembled(
            TapeDevicesPlugin,
            plugin("drives", tapekit_register_tape_drivers=lambda self: (driver,)),
            *(
                plugin(name, requires=("tape_devices",), **{hook: lambda self, each=each: each})
                for name, (hook, each) in provided.items()
            ),
        )
        return kernel.tape_inventory

    return build


def test_a_drive_is_opened_only_if_it_is_permitted(stack: Any) -> None:
    qualifier = MemoryQualifier("1")
    inventory = stack(judge=("tapekit_provide_drive_qualifier", qualifier))
    inventory.open("nrst0a", OpenMode.READ, "x").close()
    with pytest.raises(TapeError) as caught:
        inventory.open("nrst1a", OpenMode.READ, "x")
    assert caught.value.condition is Condition.NO_DEVICE
    assert qualifier.met == ["0", "1"]
    rows = inventory.drives()
    assert [row.holder for row in rows] == [None, None]
    assert rows[1].description.formats["a"] == "judged"
    lines = inventory.devices("here").drives
    assert [line.description for line in lines] == ["Pretty m0", "Pretty m1"]


class MemoryAdjustable:
    """A drive in memory that knows how it was set."""

    def __init__(self, drive: Any, setups: list[Any]) -> None:
        self._drive = drive
        self._setups = setups

    def adjust(self, setup: Any) -> None:
        self._setups.append(setup)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._drive, name)


@pytest.mark.requirement("R049")
@pytest.mark.parametrize("is_judged", [True, False])
def test_a_drive_is_told_how_its_device_works(
    inventory_of: Any, driver_of: Any, is_judged: bool
) -> None:
    driver = driver_of("m", MemoryTape())
    setups: list[Any] = []
    opened = driver.open_drive
    driver.open_drive = lambda address: MemoryAdjustable(opened(address), setups)
    inventory = inventory_of()
    inventory.settle({"m": driver}, {}, qualifier=MemoryQualifier() if is_judged else None)
    for device in ("nrst0l", "rst0a"):
        inventory.open(device, OpenMode.READ, "x").close()
    assert [(one.compression, one.density) for one in setups] == [
        (letter, 0x5A if is_judged else 0) for letter in "la"
    ]


@pytest.mark.requirement("R065")
def test_names_are_those_that_a_plugin_gives(stack: Any) -> None:
    names = MemoryNames(m_0=("st00", "st7"), m_1=("st0",))
    inventory = stack(namer=("tapekit_provide_device_names", names))
    first, second = inventory.drives()
    assert [device.name for device in first.devices[::12]] == ["rst00l", "rst7l"]
    assert [device.name for device in second.devices[::12]] == ["rst0l"]
    for device, path in (("nrst00a", "m.0"), ("nrst7a", "m.0"), ("nrst0a", "m.1")):
        tape = inventory.open(device, OpenMode.READ, "x")
        assert [row.description.physical_path for row in inventory.drives() if row.holder] == [path]
        tape.close()
    assert names.met == [["m.0", "m.1"]]


def test_a_drive_without_a_name_has_no_devices(stack: Any) -> None:
    names = MemoryNames(m_1=("st0",))
    inventory = stack(namer=("tapekit_provide_device_names", names))
    assert [len(row.devices) for row in inventory.drives()] == [0, 12]
    with pytest.raises(TapeError, match=r"there is no tape device .nrst1a.; the drive is st0"):
        inventory.open("nrst1a", OpenMode.READ, "x")
    names.names_by_path.clear()
    with pytest.raises(TapeError, match="no drive has a name"):
        inventory.open("nrst0a", OpenMode.READ, "x")


def test_changers_are_named_too(inventory_of: Any, driver_of: Any, changers_of: Any) -> None:
    inventory = inventory_of(changers=[changers_of("c", 2)])
    names = MemoryNames(c_1=("mc00",))
    inventory.settle({}, {"c": changers_of("c", 2)}, naming=names)
    (row,) = inventory.changers()
    assert (row.name, row.description.physical_path) == ("mc00", "c.1")
    opened = inventory.open_changer("mc00", "x")
    assert opened.name == "mc00"
    opened.close()
    for name in ("mc0", "mc1"):
        with pytest.raises(TapeError, match="the changer is mc00"):
            inventory.open_changer(name, "x")
    assert names.met == [["c.0", "c.1"]]


def test_a_library_without_a_name_changes_tapes_all_the_same(
    inventory_of: Any, driver_of: Any, changers_of: Any
) -> None:
    changers = changers_of("c", 1)
    changer = MemoryChanger(["A", "B"], drive_serials=("m0",))
    changer.move(1024, 256)
    changers.made = lambda: changer
    inventory = inventory_of()
    drives = driver_of("m", MemoryTape())
    inventory.settle({"m": drives}, {"c": changers}, naming=MemoryNames(m_0=("st0",)))
    inventory.open("urst0a", OpenMode.READ, "x").close()
    (drive,) = (one for one in changer.elements() if one.drive_serial == "m0")
    assert drive.volume_tag == "B"


@pytest.mark.parametrize(
    "hook", ["tapekit_provide_drive_qualifier", "tapekit_provide_device_names"]
)
def test_two_plugins_that_answer_stop_the_start(stack: Any, hook: str) -> None:
    with pytest.raises(StartErrors) as caught:
        stack(one=(hook, object()), two=(hook, object()))
    assert f"both one and two answer the hook {hook}" in str(caught.value)
