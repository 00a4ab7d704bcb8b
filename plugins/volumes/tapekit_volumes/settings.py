"""The settings of volumes.

One table a volume, decoded by the kernel. What one table cannot tell (a
directory that is missing, or inside another one) is checked when the stack
is assembled.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

__all__ = ["VolumeSettings", "VolumesSettings"]


class VolumeSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One volume."""

    path: str
    """The volume's name for backup applications, as /vserver/volume."""
    directory: Path
    """The directory that is the volume, from the folder of the stack file."""
    snapshots: str = "none"
    """How Snapshot copies are made, such as "copy"; "none" backs up the
    volume itself while it is in use."""
    snapshot_directory: Path | None = None
    """The folder for the volume's Snapshot copies; unset means beside the
    volume, with .snapshots at the end of its name."""
    read_only: bool = False
    """Refuse to restore to this volume."""


class VolumesSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The volumes of the stack, each as a [[volumes.volume]] table."""

    volume: tuple[VolumeSettings, ...] = ()
    """The volumes, in the order in which backup applications list them."""
