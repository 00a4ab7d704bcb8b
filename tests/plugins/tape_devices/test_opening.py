"""What stands between a device and its user: trace and reservation at its door."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import pytest

from tapekit.hookspecs.lifecycle import InitSite
from tapekit.hookspecs.media_changer import ChangerDescription
from tapekit.hookspecs.tape_driver import Condition, DriveDescription, OpenMode, TapeError
from tapekit.kernel import StartErrors
from tapekit.scsi_devices.changer import CdbChanger
from tapekit.scsi_devices.drive import CdbDrive
from tapekit_tape_devices.errors import CATALOGUE
from tapekit_tape_devices.inventory import Inventory
from tapekit_tape_devices.plugin import TapeDevicesPlugin
from tapekit_tape_devices.tape_trace import DriveTrace
from tapekit_vtape.driver import VtapeDriver
from tapekit_vtape.plugin import VtapePlugin
from tapekit_vtape.settings import VtapeSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tapekit.kernel import StackKernel

RESERVED = CATALOGUE.raised_as(TapeError, "no-tape", condition=Condition.RESERVED, drive="x")


@final
class RecordingReservations:
    """Reserves, and writes into a diary when; ``fails`` refuses."""

    def __init__(self, diary: list[str]) -> None:
        self.diary = diary
        self.fails = False
        self.is_off = False
        self.doors: Any = None

    def meet(self, doors: Any) -> None:
        self.doors = doors

    def reserve(self, door: Any, device: str) -> Any:
        if self.fails:
            raise RESERVED
        if self.is_off:
            return None
        self.diary.append(f"reserve {device}")
        return _Reservation(door, self.diary)


class _Reservation:
    def __init__(self, door: Any, diary: list[str]) -> None:
        self.door = door
        self._diary = diary

    def release(self) -> None:
        self._diary.append("release")


@final
class DoorDriver:
    """A drive and a changer behind doors that write commands into the diary."""

    scheme = "d"

    def __init__(self, driver: VtapeDriver, diary: list[str]) -> None:
        self._driver = driver
        self._diary = diary

    def discover(self) -> list[DriveDescription]:
        return [
            DriveDescription(
                address="0",
                physical_path="d.0",
                vendor="ACME",
                product="TAPE",
                revision="1",
                serial="D0",
                formats={},
            )
        ]

    def discover_changers(self) -> list[ChangerDescription]:
        return [
            ChangerDescription(
                address="changer",
                physical_path="d.1",
                vendor="ACME",
                product="LIBRARY",
                revision="1",
                serial="L0",
            )
        ]

    def open_door(self, address: str) -> Any:
        opened = (
            self._driver.open_changer(address)
            if address == "changer"
            else self._driver.open_drive(address)
        )
        self._diary.append(f"open {address}")
        return _Door(opened, self._diary)

    def open_drive(self, address: str) -> Any:
        raise AssertionError("not in one step")

    open_changer = open_drive

    def drive_behind(self, door: Any, address: str) -> Any:
        return CdbDrive(door, "d.0", door.close)

    def changer_behind(self, door: Any, address: str) -> Any:
        return CdbChanger(door, "d.1", door.close)


class _Door:
    def __init__(self, opened: Any, diary: list[str]) -> None:
        self._opened = opened
        self._diary = diary
        self.address = opened.door.address

    def execute(self, cdb: bytes, **options: Any) -> Any:
        self._diary.append(f"{cdb[0]:02X}")
        return self._opened.door.execute(cdb, **options)

    def reset(self) -> None:
        self._diary.append("reset")
        self._opened.door.reset()

    def close(self) -> None:
        self._diary.append("close")
        self._opened.close()


@pytest.fixture
def diary() -> list[str]:
    return []


@pytest.fixture
def reservations(diary: list[str]) -> RecordingReservations:
    return RecordingReservations(diary)


@pytest.fixture
def driver(tmp_path: Path) -> VtapeDriver:
    VtapePlugin.init_part(InitSite(tmp_path, "127.0.0.1", 1))
    return VtapeDriver(VtapeSettings(directory=str(tmp_path / "vtape")))


@pytest.fixture
def inventory(
    driver: VtapeDriver, diary: list[str], reservations: RecordingReservations
) -> Inventory:
    made = Inventory()
    doors = DoorDriver(driver, diary)
    made.settle({"d": doors}, {"d": doors}, reservations=reservations)
    return made


def test_a_door_is_reserved_first_and_released_last(inventory: Inventory, diary: list[str]) -> None:
    tape = inventory.open("nrst0a", OpenMode.READ_WRITE, "x")
    assert diary[:3] == ["open 0", "reserve d.0", "00"]
    tape.drive.write_records([memoryview(b"1" * 512)], 512)
    del diary[:]
    tape.close()
    # The last thing written is on the tape before anybody else can have it.
    assert diary == ["10", "4D", "release", "close"]
    tape.close()
    assert diary[-1] == "close"


def test_a_changer_is_reserved_likewise(inventory: Inventory, diary: list[str]) -> None:
    changer = inventory.open_changer("mc0", "x")
    assert changer.changer.elements()
    changer.close()
    assert diary[:2] == ["open changer", "reserve d.1"]
    assert diary[-2:] == ["release", "close"]


@pytest.mark.parametrize("what", ["drive", "changer"])
def test_what_cannot_be_reserved_is_closed_and_free(
    inventory: Inventory, diary: list[str], reservations: RecordingReservations, what: str
) -> None:
    def attempt() -> Any:
        if what == "drive":
            return inventory.open("nrst0a", OpenMode.READ, "x")
        return inventory.open_changer("mc0", "x")

    reservations.fails = True
    with pytest.raises(TapeError) as caught:
        attempt()
    assert caught.value.condition is Condition.RESERVED
    assert diary[-1] == "close"
    reservations.fails, reservations.is_off = False, True
    attempt().close()
    assert "release" not in diary


def test_a_drive_that_is_refused_for_its_mode_is_released(
    inventory: Inventory, diary: list[str]
) -> None:
    tape = inventory.open("nrst0a", OpenMode.READ_WRITE, "x")
    tape.drive.unload()
    tape.close()
    with pytest.raises(TapeError) as caught:
        inventory.open("nrst0a", OpenMode.READ, "x")
    assert caught.value.condition is Condition.NO_TAPE
    assert diary[-2:] == ["release", "close"]
    assert inventory.drives()[0].holder is None


def test_a_trace_of_a_door_has_every_command(inventory: Inventory, tmp_path: Path) -> None:
    (drive,) = inventory.numbered()
    watch = inventory.watch(drive)
    watch.trace = DriveTrace(tmp_path / "trace")
    tape = inventory.open("nrst0a", OpenMode.READ_WRITE, "x")
    tape.drive.write_records([memoryview(bytes(1024))], 512)
    with pytest.raises(TapeError):
        tape.drive.read_record(512)
    tape.close()
    watch.trace.close()
    lines = [line.split("  ", 1)[1] for line in (tmp_path / "trace").read_text().splitlines()]
    assert lines.count("  WRITE(6) count=512: GOOD, 512 bytes went") == 2
    assert "write: 2 records of 512 bytes" in lines
    assert "  READ(6) count=512: CHECK CONDITION 8/00/05, end of data detected" in lines
    assert lines[-1] == "close"


def test_a_device_without_a_door_is_not_reserved(
    driver_of: Any, reservations: RecordingReservations, diary: list[str]
) -> None:
    inventory = Inventory()
    inventory.settle({"m": driver_of("m", None)}, {}, reservations=reservations)
    inventory.open("nrst0a", OpenMode.RAW, "x").close()
    assert diary == []


def test_a_drive_that_drives_itself_is_reserved_through_its_raw_door(
    driver: VtapeDriver, reservations: RecordingReservations, diary: list[str]
) -> None:
    inventory = Inventory()
    inventory.settle({"vtape": driver}, {"vtape": driver}, reservations=reservations)
    tape = inventory.open("nrst0a", OpenMode.READ_WRITE, "x")
    tape.drive.write_records([memoryview(bytes(512))], 512)
    tape.close()
    inventory.open_changer("mc0", "x").close()
    assert diary == ["reserve v.0", "release", "reserve v.64", "release"]
    reservations.fails = True
    for attempt in (
        lambda: inventory.open("nrst0a", OpenMode.READ, "x"),
        lambda: inventory.open_changer("mc0", "x"),
    ):
        with pytest.raises(TapeError):
            attempt()
    reservations.fails = False
    inventory.open("nrst0a", OpenMode.READ, "x").close()


def test_a_bare_door_is_held_and_not_reserved(
    inventory: Inventory, reservations: RecordingReservations, diary: list[str]
) -> None:
    doors = reservations.doors
    assert [state.physical_path for state in doors.devices()] == ["d.0", "d.1"]
    for words, path in (("st0", "d.0"), ("d0", "d.0"), ("mc0", "d.1"), ("L0", "d.1")):
        bare = doors.open(words, "somebody")
        assert bare.device == path
        assert [state.holder for state in doors.devices() if state.physical_path == path] == [
            "somebody"
        ]
        with pytest.raises(TapeError, match="in use by somebody"):
            doors.open(path, "somebody else")
        bare.close()
    assert "reserve d.0" not in diary
    with pytest.raises(TapeError, match="no tape drive st1"):
        doors.open("st1", "x")


@pytest.mark.parametrize("hook", ["tapekit_provide_reservations", "tapekit_provide_path_joiner"])
def test_two_plugins_that_answer_one_hook_stop_the_start(
    assembled: Callable[..., StackKernel], plugin: Any, hook: str
) -> None:
    answering = [plugin(name, **{hook: lambda self: object()}) for name in ("first", "second")]
    with pytest.raises(StartErrors, match=f"both first and second answer the hook {hook}"):
        assembled(TapeDevicesPlugin, *answering)
