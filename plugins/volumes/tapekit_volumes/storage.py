"""Volumes by path: what engines read from and write to.

A path is looked up in the table, and the way down is made from the volume's
directory, or from a Snapshot copy of it, by descriptors alone. A path is
tried in the volume before a copy is made, so that a misspelt one costs
nothing. The one rule: whatever fails, no copy, lock or descriptor stays.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING, Final, final

import msgspec

from tapekit.hookspecs.storage import Origin, for_ever
from tapekit.marks import Marks, QtreeMark
from tapekit_volumes.descent import make_below, open_below, shown
from tapekit_volumes.errors import CATALOGUE
from tapekit_volumes.filesystems import filesystem_info, is_writable
from tapekit_volumes.paths import SNAPSHOT_FOLDER, VolumePath, parse_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from tapekit.hookspecs.storage import (
        BackupTree,
        FilesystemInfo,
        KeepGoing,
        RestoreTree,
        TreeTraits,
    )
    from tapekit_volumes.snapshots import HeldCopy, SnapshotKeeper
    from tapekit_volumes.table import Volume
    from tapekit_volumes.withheld import WithheldFiles

__all__ = ["VolumeBackupTree", "VolumeRestoreTree", "VolumeStorage"]

_TOP: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_AWAY: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE})
"""What the place of a volume answers when the volume is not there."""


@final
class VolumeStorage:
    """Implements ``tapekit.hookspecs.storage.Storage``; for any number of
    threads, after :meth:`settle`.
    """

    def __init__(self) -> None:
        self._volumes: Mapping[str, Volume] = {}
        self._keeper: SnapshotKeeper | None = None
        self._withheld: WithheldFiles | None = None
        self.marks: Final = Marks()

    def settle(
        self, volumes: Mapping[str, Volume], keeper: SnapshotKeeper, withheld: WithheldFiles
    ) -> None:
        """Take the stack's volumes, the keeper of their copies, and what is
        left out of backups; once.
        """
        self._volumes = volumes
        self._keeper = keeper
        self._withheld = withheld

    @property
    def volumes(self) -> Mapping[str, Volume]:
        """All volumes by path."""
        return self._volumes

    @property
    def keeper(self) -> SnapshotKeeper:
        """The keeper of Snapshot copies."""
        assert self._keeper is not None, "the stack has not been assembled"
        return self._keeper

    @property
    def withheld(self) -> WithheldFiles:
        """What is left out of backups."""
        assert self._withheld is not None, "the stack has not been assembled"
        return self._withheld

    @contextlib.contextmanager
    def top(self, volume: Volume) -> Iterator[int]:
        """A volume's directory, open.

        :raises TapekitError: it is not there.
        """
        top = _open_top(volume)
        try:
            yield top
        finally:
            os.close(top)

    def volume(self, path: str) -> Volume:
        """The volume of a name.

        :raises TapekitError: there is none.
        """
        volume = self._volumes.get(path)
        if volume is None:
            known = ", ".join(self._volumes) or "none"
            raise CATALOGUE.error("no-such-volume", volume=path, known=known)
        return volume

    def snapshot_names(self, volume: str) -> Sequence[str]:
        """See :class:`tapekit.hookspecs.storage.LockingStorage`.

        :raises TapekitError: there is no such volume.
        """
        return [row.name for row in self.keeper.rows(self.volume(volume))]

    def lock_snapshot(self, volume: str, name: str, holder: str) -> bool:
        """See :class:`tapekit.hookspecs.storage.LockingStorage`.

        :raises TapekitError: the state cannot be written.
        """
        return self.keeper.lock(self.volume(volume), name, holder)

    def unlock_snapshot(self, volume: str, name: str, holder: str) -> None:
        """See :class:`tapekit.hookspecs.storage.LockingStorage`.

        :raises TapekitError: the copy is to go, but is read or cannot be removed.
        """
        self.keeper.unlock(self.volume(volume), name, holder)

    def filesystems(self) -> Sequence[FilesystemInfo]:
        """All volumes, in the order of the stack file."""
        return [filesystem_info(volume) for volume in self._volumes.values()]

    def check_backup(self, path: str, *, may_be_file: bool = False) -> None:
        """Tell whether a directory can be opened for reading, without making
        a Snapshot copy of it.

        :param may_be_file: whether anything else will do as well, which is
            not opened.
        :raises TapekitError: no such path or copy, or not a directory.
        """
        asked = parse_path(path)
        volume = self.volume(asked.volume)
        if asked.snapshot is not None:
            self.keeper.check(volume, asked.snapshot)
        elif not (may_be_file and asked.parts and _is_file(volume, asked)):
            os.close(_open_live(volume, asked))

    def open_backup(self, path: str, holder: str, keep_going: KeepGoing = for_ever) -> BackupTree:
        """Open a directory for reading; see ``Storage.open_backup``.

        :raises TapekitError: no such path, not a directory, no copy possible.
        """
        asked = parse_path(path)
        volume = self.volume(asked.volume)
        if asked.snapshot is not None:
            copy = self.keeper.hold(volume, asked.snapshot, holder)
            return self._tree_of_copy(volume, asked, copy)
        moment_s = self.keeper.now_s()
        descriptor = _open_live(volume, asked)
        if volume.method is None:
            with contextlib.ExitStack() as undo:
                undo.callback(os.close, descriptor)
                traits = self._traits(volume, asked, volume.directory)
                undo.pop_all()
            return VolumeBackupTree(asked, descriptor, moment_s, None, traits)
        os.close(descriptor)
        copy = self.keeper.make_for_backup(volume, volume.method, holder, keep_going)
        return self._tree_of_copy(volume, asked, copy)

    def open_restore(self, path: str, holder: str) -> RestoreTree:  # noqa: ARG002 - a restore holds nothing
        """Open a directory for writing; see ``Storage.open_restore``.

        :raises TapekitError: no such volume, read-only, or something is in
            the way.
        """
        asked = parse_path(path)
        volume = self.volume(asked.volume)
        if asked.snapshot is not None:
            raise CATALOGUE.error("copy-is-read-only", path=path, folder=SNAPSHOT_FOLDER)
        _require_no_junction(volume, asked)
        if not is_writable(volume):
            raise CATALOGUE.error("destination-volume-read-only", volume=volume.path)
        top = _open_top(volume)
        try:
            self._require_writable_qtree(top, asked)
            descriptor = make_below(top, asked.parts, volume.path)
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
            raise CATALOGUE.error("destination-volume-read-only", volume=volume.path) from error
        finally:
            os.close(top)
        traits = msgspec.structs.replace(volume.traits, junctions=_junctions(volume, asked))
        return VolumeRestoreTree(asked, descriptor, traits)

    def _require_writable_qtree(self, top: int, asked: VolumePath) -> None:
        """Refuse what leads into a qtree that is read-only.

        :raises TapekitError: it does.
        """
        if asked.parts:
            qtree = self.marks.read_below(top, asked.parts[0], QtreeMark)
            if qtree is not None and qtree.is_read_only:
                path = shown(asked.volume, asked.parts[:1])
                raise CATALOGUE.error("destination-qtree-read-only", path=path)

    def _traits(self, volume: Volume, asked: VolumePath, root: Path) -> TreeTraits:
        """What the volume is, seen from the directory that was asked for.

        :param root: the volume's directory, or that of a copy of it.
        """
        style = volume.traits.security_style
        if asked.parts:
            top = os.open(root, _TOP)
            try:
                qtree = self.marks.read_below(top, asked.parts[0], QtreeMark)
            finally:
                os.close(top)
            style = style if qtree is None else qtree.security_style
        depth = len(asked.parts)
        return msgspec.structs.replace(
            volume.traits,
            security_style=style,
            junctions=_junctions(volume, asked),
            left_out={
                b"/".join(parts[depth:]): reason
                for path, reason in self.withheld.of_volume(volume.path).items()
                if (parts := tuple(path.split(b"/")))[:depth] == asked.parts
            },
        )

    def _tree_of_copy(self, volume: Volume, asked: VolumePath, copy: HeldCopy) -> BackupTree:
        """Open a directory in a Snapshot copy, which is let go if that fails."""
        with contextlib.ExitStack() as undo:
            undo.callback(copy.let_go)
            traits = self._traits(volume, asked, copy.tree.root)
            top = os.open(copy.tree.root, _TOP)
            try:
                descriptor = open_below(top, asked.parts, asked.volume)
            finally:
                os.close(top)
            undo.pop_all()
        return VolumeBackupTree(asked, descriptor, copy.taken_at_s, copy, traits)


@final
class VolumeBackupTree:
    """Implements ``tapekit.hookspecs.storage.BackupTree``."""

    def __init__(
        self,
        asked: VolumePath,
        descriptor: int,
        taken_at_s: int,
        copy: HeldCopy | None,
        traits: TreeTraits,
    ) -> None:
        self.traits: Final = traits
        """What the volume is besides a directory."""
        self._asked: Final = asked
        self._descriptor: Final = descriptor
        self._taken_at_s: Final = taken_at_s
        self._copy: Final = copy
        self._undo: Final = contextlib.ExitStack()
        if copy is not None:
            self._undo.callback(copy.let_go)
        self._undo.callback(os.close, descriptor)

    @property
    def descriptor(self) -> int:
        """Open descriptor of the backup's root directory."""
        return self._descriptor

    @property
    def volume_path(self) -> str:
        """``/vserver/volume``."""
        return self._asked.volume

    @property
    def subpath(self) -> str:
        """The root below the volume's top."""
        return self._asked.subpath

    @property
    def snapshot_name(self) -> str | None:
        """The Snapshot copy being read, or ``None``."""
        return None if self._copy is None else self._copy.name

    @property
    def taken_at_s(self) -> int:
        """The time the data stands for, in seconds since 1970."""
        return self._taken_at_s

    def origin(self, status: os.stat_result) -> Origin:
        """What the object of this status was in the volume."""
        if self._copy is None:
            return Origin(status.st_ino, status.st_ctime_ns)
        return self._copy.tree.origin(status)

    def close(self) -> None:
        """Let go; removes the Snapshot copy if it was made for this. Later
        calls do nothing.
        """
        self._undo.close()


