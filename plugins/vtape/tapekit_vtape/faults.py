"""Faults of virtual devices: which there are, and when they come.

A fault is a row: what happens, to which drive or cartridge, when, and how
often. Rows come from the stack file or from an administrator, and are the
same in both. The one rule: a row that could never strike is refused, so
that a test of a backup application does not pass for the lack of its fault.
"""

from __future__ import annotations

import enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DeviceFault", "FaultKind"]


class FaultKind(enum.Enum):
    """What happens."""

    WRITE_ERROR = "write-error"
    """The medium does not take a record."""
    READ_ERROR = "read-error"
    """A record cannot be read."""
    WRITE_PROTECTED = "write-protected"
    """The tape cannot be written."""
    NO_TAPE = "no-tape"
    """The drive does not see the tape that is in it."""
    EARLY_WARNING = "early-warning"
    """The tape warns of its end sooner."""
    END_OF_MEDIUM = "end-of-medium"
    """The tape ends sooner."""
    TORN_WRITE = "torn-write"
    """Power fails within a write: bytes before a point are in the payload, the
    index does not know of them, and the drive says nothing until it is opened again."""
    SLOW = "slow"
    """The drive moves so many bytes a second."""
    CLEANING = "cleaning"
    """The drive asks to be cleaned, and works."""
    HARDWARE_ERROR = "hardware-error"
    """The drive fails where it should move the tape."""
    NOT_READY = "not-ready"
    """The drive is there and cannot work yet."""
    RESERVED = "reserved"
    """Another system has reserved the drive."""
    OFFLINE = "offline"
    """The way to the drive is down; where its tape stands is then not known
    until it is rewound."""
    JAM = "jam"
    """The robot cannot move a cartridge."""
    CHANGER_BUSY = "changer-busy"
    """The changer cannot work yet."""


_DRIVE: Final = frozenset({"drive"})
_TAPE: Final = frozenset({"drive", "cartridge"})
_COUNTED: Final = frozenset({"after", "times"})

_FIELDS: Final[Mapping[FaultKind, frozenset[str]]] = MappingProxyType(
    {
        FaultKind.WRITE_ERROR: _TAPE | {"record", "times"},
        FaultKind.READ_ERROR: _TAPE | {"record", "times"},
        FaultKind.WRITE_PROTECTED: _TAPE,
        FaultKind.NO_TAPE: _TAPE,
        FaultKind.EARLY_WARNING: _TAPE | {"byte"},
        FaultKind.END_OF_MEDIUM: _TAPE | {"byte"},
        FaultKind.TORN_WRITE: _TAPE | {"byte"},
        FaultKind.SLOW: _TAPE | {"bytes_per_second"},
        FaultKind.CLEANING: _DRIVE,
        FaultKind.HARDWARE_ERROR: _DRIVE | _COUNTED,
        FaultKind.NOT_READY: _DRIVE | _COUNTED,
        FaultKind.RESERVED: _DRIVE | _COUNTED,
        FaultKind.OFFLINE: _DRIVE | _COUNTED,
        FaultKind.JAM: _COUNTED,
        FaultKind.CHANGER_BUSY: _COUNTED,
    }
)
"""What can be said of each kind, besides the kind."""

_NEEDED: Final = frozenset({"byte", "bytes_per_second"})
"""What must be said where it can."""

_Count: TypeAlias = Annotated[int, Meta(ge=0, le=1 << 62)]
_LOWEST_SPEED: Final = 1 << 18

_Positive: TypeAlias = Annotated[int, Meta(ge=1, le=1 << 62)]


class DeviceFault(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """A fault, and when it comes."""

    kind: FaultKind
    """What happens."""

    library: str | None = None
    """Name of the library, where there are several; any by default."""

    drive: _Count | None = None
    """Number of the drive, from 0; any by default."""

    cartridge: str | None = None
    """Barcode of the cartridge; any by default."""

    record: _Count | None = None
    """Record of the cartridge, from 0, filemarks not counted; any by default."""

    byte: _Count | None = None
    """Where on the tape. For a torn write a byte of the payload; else of the
    capacity, of which each filemark takes 1024 bytes too."""

    after: _Count = 0
    """How many commands that move the tape, or a cartridge, go well before."""

    times: _Positive | None = None
    """How often; until it is cleared by default."""

    bytes_per_second: Annotated[int, Meta(ge=_LOWEST_SPEED, le=1 << 62)] | None = None
    """How fast a slow drive is, 262144 at least; nothing can interrupt a write."""

    def __post_init__(self) -> None:
        """Refuse what does not go with the kind, and a lack of what must."""
        known = _FIELDS[self.kind] | {"library"}
        for name, default in zip(self.__struct_fields__[1:], self.__struct_defaults__, strict=True):
            if name not in known and getattr(self, name) != default:
                raise ValueError(f"a fault of the kind {self.kind.value} has no {name}")
        for name in sorted(known & _NEEDED):
            if getattr(self, name) is None:
                raise ValueError(f"a fault of the kind {self.kind.value} needs {name}")

    def concerns(self, drive: int, barcode: str) -> bool:
        """Whether the fault is of a drive, with what is in it."""
        return self.drive in (None, drive) and self.cartridge in (None, barcode)
