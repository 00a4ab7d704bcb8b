"""All drives of a stack, numbered, named, and each held by one at a time.

Drives get their numbers once, when they are first asked for, in the order of
schemes and of each driver; they are called by these, unless something else
names them, and something else may say which of them may be used; an
administrator may take one offline. A drive is
opened for its holder and closed after it: what outlasts that (where a
no-rewind tape stands) is kept by the drive itself, as hardware does. Media
changers are numbered and held in the same way. The one rule: a drive's place
in the table of holders is taken before the drive is touched and given back
after it was closed.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.tape_driver import (
    AdjustableDrive,
    Condition,
    DriveRow,
    DriveSetup,
    OpenMode,
    TapeError,
)
from tapekit_tape_devices.bare_doors import BareDevices
from tapekit_tape_devices.changers import Changers
from tapekit_tape_devices.drive_watch import DriveWatch
from tapekit_tape_devices.errors import CATALOGUE
from tapekit_tape_devices.holds import Holds
from tapekit_tape_devices.hookspecs import FoundDrive
from tapekit_tape_devices.library_sequence import Reloader
from tapekit_tape_devices.names import (
    DeviceName,
    device_rows,
    drive_name,
    known,
    number_in,
    parse_name,
)
from tapekit_tape_devices.numbered_drive import NumberedDrive
from tapekit_tape_devices.offline import OfflineDrives
from tapekit_tape_devices.open_tape import HeldTape
from tapekit_tape_devices.opening import open_drive
from tapekit_tape_devices.operations import DeviceLine, Devices
from tapekit_tape_devices.renewal import Seen, numbers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tapekit.hookspecs.media_changer import ChangerDriver, ChangerRow, OpenChanger
    from tapekit.hookspecs.tape_driver import (
        DriveDescription,
        DriveStatus,
        OpenTape,
        TapeDrive,
        TapeDriver,
    )
    from tapekit_tape_devices.hookspecs import (
        DeviceNames,
        DriveQualifier,
        PathJoiner,
        Reservations,
    )

__all__ = ["MOST_DRIVES", "Inventory"]

_LOG: Final = logging.getLogger("tapekit.tape_devices")

MOST_DRIVES: Final = 64
"""Tape drives that one node may have, however they are attached."""


@final
class Inventory:
    """A :class:`tapekit.hookspecs.tape_driver.TapeInventory` over drivers.

    Calls may come from several threads at once.
    """

    def __init__(self, clock: Callable[[], float] = lambda: 0.0) -> None:
        """:param clock: tells the time in seconds since 1970."""
        self._clock = clock
        self._drivers: Mapping[str, TapeDriver] = {}
        self._qualifier: DriveQualifier | None = None
        self._naming: DeviceNames | None = None
        self._reservations: Reservations | None = None
        self._joiner: PathJoiner | None = None
        self.offline = OfflineDrives()
        self._watches: Final[dict[int, DriveWatch]] = {}
        self._found: Sequence[NumberedDrive] | None = None
        self._connected = 0
        self._holds: Final = Holds()
        self._changers: Final = Changers()
        self.bare: Final = BareDevices(self, self._changers)
        """The doors of devices that nobody here uses."""

    def settle(
        self,
        drivers: Mapping[str, TapeDriver],
        changer_drivers: Mapping[str, ChangerDriver],
        *,
        qualifier: DriveQualifier | None = None,
        naming: DeviceNames | None = None,
        reservations: Reservations | None = None,
        joiner: PathJoiner | None = None,
        offline: OfflineDrives | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Take the stack's drivers, by scheme, and what other plugins offer;
        called once, before all else.
        """
        self._drivers = drivers
        self._qualifier = qualifier
        self._naming = naming
        self._reservations = reservations
        self._joiner = joiner
        self.offline = offline or self.offline
        self._clock = clock or self._clock
        self._changers.settle(changer_drivers, naming, reservations=reservations, joiner=joiner)
        if reservations is not None:
            reservations.meet(self.bare)

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

    def _line(self, drive: NumberedDrive) -> DeviceLine:
        found, names = drive.description, tuple(self._names(drive))
        return DeviceLine(
            physical_path=found.physical_path,
            description=self.description(drive),
            aliases=names,
            device_names=tuple(row.name for name in names for row in device_rows(name)),
            serial=found.serial,
            revision=found.revision,
            holder=self._holds.holder(drive.number),
            is_online=not self.offline.is_offline(found),
        )

    def open(self, device: str, mode: OpenMode, holder: str) -> OpenTape:
        """See :meth:`TapeInventory.open`.

        :raises TapekitError: a driver cannot look.
        """
        name, drive = self._usable(device)
        self.take_online(drive, holder)
        try:
            return self._opened(name, drive, mode, holder)
        except BaseException:
            self.give_back(drive)
            raise

    @contextmanager
    def held(self, device: str, holder: str) -> Iterator[Callable[[], TapeDrive]]:
        """Hold a device inside the block, and open its drive as often as it is
        called; each time the one before has been closed, and the tape stays
        where it is then.

        :raises TapeError: as :meth:`open`, but for what the mode demands.
        :raises TapekitError: a driver cannot look.
        """
        name, drive = self._usable(device)
        self.take_online(drive, holder)
        try:
            yield lambda: self._set_up(name, drive)
        finally:
            self.give_back(drive)

    # For an administrator, and for what serves one.

    def numbered(self) -> Sequence[NumberedDrive]:
        """The drives by their numbers, named or not.

        :raises TapekitError: a driver cannot look.
        """
        return self._drives()

    def called(self, words: str) -> NumberedDrive:
        """The drive that has a name, a device of a name, a physical path or a
        serial number.

        :raises TapeError: ``NO_DEVICE``.
        :raises TapekitError: a driver cannot look.
        """
        device = parse_name(words)
        for drive in self._drives():
            found = drive.description
            names = self._names(drive)
            if words in (*names, found.physical_path) or (device and device.drive in names):
                return drive
            if found.serial and words.casefold() == found.serial.casefold():
                return drive
        raise CATALOGUE.raised_as(
            TapeError,
            "no-such-drive",
            condition=Condition.NO_DEVICE,
            drive=words,
            known=self._known(self._drives()),
        )

    def names(self, drive: NumberedDrive) -> Sequence[str]:
        """The logical names of a drive, such as ``st0``."""
        return self._names(drive)

    def description(self, drive: NumberedDrive) -> str:
        """What a drive is, in words for administrators."""
        found = drive.description
        if self._qualifier is not None:
            return self._qualifier.name(found)
        return f"{found.vendor} {found.product}"

    def holder(self, drive: NumberedDrive) -> str | None:
        """Who has a drive open."""
        return self._holds.holder(drive.number)

    def watch(self, drive: NumberedDrive) -> DriveWatch:
        """What is known of a drive beyond one opening."""
        return self._watches.setdefault(drive.number, DriveWatch(self._clock))

    def take(self, drive: NumberedDrive, holder: str) -> None:
        """Take the place of a drive's holder.

        :raises TapeError: ``BUSY`` with the holder's name.
        """
        present = self._holds.take(drive.number, holder)
        if present is not None:
            raise CATALOGUE.raised_as(
                TapeError,
                "device-in-use",
                condition=Condition.BUSY,
                drive=drive.description.physical_path,
                holder=present,
            )

    def take_online(self, drive: NumberedDrive, holder: str) -> None:
        """Take the place of a drive's holder if the drive is online. Whoever
        takes it offline has that place then, so nobody comes in between.

        :raises TapeError: ``BUSY`` with the holder's name; ``NO_DEVICE``, it
            is offline.
        """
        self.take(drive, holder)
        try:
            self.offline.refuse(drive.description)
        except BaseException:
            self.give_back(drive)
            raise

    def give_back(self, drive: NumberedDrive) -> None:
        """Make the place free that was taken."""
        self._holds.give_back(drive.number)

    def open_drive(
        self,
        drive: NumberedDrive,
        prepare: Callable[[TapeDrive], object] = lambda _drive: None,
    ) -> TapeDrive:
        """Open a drive for whoever has its place; the tape stays where it is
        when it is closed.

        :param prepare: is given what the driver has opened.
        :raises TapeError: it cannot be opened.
        """
        found = drive.description
        return open_drive(
            drive.driver,
            found.address,
            found.physical_path,
            self.watch(drive),
            self._reservations,
            prepare,
        )

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

    def _opened(
        self, name: DeviceName, drive: NumberedDrive, mode: OpenMode, holder: str
    ) -> OpenTape:
        path, serial = drive.description.physical_path, drive.description.serial
        reloader = Reloader(self._changers, str(name), path, serial)
        if name.row.unloads:
            reloader.check(holder)
        opened = self._set_up(name, drive)
        try:
            is_writable = _check_mode(opened.status(), mode, path)
        except BaseException:
            opened.close()
            raise
        return HeldTape(
            name.row,
            opened,
            lambda: self.give_back(drive),
            is_writable=is_writable,
            reload=lambda: reloader.reload(holder),
        )

    def _set_up(self, name: DeviceName, drive: NumberedDrive) -> TapeDrive:
        """Open a drive to work as a name says."""

        def prepare(opened: TapeDrive) -> None:
            if isinstance(opened, AdjustableDrive):
                opened.adjust(self._setup(drive, name.compression))

        return self.open_drive(drive, prepare)

    def _usable(self, device: str) -> tuple[DeviceName, NumberedDrive]:
        """The drive of a device name, if it may be used now."""
        name, drive = self._named(device)
        if self._qualifier is not None:
            self._qualifier.permit(drive.description)
        return name, drive

    def _named(self, device: str) -> tuple[DeviceName, NumberedDrive]:
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

    def _names(self, drive: NumberedDrive) -> Sequence[str]:
        if self._naming is None:
            return (drive_name(drive.number),)
        return self._naming.names(drive.description)

    def _described(self, drive: NumberedDrive) -> DriveDescription:
        if self._qualifier is None:
            return drive.description
        return self._qualifier.described(drive.description)

    def _setup(self, drive: NumberedDrive, compression: str) -> DriveSetup:
        if self._qualifier is None:
            return DriveSetup(compression=compression)
        return self._qualifier.setup(drive.description, compression)

    def _known(self, drives: Sequence[NumberedDrive]) -> str:
        """The names that there are, for a message."""
        if not drives:
            return "no tape drive is connected"
        return known([name for drive in drives for name in self._names(drive)], "drive")

    def _drives(self) -> Sequence[NumberedDrive]:
        found = self._found
        if found is None:
            # Two threads that come first find the same; either may win.
            found = self._numbered(_look(self._drivers, self._joiner))
        return found

    def renew(self) -> None:
        """Look again: devices that are new get numbers, and others keep
        theirs, also while they are gone. One caller at a time.

        :raises TapekitError: a driver cannot look; all is as it was.
        """
        known, looked = self._drives(), _look(self._drivers, self._joiner)
        self._changers.renew()
        numbers = numbers_of(
            [Seen(one.driver.scheme, one.description) for one in known],
            [Seen(one.driver.scheme, one.description) for one in looked],
        )
        drives = {one.number: one for one in known}
        for number, one in zip(numbers, looked, strict=True):
            drives[number] = one._replace(number=number)
        self._numbered([drives[number] for number in sorted(drives)])

    def _numbered(self, drives: Sequence[NumberedDrive]) -> Sequence[NumberedDrive]:
        self._connected = len(drives)
        if len(drives) > MOST_DRIVES:
            _LOG.warning(
                "%d tape drives are connected; those beyond %d have no names",
                len(drives),
                MOST_DRIVES,
            )
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


def _look(drivers: Mapping[str, TapeDriver], joiner: PathJoiner | None) -> Sequence[NumberedDrive]:
    found: Sequence[FoundDrive] = [
        FoundDrive(driver, description)
        for _, driver in sorted(drivers.items())
        for description in driver.discover()
    ]
    joined = found if joiner is None else joiner.joined_drives(found)
    return [NumberedDrive(number, *pair) for number, pair in enumerate(joined)]


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