@final
class VolumeRestoreTree:
    """Implements ``tapekit.hookspecs.storage.RestoreTree``."""

    def __init__(self, asked: VolumePath, descriptor: int, traits: TreeTraits) -> None:
        self.traits: Final = traits
        """What the volume is besides a directory."""
        self._asked: Final = asked
        self._descriptor: Final = descriptor
        self._undo: Final = contextlib.ExitStack()
        self._undo.callback(os.close, descriptor)

    @property
    def descriptor(self) -> int:
        """Open descriptor of the destination directory."""
        return self._descriptor

    @property
    def path(self) -> str:
        """``/vserver/volume[/path]``."""
        return f"{self._asked.volume}/{self._asked.subpath}".rstrip("/")

    def close(self) -> None:
        """Let go of the directory; later calls do nothing."""
        self._undo.close()


def _open_top(volume: Volume) -> int:
    """Open a volume's directory; the caller closes it.

    :raises TapekitError: it is not there, or no longer what was mounted there.
    """
    try:
        top = os.open(volume.directory, _TOP)
    except OSError as error:
        if error.errno in _AWAY:
            raise CATALOGUE.error("volume-in-transitional-state", volume=volume.path) from error
        raise CATALOGUE.error(
            "could-not-obtain-vol-ref", volume_name=volume.path, reason=error.strerror
        ) from error
    if volume.is_mount_point and not volume.directory.is_mount():
        # What would be read is the empty directory below the mount.
        os.close(top)
        raise CATALOGUE.error("volume-in-transitional-state", volume=volume.path)
    return top


