"""The driver of virtual drives and of their changer: what the library in a folder has.

A drive outlives the objects that open it: its lock keeps other processes
out, and where a tape stands is kept in the library between two openings.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.media_changer import ChangerDescription
from tapekit.hookspecs.tape_driver import Condition, DriveDescription, TapeError
from tapekit_vtape.changer import VtapeChanger, element_addresses
from tapekit_vtape.changer_target import changer_door
from tapekit_vtape.drive import VtapeDrive
from tapekit_vtape.drive_lock import DriveLock
from tapekit_vtape.errors import CATALOGUE
from tapekit_vtape.fault_board import FaultBoard
from tapekit_vtape.gated_drive import GatedDrive
from tapekit_vtape.identity import changer_identity, drive_identity
from tapekit_vtape.library import Library
from tapekit_vtape.tape_target import tape_door

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit_vtape.cartridge import Cartridge
    from tapekit_vtape.fault_board import ArmedFault
    from tapekit_vtape.faults import DeviceFault
    from tapekit_vtape.settings import VtapeSettings

__all__ = ["VtapeDriver"]

_CHANGER: Final = "changer"
"""The address of the one changer."""


@final
class VtapeDriver:
    """A :class:`tapekit.hookspecs.tape_driver.TapeDriver` over a folder, and
    a :class:`tapekit.hookspecs.media_changer.ChangerDriver`.
    """

    scheme: Final = "vtape"

    def __init__(
        self, settings: VtapeSettings, wait: Callable[[float], object] | None = None
    ) -> None:
        """:param wait: lets so many seconds pass, for slow drives."""
        self._settings: Final = settings
        self.faults: Final = FaultBoard(settings.faults, wait)
        self.library = Library(Path(settings.directory), settings)

    def settle(self, base_directory: Path) -> None:
        """Take a relative folder from here instead of the working directory."""
        self.library = Library(base_directory / self._settings.directory, self._settings)

    def arm(self, fault: DeviceFault) -> ArmedFault:
        """Have a device fail on cue.

        :raises TapekitError: the drive is none of the library's.
        """
        if fault.drive is not None and fault.drive >= self._settings.drives:
            raise CATALOGUE.error("no-drive", drive=fault.drive, drives=self._settings.drives)
        return self.faults.add(fault)

    def discover(self) -> Sequence[DriveDescription]:
        """See :meth:`TapeDriver.discover`.

        :raises TapekitError: the library is missing or unreadable.
        """
        serial = self.library.state().serial
        size = f"TAPEKIT ({_gigabytes(self._settings.capacity_bytes)})"
        return [
            DriveDescription(
                address=str(number),
                physical_path=identity.physical_path,
                vendor=identity.inquiry.vendor,
                product=identity.inquiry.product,
                revision=identity.inquiry.revision,
                serial=identity.serial,
                formats=dict.fromkeys("lmha", size),
            )
            for number in range(self._settings.drives)
            for identity in (drive_identity(serial, number),)
        ]

    def discover_changers(self) -> Sequence[ChangerDescription]:
        """See :meth:`ChangerDriver.discover_changers`: one a library.

        :raises TapekitError: the library is missing or unreadable.
        """
        identity = changer_identity(self.library.state().serial)
        return [
            ChangerDescription(
                address=_CHANGER,
                physical_path=identity.physical_path,
                vendor=identity.inquiry.vendor,
                product=identity.inquiry.product,
                revision=identity.inquiry.revision,
                serial=identity.serial,
            )
        ]

    def open_changer(self, address: str) -> VtapeChanger:
        """See :meth:`ChangerDriver.open_changer`."""
        if address != _CHANGER:
            raise CATALOGUE.raised_as(
                TapeError,
                "no-changer",
                condition=Condition.NO_DEVICE,
                address=address,
                known=_CHANGER,
            )
        return self.changer()

    def changer(self) -> VtapeChanger:
        """The changer of the library.

        :raises TapeError: the library is missing or unreadable.
        """
        identity = changer_identity(self.library.state().serial)
        return VtapeChanger(
            self.library,
            element_addresses(self._settings),
            lambda changer: changer_door(changer, identity),
            self.faults.changer(),
        )

    def open_drive(self, address: str) -> GatedDrive:
        """See :meth:`TapeDriver.open_drive`."""
        for number in range(self._settings.drives):
            if address == str(number):
                identity = drive_identity(self.library.state().serial, number)
                name = identity.physical_path
                faults = self.faults.drive(number, name)
                drive = VtapeDrive(_LibraryBay(self.library, number, name), faults)
                return GatedDrive(drive, faults, name, tape_door(drive, identity, faults))
        raise CATALOGUE.raised_as(
            TapeError,
            "no-such-address",
            condition=Condition.NO_DEVICE,
            address=address,
            drives=self._settings.drives,
        )


@final
class _LibraryBay:
    """A drive's place in the library."""

    def __init__(self, library: Library, number: int, name: str) -> None:
        self.name: Final = name
        self._library: Final = library
        self._number: Final = number
        self._lock: Final = DriveLock(library.directory, number, self.name)
        self._barcode = ""

    def take(self, *, also_ejected: bool) -> tuple[Cartridge, int] | None:
        """See :meth:`Bay.take`."""
        taken = self._library.take(self._number, also_ejected=also_ejected)
        if taken is None:
            return None
        self._barcode = taken.barcode
        return taken.cartridge, taken.position

    def eject(self) -> None:
        """See :meth:`Bay.eject`."""
        self._library.remember(self._number, self._barcode, is_ejected=True)

    def leave(self, position: int | None) -> None:
        """See :meth:`Bay.leave`."""
        try:
            if position is not None:
                self._library.remember(self._number, self._barcode, position=position)
        finally:
            self._lock.release()


def _gigabytes(size: int) -> str:
    """A capacity as tape makers print it: decimal, at most one decimal place."""
    for unit, name in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB")):
        if size >= unit:
            return f"{size / unit:.1f}".removesuffix(".0") + name
    return f"{size}B"
