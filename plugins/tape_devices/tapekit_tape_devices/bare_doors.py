"""Raw doors of devices that nobody uses here, for what comes before a reservation.

The one rule: a device's place in the table of holders is taken while its door
is open, so that no user comes upon what is being done.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, final

from tapekit.hookspecs.tape_driver import DoorDriver
from tapekit_tape_devices.hookspecs import BareDoor, DeviceState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.hookspecs.media_changer import MediaChanger
    from tapekit.hookspecs.tape_driver import TapeDrive
    from tapekit.scsi.door import DeviceDoor
    from tapekit_tape_devices.changers import Changers, NumberedChanger
    from tapekit_tape_devices.numbered_drive import NumberedDrive

__all__ = ["BareDevices", "DriveTable"]


class DriveTable(Protocol):
    """What is needed of the inventory; see there."""

    def numbered(self) -> Sequence[NumberedDrive]:
        """The drives by their numbers."""
        ...

    def called(self, words: str) -> NumberedDrive:
        """The drive that goes by these words."""
        ...

    def holder(self, drive: NumberedDrive) -> str | None:
        """Who has a drive open."""
        ...

    def take(self, drive: NumberedDrive, holder: str) -> None:
        """Take the place of a drive's holder."""
        ...

    def give_back(self, drive: NumberedDrive) -> None:
        """Make the place free that was taken."""
        ...


@final
class BareDevices:
    """A :class:`tapekit_tape_devices.hookspecs.BareDoors` over the inventory."""

    def __init__(self, drives: DriveTable, changers: Changers) -> None:
        self._drives: Final = drives
        self._changers: Final = changers

    def devices(self) -> Sequence[DeviceState]:
        """See :meth:`BareDoors.devices`."""
        drives = (
            DeviceState(drive.description.physical_path, self._drives.holder(drive))
            for drive in self._drives.numbered()
        )
        changers = (
            DeviceState(changer.description.physical_path, self._changers.holder(changer))
            for changer in self._changers.numbered()
        )
        return (*drives, *changers)

    def open(self, device: str, holder: str) -> BareDoor:
        """See :meth:`BareDoors.open`."""
        changers, drives = self._changers, self._drives
        changer = self._changer(device)
        if changer is not None:
            changers.take(changer, holder)
            return _held(
                changer,
                lambda: changer.driver.open_changer(changer.description.address),
                lambda: changers.give_back(changer),
            )
        drive = drives.called(device)
        drives.take(drive, holder)
        return _held(
            drive,
            lambda: drive.driver.open_drive(drive.description.address),
            lambda: drives.give_back(drive),
        )

    def _changer(self, words: str) -> NumberedChanger | None:
        for changer in self._changers.numbered():
            found = changer.description
            if words in (*self._changers.names(changer), found.physical_path):
                return changer
            if found.serial and words.casefold() == found.serial.casefold():
                return changer
        return None


def _held(
    found: NumberedDrive | NumberedChanger,
    open_device: Callable[[], TapeDrive | MediaChanger],
    give_back: Callable[[], object],
) -> BareDoor:
    """The door of a device whose place has been taken."""
    path, address = found.description.physical_path, found.description.address
    try:
        if isinstance(found.driver, DoorDriver):
            door = found.driver.open_door(address)
            return BareDoor(path, door, partial(_leave, door, give_back))
        opened = open_device()
    except BaseException:
        give_back()
        raise
    return BareDoor(path, opened.door, partial(_leave, opened, give_back))


def _leave(opened: DeviceDoor | TapeDrive | MediaChanger, give_back: Callable[[], object]) -> None:
    try:
        opened.close()
    finally:
        give_back()
