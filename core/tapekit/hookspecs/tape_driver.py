"""Tape drivers: media as drives, drives as named devices.

A driver turns a medium into a :class:`TapeDrive` under a device scheme of
its own. The inventory gives drives their names (``nrst0a``), keeps them
exclusive and answers what the protocol asks. Drives know SCSI conditions
and no protocol: sense data becomes a :class:`Condition`, and what a
condition is called on the wire is the protocol's table.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, runtime_checkable

import msgspec

from tapekit.errors import Fault, TapekitError
from tapekit.hookspecs._markers import hookspec

if TYPE_CHECKING:
    from tapekit.hookspecs.media_changer import ChangerRow, MediaChanger, OpenChanger
    from tapekit.scsi.door import CdbDoor, DeviceDoor
    from tapekit.segments import Piece

__all__ = [
    "AdjustableDrive",
    "AlertingDrive",
    "BridgeDescription",
    "BridgeFinder",
    "Condition",
    "DeviceRow",
    "DoorDriver",
    "DriveDescription",
    "DriveRow",
    "DriveSetup",
    "DriveStatus",
    "OpenMode",
    "OpenTape",
    "PathPorts",
    "PortedDriver",
    "ReadRun",
    "TapeDrive",
    "TapeDriver",
    "TapeError",
    "TapeInventory",
    "TapePosition",
    "WatchfulDriver",
    "tapekit_provide_tape_inventory",
    "tapekit_register_tape_drivers",
]


class Condition(enum.Enum):
    """What a drive found; the words of SCSI and SSC."""

    FILEMARK = "filemark detected"
    END_OF_DATA = "end of data detected"
    BEGINNING_OF_MEDIUM = "beginning of medium detected"
    EARLY_WARNING = "early warning before the end of medium"
    END_OF_MEDIUM = "physical end of medium"
    RECORD_TOO_LONG = "record longer than the buffer"
    NO_TAPE = "medium not present"
    NOT_READY = "drive not ready"
    WRITE_PROTECTED = "write protected"
    MEDIUM_ERROR = "medium error"
    HARDWARE_ERROR = "hardware error"
    RESERVED = "reservation conflict"
    BAD_REQUEST = "illegal request"
    NO_DEVICE = "no such device"
    BUSY = "device in use"
    NOT_PERMITTED = "not opened for writing"
    TIMEOUT = "no answer in time"
    SOURCE_EMPTY = "medium source element empty"
    DESTINATION_FULL = "medium destination element full"


class TapeError(TapekitError):
    """A tape operation stopped; ``condition`` tells where a caller goes on."""

    def __init__(self, fault: Fault, facts: Mapping[str, object]) -> None:
        super().__init__(fault, facts)
        condition = facts["condition"]
        if not isinstance(condition, Condition):
            raise TypeError("a TapeError carries the fact 'condition'")
        self.condition: Final = condition


class TapePosition(NamedTuple):
    """Where the head stands: before record ``record`` of tape file ``file``.

    Both count from 0, records anew in each tape file. Either is ``None``
    where the drive cannot know it, as after a LOCATE or a reset.
    """

    file: int | None
    record: int | None


class DriveStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a drive at one moment."""

    has_tape: bool
    write_protected: bool
    position: TapePosition
    block_size: int
    """Bytes of a fixed block, or 0 for records of any length."""
    soft_errors: int
    total_bytes: int | None
    remaining_bytes: int | None


class ReadRun(NamedTuple):
    """Whole records read at once: ``pieces`` hold them end to end."""

    pieces: Sequence[Piece]
    records: int
    length: int


