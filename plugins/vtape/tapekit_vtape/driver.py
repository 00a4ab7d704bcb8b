"""The driver of virtual drives: what the library in a folder has.

A drive outlives the objects that open it: its lock keeps other processes
out, and where a tape stands is kept in the library between two openings.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.tape_driver import Condition, DriveDescription, TapeError
from tapekit_vtape.drive import VtapeDrive
from tapekit_vtape.drive_lock import DriveLock
from tapekit_vtape.errors import CATALOGUE
from tapekit_vtape.library import Library

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit_vtape.cartridge import Cartridge
    from tapekit_vtape.settings import VtapeSettings

__all__ = ["VtapeDriver"]

_REVISION: Final = "1"


@final
class VtapeDriver:
    """A :class:`tapekit.hookspecs.tape_driver.TapeDriver` over a folder."""

    scheme: Final = "vtape"

    def __init__(self, settings: VtapeSettings) -> None:
        self._settings: Final = settings
        self.library = Library(Path(settings.directory), settings)

    def settle(self, base_directory: Path) -> None:
        """Take a relative folder from here instead of the working directory."""
        self.library = Library(base_directory / self._settings.directory, self._settings)

    def discover(self) -> Sequence[DriveDescription]:
        """See :meth:`TapeDriver.discover`.

        :raises TapekitError: the library is missing or unreadable.
        """
        serial = self.library.state().serial
        size = f"TAPEKIT ({_gigabytes(self._settings.capacity_bytes)})"
        return [
            DriveDescription(
                address=str(number),
                physical_path=_physical_path(number),
                vendor="TAPEKIT",
                product="VIRTUAL-TAPE",
                revision=_REVISION,
                serial=f"{serial}D{number:02}",
                formats=dict.fromkeys("lmha", size),
            )
            for number in range(self._settings.drives)
        ]

    def open_drive(self, address: str) -> VtapeDrive:
        """See :meth:`TapeDriver.open_drive`."""
        for number in range(self._settings.drives):
            if address == str(number):
                return VtapeDrive(_LibraryBay(self.library, number))
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

    def __init__(self, library: Library, number: int) -> None:
        self.name: Final = _physical_path(number)
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


def _physical_path(number: int) -> str:
    return f"v.{number}"


def _gigabytes(size: int) -> str:
    """A capacity as tape makers print it: decimal, at most one decimal place."""
    for unit, name in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB")):
        if size >= unit:
            return f"{size / unit:.1f}".removesuffix(".0") + name
    return f"{size}B"
