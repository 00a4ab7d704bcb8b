"""The driver of virtual devices: those of one library, or of several in their order.

Each library is a folder and knows nothing of the others; they share the name
by which devices know this stack, and the board of faults. The one rule: what
a device of a library is called does not depend on how many the others have.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import msgspec

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit_vtape.errors import CATALOGUE
from tapekit_vtape.fault_board import FaultBoard
from tapekit_vtape.library_devices import LibraryDevices, LibrarySite
from tapekit_vtape.zstd import find_zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.hookspecs.media_changer import ChangerDescription
    from tapekit.hookspecs.tape_driver import DriveDescription
    from tapekit_vtape.changer import VtapeChanger
    from tapekit_vtape.fault_board import ArmedFault
    from tapekit_vtape.faults import DeviceFault
    from tapekit_vtape.gated_drive import GatedDrive
    from tapekit_vtape.library import Library
    from tapekit_vtape.settings import VtapeSettings

__all__ = ["VtapeDriver"]


@final
class VtapeDriver:
    """A :class:`tapekit.hookspecs.tape_driver.TapeDriver` over folders, and
    a :class:`tapekit.hookspecs.media_changer.ChangerDriver`.
    """

    scheme: Final = "vtape"

    def __init__(
        self, settings: VtapeSettings, wait: Callable[[float], object] | None = None
    ) -> None:
        """:param wait: lets so many seconds pass, for slow drives."""
        self._settings: Final = settings
        faults = (
            msgspec.structs.replace(fault, library=name or None)
            for name, library in settings.libraries
            for fault in library.faults
        )
        self.faults: Final = FaultBoard(faults, wait)
        self._libraries = self._all(Path(), settings.initiator or "tapekit")

    def settle(self, base_directory: Path) -> None:
        """Take relative folders from here instead of the working directory.

        :raises TapekitError: two libraries have one folder.
        :raises TapeError: ``HARDWARE_ERROR``, the host cannot compress as it should.
        """
        initiator = self._settings.initiator
        if not initiator:
            folder = os.fsencode(base_directory.resolve()).decode("utf-8", "backslashreplace")
            initiator = f"{os.uname().nodename}:{folder}"
        self._libraries = self._all(base_directory, initiator)
        _refuse_shared_folders(self._libraries)
        compresses = any(one.compression != "none" for _, one in self._settings.libraries)
        if compresses and find_zstd() is None:
            raise CATALOGUE.raised_as(TapeError, "no-zstd", condition=Condition.HARDWARE_ERROR)

    def _all(self, base_directory: Path, initiator: str) -> Sequence[LibraryDevices]:
        return [
            LibraryDevices(
                settings, self.faults, base_directory, initiator, LibrarySite(name, number)
            )
            for number, (name, settings) in enumerate(self._settings.libraries)
        ]

    # For an operator.

    def of(self, name: str | None = None, barcode: str | None = None) -> LibraryDevices:
        """The devices of a library by its name; without one those of the only
        library, or of the only one that has a cartridge.

        :param barcode: of the cartridge.
        :raises TapekitError: there is none of this name; no name, and there are several.
        """
        if name is None and len(self._libraries) == 1:
            return self._libraries[0]
        known = ", ".join(one.site.name for one in self._libraries if one.site.name)
        if name is None:
            having = [one for one in self._libraries if barcode and one.library.has(barcode)]
            if len(having) == 1:
                return having[0]
            raise CATALOGUE.error("which-library", known=known)
        for one in self._libraries:
            if name == one.site.name != "":
                return one
        raise CATALOGUE.error("no-such-library", name=name, known=known or "one without a name")

    @property
    def library(self) -> Library:
        """The only library.

        :raises TapekitError: there are several.
        """
        return self.of().library

    def changer(self) -> VtapeChanger:
        """The changer of the only library.

        :raises TapekitError: there are several.
        :raises TapeError: the library is missing or unreadable.
        """
        return self.of().changer()

    def arm(self, fault: DeviceFault) -> ArmedFault:
        """Have a device fail on cue.

        :raises TapekitError: the library is none of the stack's, or the drive
            none of the library's.
        """
        meant = self._libraries if fault.library is None else [self.of(fault.library)]
        most = max(one.drives for one in meant)
        if fault.drive is not None and fault.drive >= most:
            raise CATALOGUE.error("no-drive", drive=fault.drive, drives=most)
        return self.faults.add(fault)

    # The contracts.

    def discover(self) -> Sequence[DriveDescription]:
        """See :meth:`TapeDriver.discover`: the drives of each library.

        :raises TapekitError: a library is missing, unreadable, or a copy of another.
        """
        self._refuse_copies()
        return [found for one in self._libraries for found in one.discover()]

    def discover_changers(self) -> Sequence[ChangerDescription]:
        """See :meth:`ChangerDriver.discover_changers`: one a library.

        :raises TapekitError: a library is missing, unreadable, or a copy of another.
        """
        self._refuse_copies()
        return [one.describe_changer() for one in self._libraries]

    def _refuse_copies(self) -> None:
        """Devices of one serial number would be taken for one device with two paths."""
        owners: dict[str, LibraryDevices] = {}
        for one in self._libraries:
            serial = one.library.state().serial
            first = owners.setdefault(serial, one)
            if first is not one:
                raise CATALOGUE.raised_as(
                    TapeError,
                    "copied-library",
                    condition=Condition.HARDWARE_ERROR,
                    first=first.site.name,
                    second=one.site.name,
                    serial=serial,
                    path=str(one.library.directory / "library.json"),
                )

    def open_drive(self, address: str) -> GatedDrive:
        """See :meth:`TapeDriver.open_drive`."""
        for one in self._libraries:
            for number in range(one.drives):
                if address == one.site.address(str(number)):
                    return one.open_drive(number)
        raise CATALOGUE.raised_as(
            TapeError,
            "no-such-address",
            condition=Condition.NO_DEVICE,
            address=address,
            known=", ".join(
                f"{one.site.address('0')} to {one.site.address(str(one.drives - 1))}"
                for one in self._libraries
            ),
        )

    def open_changer(self, address: str) -> VtapeChanger:
        """See :meth:`ChangerDriver.open_changer`."""
        for one in self._libraries:
            if address == one.changer_address:
                return one.changer()
        raise CATALOGUE.raised_as(
            TapeError,
            "no-changer",
            condition=Condition.NO_DEVICE,
            address=address,
            known=", ".join(one.changer_address for one in self._libraries),
        )


def _refuse_shared_folders(libraries: Sequence[LibraryDevices]) -> None:
    """Two libraries over one folder would each put tapes into drives of the other.

    :raises TapekitError: there are two.
    """
    owners: dict[Path, str] = {}
    for one in libraries:
        folder = one.library.directory.resolve()
        if folder in owners:
            raise CATALOGUE.error(
                "shared-folder", first=owners[folder], second=one.site.name, directory=str(folder)
            )
        owners[folder] = one.site.name
