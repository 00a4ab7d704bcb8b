"""What an administrator may set for qualification."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

__all__ = ["EmulationSettings", "QualificationSettings"]


class EmulationSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One nonqualified drive that behaves as a qualified one."""

    vendor: str
    """Vendor of the nonqualified drive, as listings show it."""
    product: str
    """Product of the nonqualified drive, as listings show it."""
    as_vendor: str
    """Vendor of the qualified drive that it emulates."""
    as_product: str
    """Product of the qualified drive that it emulates."""


class QualificationSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table ``[qualification]`` of a stack file."""

    directory: Path = Path("qualification")
    """Folder of the administrator's tape configuration files, relative to the
    stack file's folder; files whose names end in .tcf count. It may be missing."""
    emulate: tuple[EmulationSettings, ...] = ()
    """Nonqualified drives that are used as if they were qualified ones."""
