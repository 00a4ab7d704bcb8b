"""What an administrator can ask of qualification in a running stack."""

from __future__ import annotations

from typing import Final

import msgspec

from tapekit.hookspecs.operations import NoRequest, Operation

__all__ = ["DRIVES", "DriveStatusRow", "DriveStatuses"]


class DriveStatusRow(msgspec.Struct, frozen=True, kw_only=True):
    """An attached drive and what it counts as."""

    name: str
    """The name that listings give the drive."""
    is_supported: bool
    status: str
    """``Qualified``, ``Dynamically Qualified`` or ``Nonqualified tape drive``."""
    emulates: str
    """The qualified drive that it emulates; empty if none."""
    physical_path: str
    vendor: str
    product: str
    serial: str


class DriveStatuses(msgspec.Struct, frozen=True):
    """The drives that are attached to a node."""

    node: str
    drives: tuple[DriveStatusRow, ...]


DRIVES: Final = Operation(
    name="qualification.drives",
    summary="Tell which of the attached tape drives are qualified",
    request=NoRequest,
    reply=DriveStatuses,
)
