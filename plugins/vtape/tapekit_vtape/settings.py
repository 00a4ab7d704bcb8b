"""What an administrator may set for virtual tape."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

import msgspec

from tapekit_vtape.faults import DeviceFault
from tapekit_vtape.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit_vtape.models import DriveModel

__all__ = [
    "MOST_DRIVES",
    "Compression",
    "Durability",
    "LibrarySettings",
    "Model",
    "NamedLibrary",
    "VtapeSettings",
]

MOST_DRIVES: Final = 64
"""As many drives as one node may have."""

_ADDRESSES: Final = 65536

_Address: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=_ADDRESSES)]

Durability: TypeAlias = Literal["filemark", "none"]
Compression: TypeAlias = Literal["none", "zstd"]
Model: TypeAlias = Literal["virtual", "lto5", "lto6", "lto7", "lto8", "lto9"]


class LibrarySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What may be set for one library."""

    directory: str = "vtape"
    """Folder of the virtual library, relative to the stack file's folder."""

    drives: Annotated[int, msgspec.Meta(ge=1, le=MOST_DRIVES)] = 2
    """Number of drives."""

    slots: Annotated[int, msgspec.Meta(ge=1, le=65536)] = 8
    """Number of slots in which cartridges wait for a drive."""

    mail_slots: Annotated[int, msgspec.Meta(ge=0, le=256)] = 0
    """Number of slots behind the door through which cartridges come and go."""

    arm_address: _Address = 0
    """Element address of the robot's arm."""

    mail_slot_address: _Address = 16
    """Element address of the first mail slot."""

    drive_address: _Address = 256
    """Element address of the first drive; the others follow."""

    slot_address: _Address = 1024
    """Element address of the first slot; the others follow."""

    model: Model = "virtual"
    """What the drives look like: virtual, or an LTO drive of a generation (lto5 to lto9),
    which takes only the cartridges that a real one takes."""

    drive_models: tuple[Model, ...] = ()
    """Models of the first drives, where they differ."""

    compression: Compression = "none"
    """Whether drives can compress what they write: none, or zstd, which needs libzstd.
    Then the devices m and a do, and l and h do not."""

    capacity_bytes: Annotated[int, msgspec.Meta(ge=1 << 20, le=1 << 62)] = 10 << 30
    """Capacity of cartridges that are made from now on, in bytes."""

    early_warning_bytes: Annotated[int, msgspec.Meta(ge=0, le=1 << 62)] = 64 << 20
    """How many bytes before its end a new cartridge warns that it is nearly full."""

    durability: Durability = "filemark"
    """When data is forced to disk: at each filemark, rewind, unload and close
    (filemark), or whenever the system likes (none, for benchmarks only)."""

    faults: tuple[DeviceFault, ...] = ()
    """Faults on cue, to try how a backup application bears them; see the README."""

    def model_of(self, drive: int) -> DriveModel:
        """What a drive looks like."""
        return MODELS[self.drive_models[drive] if drive < len(self.drive_models) else self.model]

    def __post_init__(self) -> None:
        """Refuse a cartridge that would warn before anything is on it, models and
        faults of drives that there are not, and elements that share addresses.
        """
        if self.early_warning_bytes >= self.capacity_bytes:
            raise ValueError(
                f"early_warning_bytes ({self.early_warning_bytes}) must be less than "
                f"capacity_bytes ({self.capacity_bytes})"
            )
        if len(self.drive_models) > self.drives:
            raise ValueError(f"drive_models names {len(self.drive_models)} of {self.drives} drives")
        for fault in self.faults:
            if fault.library is not None:
                raise ValueError("a fault among the settings is of the library that it is set for")
            if fault.drive is not None and fault.drive >= self.drives:
                raise ValueError(f"a fault names drive {fault.drive} of {self.drives}")
        end, owner = 0, ""
        for first, count, name in sorted(
            (
                (self.arm_address, 1, "arm_address"),
                (self.mail_slot_address, self.mail_slots, "mail_slot_address"),
                (self.drive_address, self.drives, "drive_address"),
                (self.slot_address, self.slots, "slot_address"),
            )
        ):
            if count and first < end:
                raise ValueError(f"{name} ({first}) lies among the elements of {owner}")
            if first + count > _ADDRESSES:
                raise ValueError(f"{name} ({first}) leaves no room for {count} elements")
            end, owner = (first + count, name) if count else (end, owner)


class NamedLibrary(LibrarySettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of one library of several."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,30}$")]
    """Name by which commands know the library: letters, digits, - and _."""


class VtapeSettings(LibrarySettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of the plugin ``vtape``."""

    initiator: Annotated[str, msgspec.Meta(max_length=223)] = ""
    """Name by which devices know this stack when they are reserved; by default the
    host's name and the stack file's folder. Every stack that shares a library has its own."""

    library: tuple[NamedLibrary, ...] = ()
    """Libraries with names and settings of their own. Where there are any, no other
    setting but initiator stands outside them."""

    @property
    def libraries(self) -> Sequence[tuple[str, LibrarySettings]]:
        """All libraries in order; the only one may have no name."""
        if not self.library:
            return (("", self),)
        return tuple((library.name, library) for library in self.library)

    def __post_init__(self) -> None:
        """Refuse what a library refuses, and libraries that are in each other's way."""
        super().__post_init__()
        if not self.library:
            return
        for name in LibrarySettings.__struct_fields__:
            if getattr(self, name) != getattr(_USUAL, name):
                raise ValueError(f"{name} has to stand in one of the tables [[vtape.library]]")
        drives = sum(library.drives for library in self.library)
        if drives > MOST_DRIVES:
            raise ValueError(f"the libraries have {drives} drives; {MOST_DRIVES} is the most")
        names = Counter(library.name for library in self.library)
        for name, count in names.items():
            if count > 1:
                raise ValueError(f"{count} libraries have the name {name}")


_USUAL: Final = LibrarySettings()
