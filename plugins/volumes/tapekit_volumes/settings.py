"""The settings of volumes.

One table a volume, decoded by the kernel. What one table cannot tell (a
directory that is missing, or inside another one) is checked when the stack
is assembled.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from msgspec import Struct

from tapekit.hookspecs.movements import HaPolicy
from tapekit.hookspecs.volume_images import VolumeStyle, VolumeType
from tapekit.marks import SecurityStyle, SnapLock

__all__ = ["DEFAULT_AGGREGATE", "AggregateSettings", "VolumeSettings", "VolumesSettings"]

DEFAULT_AGGREGATE: Final = "aggr1"
"""Where volumes are for which the stack file names no aggregate."""


class AggregateSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Storage that moves as a whole: an aggregate."""

    name: str
    """The name by which volumes and commands call it."""
    ha_policy: HaPolicy = HaPolicy.SFO
    """How it goes to the partner node: "sfo" by itself, as aggregates with data
    do, or "cfo" with its node, as the one of the root volume does."""
    node: str = ""
    """The node to which it belongs, if that is the partner, whose storage this
    node serves after a takeover."""
    path: Path | None = None
    """The folder in which volumes that move to the aggregate get theirs; unset
    means that none can move there."""


class VolumeSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One volume."""

    path: str
    """The volume's name for backup applications, as /vserver/volume."""
    directory: Path
    """The directory that is the volume, from the folder of the stack file."""
    aggregate: str = DEFAULT_AGGREGATE
    """The aggregate that the volume is in: with it the volume moves to another
    node."""
    snapshots: str = "none"
    """How Snapshot copies are made, such as "copy"; "none" backs up the
    volume itself while it is in use."""
    snapshot_directory: Path | None = None
    """The folder for the volume's Snapshot copies; unset means beside the
    volume, with .snapshots at the end of its name."""
    read_only: bool = False
    """Refuse to restore to this volume."""
    type: VolumeType = VolumeType.RW
    """What the volume is at first: "rw", or "dp" for data protection, which
    takes images alone until its protection ends."""
    style: VolumeStyle = VolumeStyle.FLEXVOL
    """How the volume is laid out: "flexvol", or "flexgroup" if its directory
    is one name space over many members; a FlexGroup takes no images."""
    security_style: SecurityStyle = SecurityStyle.UNIX
    """Whose permissions count: those of "unix", of "ntfs", or "mixed"."""
    unix_permissions: str = "0755"
    """What restored objects get that have none of their own for a volume of
    the UNIX security style, in octal; files get no right to execute."""
    snaplock: SnapLock = SnapLock.NONE
    """Whether files can be made unchangeable until a time: "none", or on a
    SnapLock volume "enterprise" or "compliance"."""
    vm_align_sectors: int = 0
    """By how many sectors of 512 bytes the content of VM-aligned files is
    shifted; 0 if the volume does not align."""
    junction_path: str | None = None
    """Where in another volume of its virtual machine this one is mounted, as
    /vserver/volume/path; backups of that one have a symbolic link there."""


class VolumesSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The volumes of the stack, each as a [[volumes.volume]] table, and what they are in."""

    aggregate: tuple[AggregateSettings, ...] = ()
    """The aggregates, each as a [[volumes.aggregate]] table; those that only
    volumes name need none."""
    volume: tuple[VolumeSettings, ...] = ()
    """The volumes, in the order in which backup applications list them."""
