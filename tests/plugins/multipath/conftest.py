"""A virtual drive at the end of several cables, each of which can be cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import pytest

from tapekit.hookspecs.lifecycle import InitSite
from tapekit.hookspecs.media_changer import ChangerDescription
from tapekit.hookspecs.tape_driver import Condition, DriveDescription, PathPorts, TapeError
from tapekit.scsi_devices.changer import CdbChanger
from tapekit.scsi_devices.drive import CdbDrive
from tapekit_scsi_iscsi.errors import CATALOGUE
from tapekit_tape_devices.inventory import Inventory
from tapekit_vtape.driver import VtapeDriver
from tapekit_vtape.plugin import VtapePlugin
from tapekit_vtape.settings import VtapeSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tapekit.hookspecs.tape_driver import TapeDrive
    from tapekit.scsi.door import CdbReply, ScsiAddress
    from tapekit_multipath.joiner import PathsOfDevices


@final
class Cable:
    """A driver that finds drives and a changer over one cable."""

    def __init__(self, scheme: str, doors: dict[str, Any], *, lun_shift: int = 0) -> None:
        self.scheme = scheme
        self.doors = doors
        self.lun_shift = lun_shift
        self.serials: dict[str, str] = {}
        self.is_cut = False
        self.cut_at: int | None = None
        """The operation code during which it is cut; the device has it carried out."""
        self.cut_before: int | None = None
        """The operation code that never gets to the device, since it is cut."""
        self.is_slow = False
        """Whether answers are overdue instead of lost."""
        self.opened: list[str] = []

    def discover(self) -> list[DriveDescription]:
        return [
            DriveDescription(
                address=address,
                physical_path=f"{self.scheme}.5L{int(address) + 1 + self.lun_shift}",
                vendor="ACME",
                product="TAPE",
                revision="1",
                serial=self.serials.get(address, f"DRIVE{address}"),
                formats={},
            )
            for address in ("0", "1")
        ]

    def discover_changers(self) -> list[ChangerDescription]:
        return [
            ChangerDescription(
                address="changer",
                physical_path=f"{self.scheme}.5L9",
                vendor="ACME",
                product="LIBRARY",
                revision="1",
                serial="LIB",
            )
        ]

    def open_door(self, address: str) -> CableDoor:
        self.check()
        self.opened.append(address)
        return CableDoor(self, self.doors[address])

    def open_drive(self, address: str) -> CdbDrive:
        return self.drive_behind(self.open_door(address), address)

    def open_changer(self, address: str) -> CdbChanger:
        return self.changer_behind(self.open_door(address), address)

    def drive_behind(self, door: Any, address: str) -> CdbDrive:
        return CdbDrive(door, f"{self.scheme}.5L{int(address) + 1}", door.close)

    def changer_behind(self, door: Any, address: str) -> CdbChanger:
        return CdbChanger(door, f"{self.scheme}.5L9", door.close)

    def ports(self, _address: str) -> PathPorts:
        return PathPorts(self.scheme, "510a09800000412d")

    def check(self) -> None:
        if self.is_cut:
            raise CATALOGUE.raised_as(
                TapeError,
                "path-lost",
                condition=Condition.TIMEOUT if self.is_slow else Condition.HARDWARE_ERROR,
                device=self.scheme,
                reason="the cable is cut",
            )


@final
class CableDoor:
    def __init__(self, cable: Cable, door: Any) -> None:
        self._cable = cable
        self._door = door

    @property
    def address(self) -> ScsiAddress:
        return self._door.address  # type: ignore[no-any-return] # what vtape has

    def execute(
        self, cdb: bytes, *, data_out: bytes = b"", data_in: int = 0, timeout_s: float | None = None
    ) -> CdbReply:
        cable = self._cable
        cable.is_cut = cable.is_cut or cdb[0] == cable.cut_before
        cable.check()
        reply: CdbReply = self._door.execute(cdb, data_out=data_out, data_in=data_in)
        if cdb[0] == cable.cut_at:
            cable.is_cut = True
        cable.check()
        return reply

    def reset(self) -> None:
        self._cable.check()
        self._door.reset()

    def close(self) -> None:
        """Nothing to give back."""


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """The doors of two drives, of which the first has an empty tape, and of a changer."""
    VtapePlugin.init_part(InitSite(tmp_path, "127.0.0.1", 1))
    driver = VtapeDriver(VtapeSettings(directory=str(tmp_path / "vtape")))
    drives: list[TapeDrive] = [driver.open_drive(address) for address in ("0", "1")]
    changer = driver.open_changer("changer")
    yield {"0": drives[0].door, "1": drives[1].door, "changer": changer.door}
    for drive in drives:
        drive.close()
    changer.close()


@pytest.fixture
def cable_of(doors: dict[str, Any]) -> Callable[..., Cable]:
    return lambda scheme, **options: Cable(scheme, doors, **options)


@pytest.fixture
def inventory_over() -> Callable[..., Inventory]:
    """An inventory whose devices are joined."""

    def make(paths: PathsOfDevices, *cables: Cable) -> Inventory:
        inventory = Inventory()
        drivers = {cable.scheme: cable for cable in cables}
        inventory.settle(drivers, drivers, joiner=paths)
        return inventory

    return make