class TapeDrive(Protocol):
    """A drive that somebody has opened: blocking, one caller at a time.

    Every method that moves the tape leaves the position true, also when it
    raises; :attr:`DriveStatus.position` is then where the next operation
    starts. Records are of any length (variable block mode).
    """

    @property
    def door(self) -> CdbDoor | None:
        """The raw door for commands of a client's own, where the drive has
        one. A command that moves the tape moves this drive's position.
        """
        ...

    def status(self) -> DriveStatus:
        """The drive's state now.

        :raises TapeError: the drive does not answer.
        """
        ...

    def write_records(self, pieces: Sequence[Piece], record_size: int) -> int:
        """Write records of ``record_size`` bytes each; all of ``pieces``
        together are a multiple of it.

        Data beyond the position is lost, as on a real tape. What an extent
        lacks is written as zeros.

        :returns: how many whole records were written. Fewer than given only
            if the drive has *taken* those and the next one met a condition,
            which the following call will raise.
        :raises TapeError: nothing of this call was written.
            ``EARLY_WARNING`` comes once for a tape, before the first record
            that would pass that point; later calls write on until
            ``END_OF_MEDIUM``. ``WRITE_PROTECTED``, ``MEDIUM_ERROR``,
            ``NO_TAPE``.
        """
        ...

    def read_records(self, into: memoryview, limit: int, record_size: int) -> ReadRun:
        """Read whole records, as many as ``limit`` bytes hold, at least one,
        all within one tape file.

        A drive may use ``into`` (at least ``record_size`` bytes) or answer
        with extents of its own; either stays valid until the next call. A
        run ends early after a record shorter than ``record_size``.

        :raises TapeError: nothing was read. ``FILEMARK``: the position stays
            before the mark. ``END_OF_DATA``; ``RECORD_TOO_LONG``: the next
            record is longer than ``record_size``, the position stays before it.
        """
        ...

    def read_record(self, size: int) -> bytes:
        """Read one record, at most ``size`` bytes of it; the rest is lost
        and the position is after the record.

        :raises TapeError: as :meth:`read_records`.
        """
        ...

    def write_filemarks(self, count: int) -> None:
        """Write filemarks; all data before them is durable on return.

        :raises TapeError: as :meth:`write_records`; never ``EARLY_WARNING``.
        """
        ...

    def space_records(self, count: int) -> int:
        """Move over records, backwards if negative; stops before a filemark
        (forwards), after one (backwards), at the beginning and at the end
        of data.

        :returns: how many records were passed, never negative.
        :raises TapeError: the tape cannot move at all.
        """
        ...

    def space_filemarks(self, count: int) -> int:
        """Move over filemarks, backwards if negative; ends after the mark
        (forwards) or before it (backwards), or at either end of the tape.

        :returns: how many marks were passed, never negative.
        :raises TapeError: the tape cannot move at all.
        """
        ...

    def rewind(self) -> None:
        """Go to the beginning; all data written before is durable."""
        ...

    def unload(self) -> None:
        """Rewind and eject; all data written before is durable."""
        ...

    def load(self) -> None:
        """Make an inserted tape ready.

        :raises TapeError: ``NO_TAPE``.
        """
        ...

    def close(self) -> None:
        """Let go of the drive, the tape where it is; data is durable."""
        ...


class DriveSetup(msgspec.Struct, frozen=True, kw_only=True):
    """How a drive is to work under the device name that was opened."""

    compression: str
    """The compression letter of the name: l, m, h or a."""
    density: int = 0
    """Density code for a tape that is written from its beginning (SSC, mode
    block descriptor); 0 is what the drive takes by itself."""
    algorithm: int | None = None
    """Compression algorithm (SSC, data compression page); 0 does not compress,
    ``None`` leaves the drive as it is."""
    loads_itself: bool = True
    """Whether a tape that is put in becomes ready without LOAD."""
    timeouts_s: Mapping[int, float] = {}
    """Time limits that replace the driver's own, by operation code."""


@runtime_checkable
class AdjustableDrive(Protocol):
    """What a drive offers besides if its device names differ in how it works."""

    def adjust(self, setup: DriveSetup) -> None:
        """Work like this until the drive is closed; called once, before the
        drive is used. What the drive or its tape cannot do is logged, and is
        no error: a tape can be read however it was written.

        :raises TapeError: the drive does not answer.
        """
        ...


@runtime_checkable
class AlertingDrive(Protocol):
    """What a drive offers besides if it tells how it fares."""

    @property
    def alerts(self) -> Mapping[int, str]:
        """What the drive wanted somebody to know when it was closed, by the
        numbers of its flags (SSC, TapeAlert).
        """
        ...


class DriveDescription(msgspec.Struct, frozen=True, kw_only=True):
    """A drive that a driver has found, whether or not a tape is in it."""

    address: str
    """The driver's own address, unique within its scheme."""
    physical_path: str
    """Physical path name as error messages show it, such as ``v.0``."""
    vendor: str
    product: str
    revision: str
    serial: str
    formats: Mapping[str, str]
    """What each compression letter (l, m, h, a) means, for listings."""


class TapeDriver(Protocol):
    """Drives of one kind."""

    @property
    def scheme(self) -> str:
        """The name of the kind, such as ``vtape``."""
        ...

    def discover(self) -> Sequence[DriveDescription]:
        """The drives that are there now, in a stable order.

        :raises TapekitError: looking failed as a whole.
        """
        ...

    def open_drive(self, address: str) -> TapeDrive:
        """Open a drive, with a tape or without.

        :raises TapeError: ``NO_DEVICE``, ``BUSY``.
        """
        ...


