"""What ``tape_devices`` asks of other plugins: which drives may be used, and
what devices are called.

Without answers every drive may be used as it describes itself, and devices
are called by their numbers. The one rule: both plugins judge devices by what
a driver has found, and never open one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

from tapekit.hookspecs import hookspec
from tapekit.hookspecs.media_changer import ChangerDescription
from tapekit.hookspecs.tape_driver import DriveDescription

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Device",
    "DeviceNames",
    "DriveQualifier",
    "tapekit_provide_device_names",
    "tapekit_provide_drive_qualifier",
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

    def names(self, device: Device) -> Sequence[str]:
        """The names that lead to a device now: ``st`` or ``mc`` and digits,
        of which leading zeros count. Empty if none does. Must not block.
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
