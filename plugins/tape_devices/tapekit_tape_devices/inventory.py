"""All drives of a stack, numbered, named, and each held by one at a time.

Drives get their numbers once, when they are first asked for, in the order of
schemes and of each driver; they are called by these, unless something else
names them, and something else may say which of them may be used. A drive is
opened for its holder and closed after it: what outlasts that (where a
no-rewind tape stands) is kept by the drive itself, as hardware does. Media
changers are numbered and held in the same way. The one rule: a drive's place
in the table of holders is taken before the drive is touched and given back
after it was closed.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit.hookspecs.tape_driver import Condition, DriveRow, OpenMode, TapeError
from tapekit_tape_devices.changers import Changers
from tapekit_tape_devices.errors import CATALOGUE
from tapekit_tape_devices.holds import Holds
from tapekit_tape_devices.library_sequence import Reloader
from tapekit_tape_devices.names import (
    DeviceName,
    device_rows,
    drive_name,
    known,
    number_in,
    parse_name,
)
from tapekit_tape_devices.open_tape import HeldTape
from tapekit_tape_devices.operations import DeviceLine, Devices

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tapekit.hookspecs.media_changer import ChangerDriver, ChangerRow, OpenChanger
    from tapekit.hookspecs.tape_driver import (
        DriveDescription,
        DriveStatus,
        OpenTape,
        TapeDriver,
    )
    from tapekit_tape_devices.hookspecs import DeviceNames, DriveQualifier

__all__ = ["MOST_DRIVES", "Inventory"]

_LOG: Final = logging.getLogger("tapekit.tape_devices")

MOST_DRIVES: Final = 64
"""Tape drives that one node may have, however they are attached."""


class _Drive(NamedTuple):
    """A drive under its number."""

    number: int
    driver: TapeDriver
    description: DriveDescription


@final
class Inventory:
    """A :class:`tapekit.hookspecs.tape_driver.TapeInventory` over drivers.

    Calls may come from several threads at once.
    """

    def __init__(self) -> None:
        self._drivers: Mapping[str, TapeDriver] = {}
        self._qualifier: DriveQualifier | None = None
        self._naming: DeviceNames | None = None
        self._found: Sequence[_Drive] | None = None
        self._connected = 0
        self._holds: Final = Holds()
        self._changers: Final = Changers()

    def settle(
        self,
        drivers: Mapping[str, TapeDriver],
        changer_drivers: Mapping[str, ChangerDriver],
        *,
        qualifier: DriveQualifier | None = None,
        naming: DeviceNames | None = None,
    ) -> None:
        """Take the stack's drivers, by scheme, what judges drives and what
        names devices; called once, before all else.
        """
        self._drivers = drivers
        self._qualifier = qualifier
        self._naming = naming
        self._changers.settle(changer_drivers, naming)

    def discover(self) -> Sequence[DriveDescription]:
        """Find and number drives and changers, unless that has been done.

        :raises TapekitError: a driver cannot look; its kind is not numbered.
        """
        return [drive.description for drive in self._drives()]

    def drives(self) -> Sequence[DriveRow]:
        """See :meth:`TapeInventory.drives`; a drive that no name leads to has
        no devices.

        :raises TapekitError: a driver cannot look.
        """
        return [
            DriveRow(
                description=self._described(drive),
                scheme=drive.driver.scheme,
                devices=[row for name in self._names(drive) for row in device_rows(name)],
                holder=self._holds.holder(drive.number),
            )
            for drive in self._drives()
        ]

    def devices(self, node: str) -> Devices:
        """Drives and changers as administrators see them, named or not.

        :raises TapekitError: a driver cannot look.
        """
        drives = tuple(map(self._line, self._drives()))
        return Devices(node=node, drives=drives, changers=self._changers.lines())

    def _line(self, drive: _Drive) -> DeviceLine:
        found, names = drive.description, tuple(self._names(drive))
        name = f"{found.vendor} {found.product}"
        return DeviceLine(
            physical_path=found.physical_path,
            description=self._qualifier.name(found) if self._qualifier else name,
            aliases=names,
            device_names=tuple(row.name for name in names for row in device_rows(name)),
            serial=found.serial,
            revision=found.revision,
            holder=self._holds.holder(drive.number),
        )

    def open(self, device: str, mode: OpenMode, holder: str) -> OpenTape:
        """See :meth:`TapeInventory.open`.

        :raises TapekitError: a driver cannot look.
        """
        name, drive = self._named(device)
        if self._qualifier is not None:
            self._qualifier.permit(drive.description)
        path = drive.description.physical_path
        present = self._holds.take(drive.number, holder)
        if present is not None:
            raise CATALOGUE.raised_as(
                TapeError,
                "device-in-use",
                condition=Condition.BUSY,
                drive=path,
                holder=present,
            )
        try:
            return self._opened(name, drive, mode, holder)
        except BaseException:
            self._holds.give_back(drive.number)
            raise

    def changers(self) -> Sequence[ChangerRow]:
        """See :meth:`TapeInventory.changers`.

        :raises TapekitError: a driver cannot look.
        """
        self._drives()
        return self._changers.rows()

    def open_changer(self, name: str, holder: str) -> OpenChanger:
        """See :meth:`TapeInventory.open_changer`.

        :raises TapekitError: a driver cannot look.
        """
        self._drives()
        return self._changers.open(name, holder)

    def _opened(self, name: DeviceName, drive: _Drive, mode: OpenMode, holder: str) -> OpenTape:
        path, serial = drive.description.physical_path, drive.description.serial
        reloader = Reloader(self._changers, str(name), path, serial)
        if name.row.unloads:
            reloader.check(holder)
        opened = drive.driver.open_drive(drive.description.address)
        try:
            is_writable = _check_mode(opened.status(), mode, path)
        except BaseException:
            opened.close()
            raise
        holds, number = self._holds, drive.number
        return HeldTape(
            name.row,
            opened,
            lambda: holds.give_back(number),
            is_writable=is_writable,
            reload=lambda: reloader.reload(holder),
        )

    def _named(self, device: str) -> tuple[DeviceName, _Drive]:
        drives = self._drives()
        name = parse_name(device)
        if name is not None:
            for drive in drives:
                if name.drive in self._names(drive):
                    return name, drive
        number = None if name is None else number_in(name.drive)
        if number is not None and MOST_DRIVES <= number < self._connected:
            raise CATALOGUE.raised_as(
                TapeError,
                "beyond-limit",
                condition=Condition.NO_DEVICE,
                device=device,
                number=number,
                limit=MOST_DRIVES,
            )
        raise CATALOGUE.raised_as(
            TapeError,
            "no-such-device",
            condition=Condition.NO_DEVICE,
            device=device,
            known=self._known(drives),
        )

    def _names(self, drive: _Drive) -> Sequence[str]:
        if self._naming is None:
            return (drive_name(drive.number),)
        return self._naming.names(drive.description)

    def _described(self, drive: _Drive) -> DriveDescription:
        if self._qualifier is None:
            return drive.description
        return self._qualifier.described(drive.description)

    def _known(self, drives: Sequence[_Drive]) -> str:
        """The names that there are, for a message."""
        if not drives:
            return "no tape drive is connected"
        return known([name for drive in drives for name in self._names(drive)], "drive")

    def _drives(self) -> Sequence[_Drive]:
        found = self._found
        if found is None:
            drives = _look(self._drivers)
            self._connected = len(drives)
            if len(drives) > MOST_DRIVES:
                _LOG.warning(
                    "%d tape drives are connected; those beyond %d have no names",
                    len(drives),
                    MOST_DRIVES,
                )
            # Two threads that come first find the same; either may win.
            found = drives[:MOST_DRIVES]
            self._introduce([drive.description for drive in found])
            self._found = found
        return found

    def _introduce(self, drives: Sequence[DriveDescription]) -> None:
        """Tell those who judge and name devices what has been found."""
        changers = self._changers.discover()
        if self._qualifier is not None:
            self._qualifier.meet(drives)
        if self._naming is not None:
            self._naming.meet(drives, changers)


def _look(drivers: Mapping[str, TapeDriver]) -> Sequence[_Drive]:
    found = (
        (driver, description)
        for _, driver in sorted(drivers.items())
        for description in driver.discover()
    )
    return [_Drive(number, *pair) for number, pair in enumerate(found)]


def _check_mode(status: DriveStatus, mode: OpenMode, drive: str) -> bool:
    """Whether the tape may be written; raises if the mode asks for more
    than there is (NDMP v4, TAPE_OPEN).
    """
    if mode is OpenMode.RAW:
        return not status.write_protected
    if not status.has_tape:
        raise CATALOGUE.raised_as(TapeError, "no-tape", condition=Condition.NO_TAPE, drive=drive)
    if mode is OpenMode.READ:
        return False
    if status.write_protected:
        raise CATALOGUE.raised_as(
            TapeError, "write-protected", condition=Condition.WRITE_PROTECTED, drive=drive
        )
    return True
