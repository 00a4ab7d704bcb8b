"""Storage: paths of the form /vserver/volume[/path] and the trees behind them.

Engines never see a path of the machine. They get an open directory
descriptor and stay below it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, runtime_checkable

import msgspec

from tapekit.hookspecs._markers import hookspec
from tapekit.marks import SecurityStyle, SnapLock

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = [
    "BackupTree",
    "FilesystemInfo",
    "KeepGoing",
    "LockingStorage",
    "Origin",
    "RestoreTree",
    "SnapshotMethod",
    "SnapshotTree",
    "Storage",
    "TreeTraits",
    "WithholdingTree",
    "for_ever",
    "tapekit_provide_storage",
    "tapekit_register_snapshot_methods",
]


KeepGoing: TypeAlias = "Callable[[], None]"
"""Called now and then by what takes long, from its thread: raises to end it."""


def for_ever() -> None:
    """A :data:`KeepGoing` that ends nothing."""


class FilesystemInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One volume as CONFIG_GET_FS_INFO lists it; sizes in bytes."""

    path: str
    """``/vserver/volume``"""
    device: str
    kind: str
    total_bytes: int
    used_bytes: int
    available_bytes: int
    total_inodes: int
    used_inodes: int
    writable: bool
    status: str
    """``online``, ``restricted`` or ``offline``."""


class Origin(NamedTuple):
    """What an object was in the volume, where its Snapshot copy tells it
    differently (copies have inode numbers and change times of their own).
    """

    inode: int
    ctime_ns: int


class TreeTraits(msgspec.Struct, frozen=True, kw_only=True):
    """What a volume is besides a directory, for the tree that was opened of
    it. What single objects are stands in their marks (``tapekit.marks``).
    """

    security_style: SecurityStyle = SecurityStyle.UNIX
    """Of the volume, or of the qtree that the tree is or is in."""
    unix_permissions: int = 0o755
    """What an object gets that comes without UNIX permissions; files without
    the right to execute."""
    snaplock: SnapLock = SnapLock.NONE
    vm_align_sectors: int = 0
    """What VM-aligned files are shifted by, in sectors of 512 bytes; 0 if the
    volume does not align."""
    junctions: Mapping[bytes, bytes] = msgspec.field(default_factory=dict)
    """Where other volumes are mounted, by paths below the tree's root, and
    the names of those volumes."""
    left_out: Mapping[bytes, str] = msgspec.field(default_factory=dict)
    """Files that no backup may have for now, by paths below the tree's root,
    and why."""
    type_changes: int = 0
    """How often the volume has become read/write or a data protection volume;
    no backup or restore builds on one from before such a change."""
    moves: int = 0
    """How often the volume has moved to another place, where all that is in it
    has other inode numbers; nothing that was known by those is known after it."""
    only: bytes | None = None
    """The one name in the root that is backed up, if the path leads to a file."""


class SnapshotTree(Protocol):
    """An open Snapshot copy of a whole volume, read-only and unchanging."""

    @property
    def root(self) -> Path:
        """Its directory."""
        ...

    def origin(self, status: os.stat_result) -> Origin:
        """What the object of this status was in the volume.

        :raises TapekitError: the object does not belong to the copy.
        """
        ...

    def birth_ns(self, directory: int, name: bytes) -> int | None:
        """When an object was made in the volume, in nanoseconds since 1970;
        ``None`` if nothing tells.

        :param directory: an open directory of the copy, which the name is in.
        """
        ...

    def close(self) -> None:
        """Let go of what is open; the copy itself stays. Later calls do nothing."""
        ...


class SnapshotMethod(Protocol):
    """One way to make Snapshot copies."""

    @property
    def name(self) -> str:
        """The name that a volume's settings choose it by."""
        ...

    def create(
        self, volume: Path, snapshots: Path, name: str, keep_going: KeepGoing
    ) -> SnapshotTree:
        """Make the copy ``name`` of the volume; blocking.

        Either the copy is whole on return or nothing of it is left.

        :param snapshots: the folder that this volume's copies live in.
        :param keep_going: called several times a second if it takes longer;
            what it raises ends the making, and is passed on.
        :raises TapekitError: it cannot be made; says what to do.
        """
        ...

    def open(self, snapshots: Path, name: str) -> SnapshotTree:
        """Open an existing copy.

        :raises TapekitError: there is none.
        """
        ...

    def delete(self, snapshots: Path, name: str) -> None:
        """Remove a copy, whole or partial; blocking. Unknown names are ignored."""
        ...

    def names(self, snapshots: Path) -> Sequence[str]:
        """The whole copies of the volume, oldest first. Names that begin with
        a dot are no copies.
        """
        ...


