"""Joins devices that were found on two paths, and opens them over one of these.

A joined device keeps the name of the path on which it was found first. The
one rule: a device that was found once is opened as before, by the driver that
has found it.
"""

from __future__ import annotations

import logging
from itertools import count
from typing import TYPE_CHECKING, Final, final

from tapekit_multipath.failover_door import FailoverDoor
from tapekit_multipath.paths import MOST_PATHS, F, joined
from tapekit_tape_devices.hookspecs import FoundChanger, FoundDrive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.media_changer import ChangerDescription, MediaChanger
    from tapekit.hookspecs.tape_driver import DriveDescription, PathPorts, TapeDrive
    from tapekit.scsi.door import DeviceDoor
    from tapekit_multipath.paths import DevicePath, PathDevice

__all__ = ["PathsOfDevices"]

_LOG: Final = logging.getLogger("tapekit.multipath")


@final
class PathsOfDevices:
    """A :class:`tapekit_tape_devices.hookspecs.PathJoiner`."""

    def __init__(self, *, is_balanced: bool) -> None:
        """:param is_balanced: whether devices are spread over their paths."""
        self._is_balanced: Final = is_balanced
        self._known: Final[dict[str, DevicePath]] = {}
        self.drives: Sequence[PathDevice] = ()
        """The drives that can be reached over paths, as they were found last."""
        self.changers: Sequence[PathDevice] = ()
        """The changers, likewise."""

    def joined_drives(self, found: Sequence[FoundDrive]) -> Sequence[FoundDrive]:
        """See :meth:`PathJoiner.joined_drives`."""
        pairs = self._joined(found)
        self.drives = [device for _, device in pairs if device is not None]
        turns = count()
        return [
            FoundDrive(
                _JoinedDriver(device, self._first(turns), one.driver.scheme), one.description
            )
            if device is not None and len(device.paths) > 1
            else one
            for one, device in pairs
        ]

    def joined_changers(self, found: Sequence[FoundChanger]) -> Sequence[FoundChanger]:
        """See :meth:`PathJoiner.joined_changers`."""
        pairs = self._joined(found)
        self.changers = [device for _, device in pairs if device is not None]
        return [
            FoundChanger(_JoinedDriver(device, 0, one.driver.scheme), one.description)
            if device is not None and len(device.paths) > 1
            else one
            for one, device in pairs
        ]

    def _first(self, turns: count[int]) -> int:
        """Which path of the next device is tried first."""
        return next(turns) % MOST_PATHS if self._is_balanced else 0

    def _joined(self, found: Sequence[F]) -> Sequence[tuple[F, PathDevice | None]]:
        pairs = joined(found, self._known)
        for pair in pairs:
            if pair[1] is not None:
                self._remember(pair[1])
        return pairs

    def _remember(self, device: PathDevice) -> None:
        for path in (*device.paths, *device.spare):
            self._known[path.found.physical_path] = path
        for path in device.spare:
            _LOG.warning(
                "the path %s to %s is not used: %s",
                path.found.physical_path,
                device.found.physical_path,
                _why_spare(path, device),
            )


def _why_spare(path: DevicePath, device: PathDevice) -> str:
    lun = device.paths[0].lun
    if path.lun != lun:
        return f"it has LUN {path.lun}, and LUN {lun} on its first path"
    return f"a device has at most {MOST_PATHS} paths"


@final
class _JoinedDriver:
    """A driver of one device on several paths: what it needs of a
    :class:`tapekit.hookspecs.tape_driver.TapeDriver`, a
    :class:`tapekit.hookspecs.media_changer.ChangerDriver` and a
    :class:`tapekit.hookspecs.tape_driver.DoorDriver`.
    """

    def __init__(self, device: PathDevice, first: int, scheme: str) -> None:
        """:param first: which path is tried first.
        :param scheme: of the driver that has found the device.
        """
        self.scheme: Final = scheme
        self._device: Final = device
        self._first: Final = first

    def discover(self) -> Sequence[DriveDescription]:
        """Nothing that its drivers have not found."""
        return ()

    def discover_changers(self) -> Sequence[ChangerDescription]:
        """Nothing that its drivers have not found."""
        return ()

    def open_drive(self, address: str) -> TapeDrive:
        """See :meth:`TapeDriver.open_drive`."""
        return self.drive_behind(self.open_door(address), address)

    def open_changer(self, address: str) -> MediaChanger:
        """See :meth:`ChangerDriver.open_changer`."""
        return self.changer_behind(self.open_door(address), address)

    def open_door(self, _address: str) -> FailoverDoor:
        """See :meth:`DoorDriver.open_door`: over the first path that works,
        those that failed last of all.
        """
        paths = self._device.paths
        turned = (*paths[self._first :], *paths[: self._first])
        ordered = sorted(turned, key=lambda path: not path.is_working)
        return FailoverDoor(ordered, self._device.found.physical_path)

    def drive_behind(self, door: DeviceDoor, address: str) -> TapeDrive:
        """See :meth:`DoorDriver.drive_behind`."""
        return self._device.paths[0].driver.drive_behind(door, address)

    def changer_behind(self, door: DeviceDoor, address: str) -> MediaChanger:
        """See :meth:`DoorDriver.changer_behind`."""
        return self._device.paths[0].driver.changer_behind(door, address)

    def ports(self, _address: str) -> PathPorts:
        """See :meth:`PortedDriver.ports`: those of the path that names it."""
        return self._device.paths[0].ports
