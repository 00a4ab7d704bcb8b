"""All drives of a stack, numbered, named, and each held by one at a time.

Drives get their numbers once, when they are first asked for, in the order of
schemes and of each driver. A drive is opened for its holder and closed after
it: what outlasts that (where a no-rewind tape stands) is kept by the drive
itself, as hardware does. The one rule: a drive's place in the table of
holders is taken before the drive is touched and given back after it was
closed.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit.hookspecs.tape_driver import Condition, DriveRow, OpenMode, TapeError
from tapekit_tape_devices.errors import CATALOGUE
from tapekit_tape_devices.names import DeviceName, device_rows, parse_name
from tapekit_tape_devices.open_tape import HeldTape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tapekit.hookspecs.tape_driver import (
        DriveDescription,
        DriveStatus,
        OpenTape,
        TapeDriver,
    )

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
class _Hold:
    """One opening of a drive, told apart from others by the same holder."""

    def __init__(self, holder: str) -> None:
        self.holder: Final = holder


@final
class Inventory:
    """A :class:`tapekit.hookspecs.tape_driver.TapeInventory` over drivers.

    Calls may come from several threads at once.
    """

    def __init__(self) -> None:
        self._drivers: Mapping[str, TapeDriver] = {}
        self._found: Sequence[_Drive] | None = None
        self._connected = 0
        self._holds: Final[dict[int, _Hold]] = {}

    def settle(self, drivers: Mapping[str, TapeDriver]) -> None:
        """Take the stack's drivers, by scheme; called once, before all else."""
        self._drivers = drivers

    def discover(self) -> Sequence[DriveDescription]:
        """Find and number the drives, unless that has been done.

        :raises TapekitError: a driver cannot look; nothing is numbered.
        """
        return [drive.description for drive in self._drives()]

    def drives(self) -> Sequence[DriveRow]:
        """See :meth:`TapeInventory.drives`.

        :raises TapekitError: a driver cannot look.
        """
        return [
            DriveRow(
                description=drive.description,
                scheme=drive.driver.scheme,
                devices=device_rows(drive.number),
                holder=hold.holder if (hold := self._holds.get(drive.number)) else None,
            )
            for drive in self._drives()
        ]

    def open(self, device: str, mode: OpenMode, holder: str) -> OpenTape:
        """See :meth:`TapeInventory.open`.

        :raises TapekitError: a driver cannot look.
        """
        name, drive = self._named(device)
        path = drive.description.physical_path
        if name.rewind_type == "ur":
            raise CATALOGUE.raised_as(
                TapeError,
                "unload-needs-library",
                condition=Condition.NO_DEVICE,
                device=device,
                drive=path,
            )
        hold = _Hold(holder)
        # One step that no other thread can divide: either our entry is in
        # the table now, or somebody else's was there before.
        present = self._holds.setdefault(drive.number, hold)
        if present is not hold:
            raise CATALOGUE.raised_as(
                TapeError,
                "device-in-use",
                condition=Condition.BUSY,
                drive=path,
                holder=present.holder,
            )
        try:
            return self._opened(name, drive, mode)
        except BaseException:
            del self._holds[drive.number]
            raise

    def _opened(self, name: DeviceName, drive: _Drive, mode: OpenMode) -> OpenTape:
        opened = drive.driver.open_drive(drive.description.address)
        try:
            is_writable = _check_mode(opened.status(), mode, drive.description.physical_path)
        except BaseException:
            opened.close()
            raise
        holds, number = self._holds, drive.number
        return HeldTape(name.row, opened, lambda: holds.pop(number), is_writable=is_writable)

    def _named(self, device: str) -> tuple[DeviceName, _Drive]:
        drives = self._drives()
        name = parse_name(device)
        if name is not None and name.drive < len(drives):
            return name, drives[name.drive]
        if name is not None and MOST_DRIVES <= name.drive < self._connected:
            raise CATALOGUE.raised_as(
                TapeError,
                "beyond-limit",
                condition=Condition.NO_DEVICE,
                device=device,
                number=name.drive,
                limit=MOST_DRIVES,
            )
        raise CATALOGUE.raised_as(
            TapeError,
            "no-such-device",
            condition=Condition.NO_DEVICE,
            device=device,
            known=_known(len(drives)),
        )

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
            found = self._found = drives[:MOST_DRIVES]
        return found


def _look(drivers: Mapping[str, TapeDriver]) -> Sequence[_Drive]:
    found = (
        (driver, description)
        for _, driver in sorted(drivers.items())
        for description in driver.discover()
    )
    return [_Drive(number, *pair) for number, pair in enumerate(found)]


def _known(drives: int) -> str:
    """The names that there are, for a message."""
    if not drives:
        return "no tape drive is connected"
    if drives == 1:
        return "the drive has the number 0"
    return f"the drives have the numbers 0 to {drives - 1}"


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
