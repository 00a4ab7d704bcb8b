"""Paths as data: which devices they lead to, and which LUN groups there are.

A device is known by its serial number, vendor and product, on whatever path
it was found; a LUN group is the devices that are reached over the same paths.
Nothing here opens anything. The one rule: a device that cannot be told from
others, since it has no serial number, is joined with nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar, final

from tapekit.hookspecs.tape_driver import DoorDriver, PathPorts, PortedDriver
from tapekit_tape_devices.hookspecs import FoundChanger, FoundDrive

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tapekit_tape_devices.hookspecs import Device

__all__ = ["MOST_PATHS", "DevicePath", "PathDevice", "joined", "lun_groups"]

F = TypeVar("F", FoundDrive, FoundChanger)

MOST_PATHS: Final = 2
"""Paths from a system to one device; more are not used."""

_PLACE: Final = re.compile(r"(.*?)\.([^.]*?)(?:L([0-9]+))?", re.ASCII)


@final
class DevicePath:
    """One path to one device, and how it has done so far."""

    def __init__(self, driver: DoorDriver, found: Device) -> None:
        self.driver: Final = driver
        self.found = found
        """The device as it was found last; its address may be another one then."""
        self.errors = 0
        """How often it has failed."""
        self.is_working = True
        """Whether it worked when it was used last."""

    @property
    def lun(self) -> int:
        """The logical unit, from the end of the physical path name."""
        place = _PLACE.fullmatch(self.found.physical_path)
        return int(place[3]) if place and place[3] else 0

    @property
    def ports(self) -> PathPorts:
        """The ports at its ends; where the driver does not tell, those that
        the physical path name has.
        """
        if isinstance(self.driver, PortedDriver):
            return self.driver.ports(self.found.address)
        place = _PLACE.fullmatch(self.found.physical_path)
        if place is None:
            return PathPorts(self.found.physical_path, "-")
        return PathPorts(place[1], place[2])

    def failed(self) -> None:
        """Note that it does not work."""
        self.errors += 1
        self.is_working = False


class PathDevice(NamedTuple):
    """A device and its paths, the first of which names it."""

    paths: Sequence[DevicePath]
    spare: Sequence[DevicePath] = ()
    """Paths beyond those that are used: too many, or mapped to another LUN."""

    @property
    def found(self) -> Device:
        """The device as it was found on its first path."""
        return self.paths[0].found

    @property
    def address(self) -> str:
        """The address on its first path."""
        return self.found.address


def joined(
    found: Iterable[F], known: Mapping[str, DevicePath]
) -> Sequence[tuple[F, PathDevice | None]]:
    """The devices, in the order in which they were found first, with their
    paths; ``None`` for one whose driver has no doors.

    :param known: paths that were there before, by physical path name.
    """
    ways: dict[object, tuple[F, list[DevicePath]]] = {}
    order: list[object] = []
    for one in found:
        driver, device = one
        key: object = _identity(device) or device.physical_path
        if not isinstance(driver, DoorDriver):
            key = object()
        if key not in ways:
            ways[key] = (one, [])
            order.append(key)
        if isinstance(driver, DoorDriver):
            before = known.get(device.physical_path)
            if before is None or _identity(before.found) != _identity(device):
                before = DevicePath(driver, device)
            before.found = device
            ways[key][1].append(before)
    return [(ways[key][0], _device(ways[key][1])) for key in order]


def _identity(device: Device) -> tuple[str, str, str] | None:
    serial = device.serial.strip().casefold()
    return (serial, device.vendor, device.product) if serial else None


def _device(paths: Sequence[DevicePath]) -> PathDevice | None:
    if not paths:
        return None
    alike = [path for path in paths if path.lun == paths[0].lun]
    used = alike[:MOST_PATHS]
    return PathDevice(used, [path for path in paths if path not in used])


def lun_groups(devices: Iterable[PathDevice]) -> Mapping[frozenset[PathPorts], list[PathDevice]]:
    """The LUN groups, by the paths that their devices share, in the order in
    which they were found.
    """
    groups: dict[frozenset[PathPorts], list[PathDevice]] = {}
    for device in devices:
        groups.setdefault(frozenset(path.ports for path in device.paths), []).append(device)
    return groups