@runtime_checkable
class DoorDriver(Protocol):
    """What a driver of SCSI devices offers besides: drives and changers in two
    steps, so that something can stand between a device and what drives it.

    ``drive_behind(open_door(address), address)`` is what ``open_drive`` does,
    and ``changer_behind`` alike.
    """

    def open_door(self, address: str) -> DeviceDoor:
        """Open the door of a drive or a changer that was found at an address.
        Nothing has been sent that a reservation of somebody else refuses.

        :raises TapeError: ``NO_DEVICE``, ``BUSY``.
        """
        ...

    def drive_behind(self, door: DeviceDoor, address: str) -> TapeDrive:
        """A drive over its door, which it owns from now on, also if this raises.

        :raises TapeError: the drive does not answer.
        """
        ...

    def changer_behind(self, door: DeviceDoor, address: str) -> MediaChanger:
        """A changer over its door, which it owns from now on."""
        ...


@runtime_checkable
class WatchfulDriver(Protocol):
    """What a driver of drives and changers offers besides if it notices that
    some have come or gone.
    """

    async def wait_for_change(self) -> None:
        """Return when it is worth to look again: some devices have come or
        gone since the last call. The first call returns as soon as the driver
        watches. One caller at a time.
        """
        ...


class PathPorts(NamedTuple):
    """The two ends of a path, as administrators know them."""

    initiator: str
    """The port of this system."""
    target: str
    """The port of the device, or of the library that it is in."""


@runtime_checkable
class PortedDriver(Protocol):
    """What a driver offers besides if its devices are behind ports."""

    def ports(self, address: str) -> PathPorts:
        """The ports between which a device was found. Must not block."""
        ...


class BridgeDescription(msgspec.Struct, frozen=True, kw_only=True):
    """A bridge or router that a driver has found between this host and drives
    or changers: on the target that these are on.
    """

    physical_path: str
    vendor: str
    product: str
    revision: str
    serial: str


@runtime_checkable
class BridgeFinder(Protocol):
    """What a driver offers besides if its devices may be behind bridges."""

    def discover_bridges(self) -> Sequence[BridgeDescription]:
        """The bridges and routers that are there now, in a stable order.

        :raises TapekitError: looking failed as a whole.
        """
        ...


class OpenMode(enum.Enum):
    """How a tape device is opened (NDMP v4, TAPE_OPEN)."""

    READ = "read"
    READ_WRITE = "read-write"
    RAW = "raw"
    """Also without a tape; read-only where writing is refused."""


class DeviceRow(msgspec.Struct, frozen=True, kw_only=True):
    """One device name of a drive."""

    name: str
    rewinds: bool
    unloads: bool
    compression: str
    """Compression letter: l, m, h or a."""


class DriveRow(msgspec.Struct, frozen=True, kw_only=True):
    """One drive with its device names, as listings show it."""

    description: DriveDescription
    scheme: str
    devices: Sequence[DeviceRow]
    holder: str | None


class OpenTape(Protocol):
    """A tape device that somebody holds."""

    @property
    def device(self) -> DeviceRow:
        """The name under which it was opened."""
        ...

    @property
    def drive(self) -> TapeDrive:
        """The drive behind the name."""
        ...

    @property
    def is_writable(self) -> bool:
        """Whether the mode and the tape allow writing."""
        ...

    def close(self) -> None:
        """Rewind or unload as the device's name says, and let go."""
        ...


class TapeInventory(Protocol):
    """Tape devices by name. Calls block for as long as a drive takes."""

    def drives(self) -> Sequence[DriveRow]:
        """All drives in the order of their numbers."""
        ...

    def open(self, device: str, mode: OpenMode, holder: str) -> OpenTape:
        """Open a device for one holder.

        :raises TapeError: ``NO_DEVICE``; ``BUSY`` with the holder's name;
            ``NO_TAPE`` and ``WRITE_PROTECTED`` as the mode demands.
        """
        ...

    def changers(self) -> Sequence[ChangerRow]:
        """All media changers in the order of their numbers."""
        ...

    def open_changer(self, name: str, holder: str) -> OpenChanger:
        """Open a media changer for one holder.

        :raises TapeError: ``NO_DEVICE``; ``BUSY`` with the holder's name.
        """
        ...


@hookspec
def tapekit_register_tape_drivers() -> Sequence[TapeDriver]:
    """Offer tape drivers, each under a device scheme of its own.

    Called once, before any session. All results are joined; a scheme
    offered twice stops the start with ``core.duplicate-name``.

    :returns: Drivers; empty when the platform has none. Probing hardware
        here is an error: a driver looks when asked to.
    """
    ...


@hookspec
def tapekit_provide_tape_inventory() -> TapeInventory | None:
    """Offer the stack's inventory of tape devices.

    Called once. At most one plugin may answer; a second one stops the start
    with ``core.duplicate-provider``. With none there are no tape devices.
    """
