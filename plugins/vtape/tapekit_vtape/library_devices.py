"""The devices of one virtual library: its drives and its changer.

A drive outlives the objects that open it: its lock keeps other processes
out, and where a tape stands is kept in the library between two openings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit.hookspecs.media_changer import ChangerDescription
from tapekit.hookspecs.tape_driver import Condition, DriveDescription, TapeError
from tapekit_vtape.changer import VtapeChanger, element_addresses
from tapekit_vtape.changer_target import changer_door
from tapekit_vtape.drive import VtapeDrive
from tapekit_vtape.drive_lock import DriveLock
from tapekit_vtape.errors import CATALOGUE
from tapekit_vtape.gated_drive import PACKING, GatedDrive
from tapekit_vtape.identity import changer_identity, drive_identity
from tapekit_vtape.library import Library
from tapekit_vtape.models import VIRTUAL
from tapekit_vtape.packing import FramePacker
from tapekit_vtape.reservation_guard import DeviceGuard
from tapekit_vtape.reservation_rules import power_lost
from tapekit_vtape.tape_target import tape_door
from tapekit_vtape.zstd import find_zstd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tapekit_vtape.cartridge import Cartridge
    from tapekit_vtape.fault_board import FaultBoard
    from tapekit_vtape.identity import Identity
    from tapekit_vtape.settings import LibrarySettings

__all__ = ["LibraryDevices", "LibrarySite"]

_USUAL_RATIO: Final = 2
"""What makers of tapes take for granted when they print capacities."""

_CHANGER: Final = "changer"
"""The address of a library's one changer."""


class LibrarySite(NamedTuple):
    """Which library of its stack one is."""

    name: str = ""
    """Its name; the only one may have none."""
    number: int = 0
    """Its place among them, from 0."""

    def address(self, device: str) -> str:
        """The address of a device of the library, within the driver."""
        return f"{self.name}/{device}" if self.name else device