class BackupTree(Protocol):
    """What a backup reads: a directory of a volume, held until closed."""

    @property
    def descriptor(self) -> int:
        """Open descriptor of the backup's root directory."""
        ...

    @property
    def volume_path(self) -> str:
        """``/vserver/volume``."""
        ...

    @property
    def subpath(self) -> str:
        """What was asked for below the volume's top, without slashes at the
        ends: the root, or a file in it.
        """
        ...

    @property
    def snapshot_name(self) -> str | None:
        """The Snapshot copy being read, or ``None`` for the live volume."""
        ...

    @property
    def taken_at_s(self) -> int:
        """The time the data stands for: nothing later is in the tree
        (Snapshot copy), nothing earlier is missing (live). Seconds since 1970.
        """
        ...

    @property
    def traits(self) -> TreeTraits:
        """What the volume is besides a directory."""
        ...

    def origin(self, status: os.stat_result) -> Origin:
        """See :meth:`SnapshotTree.origin`."""
        ...

    def birth_ns(self, directory: int, name: bytes) -> int | None:
        """See :meth:`SnapshotTree.birth_ns`."""
        ...

    def close(self) -> None:
        """Let go; deletes the Snapshot copy if it was made for this."""
        ...


class RestoreTree(Protocol):
    """Where a restore writes: a directory of a volume."""

    @property
    def descriptor(self) -> int:
        """Open descriptor of the destination directory."""
        ...

    @property
    def path(self) -> str:
        """``/vserver/volume[/path]``."""
        ...

    @property
    def traits(self) -> TreeTraits:
        """What the volume is besides a directory."""
        ...

    def close(self) -> None:
        """Let go of the directory."""
        ...


@runtime_checkable
class WithholdingTree(RestoreTree, Protocol):
    """A destination that keeps files out of backups while they are restored."""

    def withhold(self, path: bytes) -> None:
        """Leave a file out of all backups of its volume that begin from now
        on, until :meth:`release` or the end of the tree; the server's end
        lets go of it too.

        :param path: below the tree's directory.
        """
        ...

    def release(self, path: bytes) -> None:
        """Leave a file out no longer; one that is not withheld stays as it is."""
        ...


class Storage(Protocol):
    """Volumes by path. Calls block; paths never lead out of a volume."""

    def filesystems(self) -> Sequence[FilesystemInfo]:
        """All volumes, in the order of the stack file."""
        ...

    def check_backup(
        self, path: str, *, may_be_file: bool = False, may_be_special: bool = False
    ) -> None:
        """Tell at once whether :meth:`open_backup` could open ``path``, as
        far as that can be seen without making a Snapshot copy.

        :param may_be_file: whether a regular file will do as well.
        :param may_be_special: whether anything will, such as a symbolic link.
        :raises TapekitError: as :meth:`open_backup`.
        """
        ...

    def open_backup(
        self,
        path: str,
        holder: str,
        keep_going: KeepGoing = for_ever,
        *,
        may_be_file: bool = False,
    ) -> BackupTree:
        """Open ``path`` for reading, from a Snapshot copy where the volume
        has a method, which may take as long as copying the volume.
        ``/vserver/volume/.snapshot/NAME[/path]`` reads an existing copy.

        :param holder: who holds it, for listings, such as ``session 7``.
        :param keep_going: called while a copy is made; what it raises ends
            that, and is passed on.
        :param may_be_file: whether ``path`` may lead to a regular file: then
            the tree is the directory that it is in, of which its traits tell
            the one name (:attr:`TreeTraits.only`).
        :raises TapekitError: no such path, not a directory, no copy possible.
        """
        ...

    def open_restore(self, path: str, holder: str) -> RestoreTree:
        """Open ``path`` for writing; missing directories below the volume
        are created with mode 0755.

        :raises TapekitError: no such volume, the volume or qtree is
            read-only, or a symbolic link or file is in the way.
        """
        ...


@runtime_checkable
class LockingStorage(Storage, Protocol):
    """A storage that can keep Snapshot copies over restarts; calls block."""

    def snapshot_names(self, volume: str) -> Sequence[str]:
        """The whole Snapshot copies of ``/vserver/volume``, oldest first.

        :raises TapekitError: no such volume.
        """
        ...

    def lock_snapshot(self, volume: str, name: str, holder: str) -> bool:
        """Lock a copy that the caller has open, so that nothing removes it,
        neither a restart nor the end of the backup it was made for, until
        :meth:`unlock_snapshot` with the same holder.

        :returns: whether the copy was made for a backup, and will be removed
            when it is unlocked.
        :raises TapekitError: the lock cannot be made durable.
        """
        ...

    def unlock_snapshot(self, volume: str, name: str, holder: str) -> None:
        """Undo :meth:`lock_snapshot`; without such a lock nothing happens. The
        volume may have left the stack since.

        :raises TapekitError: the copy is to be removed, but somebody has it
            open, or it cannot be removed; the lock stays.
        """
        ...


@hookspec
def tapekit_provide_storage() -> Storage | None:
    """Offer the stack's volumes.

    Called once. At most one plugin may answer; a second one stops the start
    with ``core.duplicate-provider``.
    """


@hookspec
def tapekit_register_snapshot_methods() -> Sequence[SnapshotMethod]:
    """Offer ways to make Snapshot copies.

    Called once. All results are joined; a name that is offered twice stops
    the start with ``core.duplicate-name``.
    """
    ...