def _require_no_junction(volume: Volume, asked: VolumePath) -> None:
    """Refuse what leads into a volume that is mounted in this one.

    :raises TapekitError: it does.
    """
    for depth in range(1, len(asked.parts) + 1):
        mounted = volume.junctions.get(asked.parts[:depth])
        if mounted is not None:
            raise CATALOGUE.error(
                "path-through-junction",
                path=shown(asked.volume, asked.parts),
                junction=shown(asked.volume, asked.parts[:depth]),
                volume=mounted,
            )


def _junctions(volume: Volume, asked: VolumePath) -> Mapping[bytes, bytes]:
    """Where other volumes are mounted below a path of a volume."""
    depth = len(asked.parts)
    return {
        b"/".join(parts[depth:]): os.fsencode(target)
        for parts, target in volume.junctions.items()
        if parts[:depth] == asked.parts and len(parts) > depth
    }


def _open_live(volume: Volume, asked: VolumePath) -> int:
    """Open what a path leads to in a volume; the caller closes it.

    :raises TapekitError: it leads to no directory of this volume.
    """
    _require_no_junction(volume, asked)
    top = _open_top(volume)
    try:
        return open_below(top, asked.parts, volume.path)
    finally:
        os.close(top)


def _is_file(volume: Volume, asked: VolumePath) -> bool:
    """Whether a path leads to something that is not a directory.

    :raises TapekitError: one of the directories on the way is none.
    """
    *above, name = asked.parts
    directory = _open_live(volume, asked._replace(parts=tuple(above)))
    try:
        return not stat.S_ISDIR(os.lstat(name, dir_fd=directory).st_mode)
    except OSError:
        # Who opens it as a directory says what is wrong with it.
        return False
    finally:
        os.close(directory)
