"""What an administrator can ask of single tape drives in a running stack.

The one rule: a drive is named by any of its names (``st0``, ``nrst0a``), its
physical path or its serial number, and answers name it by its physical path.
"""

from __future__ import annotations

import enum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tapekit.hookspecs.operations import NoReply, NoRequest, Operation, Privilege

__all__ = [
    "COUNTERS",
    "ERASE",
    "ERRORS",
    "ONLINE",
    "POSITION",
    "RESET",
    "STATISTICS",
    "TRACE",
    "ZERO_STATISTICS",
    "CountersReply",
    "CountersRequest",
    "DriveCounters",
    "DriveCounts",
    "DriveErrorRow",
    "DriveErrors",
    "DriveRequest",
    "DriveStatistics",
    "ErrorsReply",
    "Movement",
    "OnlineRequest",
    "PositionReply",
    "PositionRequest",
    "StatisticsReply",
    "SwitchReply",
    "TraceReply",
    "TraceRequest",
]


class Movement(enum.StrEnum):
    """What ``storage tape position`` does to the tape."""

    WEOF = "weof"
    """Writes filemarks."""
    FSF = "fsf"
    """Goes forward over filemarks, to behind the last of them."""
    BSF = "bsf"
    """Goes backward over filemarks, to before the last of them."""
    FSR = "fsr"
    """Goes forward over records."""
    BSR = "bsr"
    """Goes backward over records."""
    REWIND = "rewind"
    ERASE = "erase"
    """Erases from the beginning of the tape."""
    EOM = "eom"
    """Goes to the end of the data."""
    APPEND = "append"
    """Another word for ``eom``."""


class DriveRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One drive."""

    drive: str
    node: str | None = None
    """The node's name, or ``local``; any if not given."""


class OnlineRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A drive to bring online or to take offline."""

    drive: str
    is_online: bool
    node: str | None = None


class SwitchReply(msgspec.Struct, frozen=True, kw_only=True):
    """What a drive is now."""

    physical_path: str
    is_online: bool


class TraceRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A drive to trace, or to trace no more; all drives without a name."""

    is_on: bool
    drive: str | None = None
    node: str | None = None


class TraceReply(msgspec.Struct, frozen=True, kw_only=True):
    """The files of the traces that were begun or ended, by physical path."""

    is_on: bool
    files: dict[str, str]


class PositionRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A movement of the tape in a drive."""

    drive: str
    movement: Movement
    count: Annotated[int, Meta(ge=1, le=0x7F_FFFF)] = 1
    """How many filemarks or records; the other movements do not look at it."""
    node: str | None = None


class PositionReply(msgspec.Struct, frozen=True, kw_only=True):
    """Where the tape stands afterwards."""

    physical_path: str
    done: int
    """How many of the filemarks or records were passed or written."""
    file: int | None
    """Tape file, from 0; ``None`` where the drive does not know."""
    record: int | None
    """Record within the tape file, from 0; ``None`` likewise."""


class DriveErrorRow(msgspec.Struct, frozen=True, kw_only=True):
    """One error of a drive."""

    time_s: float
    """Seconds since 1970."""
    operation: str
    condition: str
    message: str


class DriveErrors(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong with a drive since the stack started."""

    physical_path: str
    device_type: str
    description: str
    serial: str
    aliases: tuple[str, ...] = ()
    counts: dict[str, int]
    """How often each condition was met that is an error."""
    soft_errors: int = 0
    """Errors that the drive had corrected itself, as it has told last."""
    alerts: dict[int, str] = {}
    """What the drive wanted somebody to know (SSC, TapeAlert), by flag."""
    recent: tuple[DriveErrorRow, ...]
    """The latest errors, the oldest first."""


class ErrorsReply(msgspec.Struct, frozen=True, kw_only=True):
    """The errors of the drives of a node."""

    node: str
    drives: tuple[DriveErrors, ...]


class CountersRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A drive whose own counters are wanted; all drives without a name."""

    drive: str | None = None
    node: str | None = None


class DriveCounters(msgspec.Struct, frozen=True, kw_only=True):
    """What a drive, and the tape in it, count themselves."""

    physical_path: str
    pages: dict[str, dict[str, int]] = {}
    """By the titles of its log pages (SPC and SSC, LOG SENSE)."""
    reason: str = ""
    """Why it was not asked, if it was not."""


class CountersReply(msgspec.Struct, frozen=True, kw_only=True):
    """The counters of drives of a node."""

    node: str
    drives: tuple[DriveCounters, ...]


class DriveCounts(msgspec.Struct, kw_only=True):
    """What a drive has done; seconds are those that calls took."""

    opened: int = 0
    reads: int = 0
    """Calls; each reads as many records as it can."""
    read_records: int = 0
    read_bytes: int = 0
    read_s: float = 0.0
    writes: int = 0
    """Calls; each writes as many records as it can."""
    written_records: int = 0
    written_bytes: int = 0
    write_s: float = 0.0
    filemarks: int = 0
    """Filemarks that were written."""
    movements: int = 0
    """Calls that moved the tape otherwise, or wrote filemarks."""
    movement_s: float = 0.0
    errors: int = 0


class DriveStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """The statistics of one drive."""

    physical_path: str
    aliases: tuple[str, ...]
    since_s: float
    """When counting began, in seconds since 1970."""
    counts: DriveCounts


class StatisticsReply(msgspec.Struct, frozen=True, kw_only=True):
    """The statistics of the drives of a node."""

    node: str
    drives: tuple[DriveStatistics, ...]


ONLINE: Final = Operation(
    name="tape_devices.online",
    summary="Bring a tape drive online, or take it offline",
    request=OnlineRequest,
    reply=SwitchReply,
)
TRACE: Final = Operation(
    name="tape_devices.trace",
    summary="Begin or end the trace of a tape drive",
    request=TraceRequest,
    reply=TraceReply,
)
POSITION: Final = Operation(
    name="tape_devices.position",
    summary="Move the tape in a tape drive that nobody uses",
    request=PositionRequest,
    reply=PositionReply,
)
ERASE: Final = Operation(
    name="tape_devices.erase",
    summary="Erase the tape in a tape drive that nobody uses",
    request=DriveRequest,
    reply=PositionReply,
    privilege=Privilege.ADVANCED,
)
RESET: Final = Operation(
    name="tape_devices.reset",
    summary="Reset a tape drive that nobody here uses",
    request=DriveRequest,
    reply=SwitchReply,
    privilege=Privilege.ADVANCED,
)
ERRORS: Final = Operation(
    name="tape_devices.errors",
    summary="Tell what went wrong with tape drives",
    request=NoRequest,
    reply=ErrorsReply,
)
COUNTERS: Final = Operation(
    name="tape_devices.counters",
    summary="Tell what tape drives that nobody uses count themselves",
    request=CountersRequest,
    reply=CountersReply,
)
STATISTICS: Final = Operation(
    name="tape_devices.statistics",
    summary="Tell what tape drives have done",
    request=NoRequest,
    reply=StatisticsReply,
)
ZERO_STATISTICS: Final = Operation(
    name="tape_devices.zero_statistics",
    summary="Set the statistics of a tape drive to zero",
    request=DriveRequest,
    reply=NoReply,
)
