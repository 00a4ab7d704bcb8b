"""What an administrator may set for virtual tape."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from tapekit_vtape.faults import DeviceFault

__all__ = ["MOST_DRIVES", "Durability", "VtapeSettings"]

MOST_DRIVES: Final = 64
"""As many drives as one node may have."""

_ADDRESSES: Final = 65536

_Address: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=_ADDRESSES)]

Durability: TypeAlias = Literal["filemark", "none"]


class VtapeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of the plugin ``vtape``."""

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

    capacity_bytes: Annotated[int, msgspec.Meta(ge=1 << 20, le=1 << 62)] = 10 << 30
    """Capacity of cartridges that are made from now on, in bytes."""

    early_warning_bytes: Annotated[int, msgspec.Meta(ge=0, le=1 << 62)] = 64 << 20
    """How many bytes before its end a new cartridge warns that it is nearly full."""

    durability: Durability = "filemark"
    """When data is forced to disk: at each filemark, rewind, unload and close
    (filemark), or whenever the system likes (none, for benchmarks only)."""

    faults: tuple[DeviceFault, ...] = ()
    """Faults on cue, to try how a backup application bears them; see the README."""

    def __post_init__(self) -> None:
        """Refuse a cartridge that would warn before anything is on it, faults
        of drives that there are not, and elements that share addresses.
        """
        if self.early_warning_bytes >= self.capacity_bytes:
            raise ValueError(
                f"early_warning_bytes ({self.early_warning_bytes}) must be less than "
                f"capacity_bytes ({self.capacity_bytes})"
            )
        for fault in self.faults:
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
