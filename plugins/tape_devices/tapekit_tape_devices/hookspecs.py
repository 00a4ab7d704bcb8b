"""What ``tape_devices`` asks of other plugins: which drives may be used, what
devices are called, who keeps other systems from them, and which of them are
one device on two paths.

Without answers every drive may be used as it describes itself, devices are
called by their numbers, nothing is reserved, and each path is a device. The
one rule: plugins judge devices by what a driver has found, and never open one
by themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from tapekit.hookspecs import hookspec
from tapekit.hookspecs.media_changer import ChangerDescription
from tapekit.hookspecs.tape_driver import DriveDescription, DriveSetup

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.hookspecs.media_changer import ChangerDriver
    from tapekit.hookspecs.tape_driver import TapeDriver
    from tapekit.scsi.door import CdbDoor

__all__ = [
    "BareDoor",
    "BareDoors",
    "Device",
    "DeviceNames",
    "DeviceState",
    "DriveQualifier",
    "FoundChanger",
    "FoundDrive",
    "PathJoiner",
    "Reservation",
    "Reservations",
    "tapekit_provide_device_names",
    "tapekit_provide_drive_qualifier",
    "tapekit_provide_path_joiner",
    "tapekit_provide_reservations",
]

Device: TypeAlias = DriveDescription | ChangerDescription
"""A drive or a changer, as its driver has found it."""


class DriveQualifier(Protocol):
    """Judges drives. Calls may come from any thread and must not block."""

    def meet(self, drives: Sequence[DriveDescription]) -> None:
        """The drives that have been found, in the order of their numbers."""
        ...

    def described(self, drive: DriveDescription) -> DriveDescription:
        """A drive as listings show it, such as with other formats; the
        address, the physical path and the serial number stay as they are.
        """
        ...

    def name(self, drive: DriveDescription) -> str:
        """Vendor and product of a drive, in words for people."""
        ...

    def setup(self, drive: DriveDescription, compression: str) -> DriveSetup:
        """How a drive works under its devices of a compression letter."""
        ...

    def permit(self, drive: DriveDescription) -> None:
        """Judge a drive that is about to be opened.

        :raises TapeError: ``NO_DEVICE``, it may not be used.
        """
        ...


class DeviceNames(Protocol):
    """Gives devices their logical names. Calls may come from any thread."""

    def meet(
        self, drives: Sequence[DriveDescription], changers: Sequence[ChangerDescription]
    ) -> None:
        """The devices that have been found, in the order of their numbers.

        Called before :meth:`names`; a second time with the same devices if
        two threads come first.

        :raises TapekitError: names that were remembered cannot be read.
        """
        ...

    async def remember(self, look: Callable[[], object]) -> None:
        """Run ``look`` in a thread, which looks for devices again and calls
        :meth:`meet`; then write down the names of new ones.

        :raises TapekitError: as ``look``, or the names cannot be written.
        """
        ...

    def names(self, device: Device) -> Sequence[str]:
        """The names that lead to a device now: ``st`` or ``mc`` and digits,
        of which leading zeros count. Empty if none does. Must not block.
        """
        ...


class BareDoor(NamedTuple):
    """A device that is held and not reserved, for a command or two."""

    device: str
    """Its physical path name."""
    door: CdbDoor | None
    """Its raw door, if it has one."""
    close: Callable[[], object]


class DeviceState(NamedTuple):
    """A drive or a changer of this node."""

    physical_path: str
    holder: str | None
    """Who has it open here."""


class BareDoors(Protocol):
    """Raw doors of devices, for what has to be done before one is reserved.
    Calls block and may come from any thread.
    """

    def devices(self) -> Sequence[DeviceState]:
        """All drives, then all changers.

        :raises TapekitError: a driver cannot look.
        """
        ...

    def open(self, device: str, holder: str) -> BareDoor:
        """Open a device that nobody uses here.

        :param device: a name, a physical path or a serial number.
        :raises TapeError: ``NO_DEVICE``; ``BUSY`` with the holder's name.
        """
        ...


class Reservation(Protocol):
    """A device that other systems are kept from."""

    @property
    def door(self) -> CdbDoor:
        """The device's door. Once the reservation has been lost, it refuses
        with ``RESERVED`` what would use the device.
        """
        ...

    def release(self) -> None:
        """Let others have the device. What fails is logged: the device is
        closed either way.
        """
        ...


class Reservations(Protocol):
    """Reserves devices while they are open. Calls may come from any thread."""

    def meet(self, doors: BareDoors) -> None:
        """The devices that there are; called once, before all else."""
        ...

    def reserve(self, door: CdbDoor, device: str) -> Reservation | None:
        """Reserve a device that has just been opened; ``None`` if nothing is
        to be reserved now.

        :param device: its physical path name, for messages.
        :raises TapeError: ``RESERVED``, another system has it;
            ``BAD_REQUEST``, it cannot be reserved so; it does not answer.
        """
        ...


class FoundDrive(NamedTuple):
    """A drive and the driver that has found it."""

    driver: TapeDriver
    description: DriveDescription


class FoundChanger(NamedTuple):
    """A changer and the driver that has found it."""

    driver: ChangerDriver
    description: ChangerDescription


class PathJoiner(Protocol):
    """Makes one device of its paths. Calls may come from any thread."""

    def joined_drives(self, found: Sequence[FoundDrive]) -> Sequence[FoundDrive]:
        """The drives, those that were found on several paths once each, with
        a driver that chooses the path. Must not block.
        """
        ...

    def joined_changers(self, found: Sequence[FoundChanger]) -> Sequence[FoundChanger]:
        """The changers, likewise."""
        ...


@hookspec
def tapekit_provide_reservations() -> Reservations | None:
    """Offer what keeps other systems from devices that are open here.

    Called once, when ``tape_devices`` is assembled. At most one plugin may
    answer; a second one stops the start with
    ``tape_devices.two-providers``. With none nothing is reserved.
    """
    ...


@hookspec
def tapekit_provide_path_joiner() -> PathJoiner | None:
    """Offer what knows that several paths lead to one device.

    Called once, when ``tape_devices`` is assembled. At most one plugin may
    answer; a second one stops the start with
    ``tape_devices.two-providers``. With none each path is a device.
    """
    ...


@hookspec
def tapekit_provide_drive_qualifier() -> DriveQualifier | None:
    """Offer what says which drives may be used.

    Called once, when ``tape_devices`` is assembled. At most one plugin may
    answer; a second one stops the start with
    ``tape_devices.two-providers``. With none every drive may be used.
    """
    ...


@hookspec
def tapekit_provide_device_names() -> DeviceNames | None:
    """Offer what names devices.

    Called once, when ``tape_devices`` is assembled. At most one plugin may
    answer; a second one stops the start with
    ``tape_devices.two-providers``. With none devices are called by their
    numbers, ``st0`` and ``mc0`` first.
    """
    ...