@final
class LibraryDevices:
    """The drives and the changer over one folder."""

    def __init__(
        self,
        settings: LibrarySettings,
        faults: FaultBoard,
        base_directory: Path,
        initiator: str,
        site: LibrarySite,
    ) -> None:
        """:param faults: of all libraries of the stack.
        :param initiator: name by which devices know the stack.
        """
        self._settings: Final = settings
        self._faults: Final = faults
        self._initiator: Final = initiator
        self.site: Final = site
        self.library: Final = Library(base_directory / settings.directory, settings)

    @property
    def drives(self) -> int:
        """How many drives there are."""
        return self._settings.drives

    @property
    def changer_address(self) -> str:
        """The address of the changer, within the driver."""
        return self.site.address(_CHANGER)

    def discover(self) -> Sequence[DriveDescription]:
        """What the drives are.

        :raises TapekitError: the library is missing or unreadable.
        """
        serial = self.library.state().serial
        return [
            DriveDescription(
                address=self.site.address(str(number)),
                physical_path=identity.physical_path,
                vendor=identity.inquiry.vendor,
                product=identity.inquiry.product,
                revision=identity.inquiry.revision,
                serial=identity.serial,
                formats=self._formats(number),
            )
            for number in range(self._settings.drives)
            for identity in (self._identity(serial, number),)
        ]

    def _identity(self, serial: str, number: int) -> Identity:
        return drive_identity(serial, number, self._settings.model_of(number), self.site.number)

    def _formats(self, number: int) -> Mapping[str, str]:
        """What each device of a drive writes, in words."""
        model = self._settings.model_of(number)
        if model is VIRTUAL:
            size = self._settings.capacity_bytes
            plain = f"TAPEKIT ({_gigabytes(size)})"
            packed = f"TAPEKIT ({_gigabytes(size * _USUAL_RATIO)} w/comp)"
        else:
            plain = f"LTO-{model.generation.number} {model.generation.native_bytes // 10**9}GB"
            packed = f"{plain} w/comp"
        if self._settings.compression == "none":
            packed = plain
        return {letter: packed if letter in PACKING else plain for letter in "lmha"}

    def describe_changer(self) -> ChangerDescription:
        """What the changer is.

        :raises TapekitError: the library is missing or unreadable.
        """
        identity = changer_identity(self.library.state().serial, self.site.number)
        return ChangerDescription(
            address=self.changer_address,
            physical_path=identity.physical_path,
            vendor=identity.inquiry.vendor,
            product=identity.inquiry.product,
            revision=identity.inquiry.revision,
            serial=identity.serial,
        )

    def changer(self) -> VtapeChanger:
        """The changer, opened.

        :raises TapeError: the library is missing or unreadable.
        """
        identity = changer_identity(self.library.state().serial, self.site.number)
        guard = self._guard(_CHANGER, identity.physical_path)
        return VtapeChanger(
            self.library,
            element_addresses(self._settings),
            lambda changer: changer_door(changer, identity, guard),
            self._faults.changer(self.site.name),
            guard,
        )

    def cut_power(self) -> None:
        """Turn all devices off and on, as far as reservations go: those of
        RESERVE(6) are gone, persistent ones unless they are to outlive that.

        :raises TapeError: the library is missing, or cannot be written.
        """
        self.library.state()
        devices = (_CHANGER, *(f"drive-{number}" for number in range(self.drives)))
        for device in devices:
            self.library.reservations.change(device, power_lost)

    def _packer(self) -> FramePacker | None:
        """What a drive compresses with; buffers of its own.

        :raises TapeError: ``HARDWARE_ERROR``, the host cannot.
        """
        if self._settings.compression == "none":
            return None
        library = find_zstd()
        if library is None:
            raise CATALOGUE.raised_as(TapeError, "no-zstd", condition=Condition.HARDWARE_ERROR)
        return FramePacker(library)

    def _guard(self, device: str, name: str) -> DeviceGuard:
        return DeviceGuard(self.library.reservations, device, name, self._initiator)

    def open_drive(self, number: int) -> GatedDrive:
        """Open a drive that the library has; see :meth:`TapeDriver.open_drive`."""
        identity = self._identity(self.library.state().serial, number)
        name = identity.physical_path
        faults = self._faults.drive(number, name, self.site.name)
        packer = self._packer()
        bay = _LibraryBay(self.library, number, name)
        drive = VtapeDrive(bay, faults, self._settings.model_of(number), packer)
        guard = self._guard(f"drive-{number}", name)
        door = tape_door(drive, identity, faults, guard)
        return GatedDrive(drive, faults, name, door, guard)


@final
class _LibraryBay:
    """A drive's place in the library."""

    def __init__(self, library: Library, number: int, name: str) -> None:
        self.name: Final = name
        self._library: Final = library
        self._number: Final = number
        self._lock: DriveLock | None = None
        self._barcode = ""
        try:
            self._use()
        except TapeError as error:
            # A drive that is reserved can be asked whose it is, and be taken
            # away from whoever has it; its tape is still one process's alone.
            is_reserved = library.reservations.state(f"drive-{number}").is_reserved
            if error.condition is not Condition.BUSY or not is_reserved:
                raise

    def _use(self) -> None:
        """Keep other processes out of the drive.

        :raises TapeError: ``BUSY``, one of them has it.
        """
        if self._lock is None:
            self._lock = DriveLock(self._library.directory, self._number, self.name)

    def take(self, *, also_ejected: bool) -> tuple[Cartridge, int] | None:
        """See :meth:`Bay.take`."""
        self._use()
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
            if self._lock is not None:
                self._lock.release()


def _gigabytes(size: int) -> str:
    """A capacity as tape makers print it: decimal, at most one decimal place."""
    for unit, name in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB")):
        if size >= unit:
            return f"{size / unit:.1f}".removesuffix(".0") + name
    return f"{size}B"
