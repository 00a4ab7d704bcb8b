"""What an administrator may set for virtual tape."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec

__all__ = ["MOST_DRIVES", "Durability", "VtapeSettings"]

MOST_DRIVES: Final = 64
"""As many drives as one node may have."""

Durability: TypeAlias = Literal["filemark", "none"]


class VtapeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of the plugin ``vtape``."""

    directory: str = "vtape"
    """Folder of the virtual library, relative to the stack file's folder."""

    drives: Annotated[int, msgspec.Meta(ge=1, le=MOST_DRIVES)] = 2
    """Number of drives."""

    slots: Annotated[int, msgspec.Meta(ge=1, le=65536)] = 8
    """Number of slots in which cartridges wait for a drive."""

    capacity_bytes: Annotated[int, msgspec.Meta(ge=1 << 20, le=1 << 62)] = 10 << 30
    """Capacity of cartridges that are made from now on, in bytes."""

    early_warning_bytes: Annotated[int, msgspec.Meta(ge=0, le=1 << 62)] = 64 << 20
    """How many bytes before its end a new cartridge warns that it is nearly full."""

    durability: Durability = "filemark"
    """When data is forced to disk: at each filemark, rewind, unload and close
    (filemark), or whenever the system likes (none, for benchmarks only)."""

    def __post_init__(self) -> None:
        """Refuse a cartridge that would warn before anything is on it."""
        if self.early_warning_bytes >= self.capacity_bytes:
            raise ValueError(
                f"early_warning_bytes ({self.early_warning_bytes}) must be less than "
                f"capacity_bytes ({self.capacity_bytes})"
            )
