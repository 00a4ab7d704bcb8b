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
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, final

import msgspec

from tapekit.hookspecs.storage import for_ever
from tapekit.hookspecs.volume_images import VolumeType
from tapekit.marks import Marks, QtreeMark
from tapekit_volumes.aggregates import aggregates_now
from tapekit_volumes.descent import make_below, shown
from tapekit_volumes.errors import CATALOGUE
from tapekit_volumes.filesystems import filesystem_info, is_writable
from tapekit_volumes.images import HeldImage, open_volume_image
from tapekit_volumes.paths import SNAPSHOT_FOLDER, VolumePath, parse_path
from tapekit_volumes.roots import (
    TOP,
    Root,
    is_special,
    junctions_below,
    open_live,
    open_root,
    open_top,
    require_no_junction,
)
from tapekit_volumes.trees import VolumeBackupTree, VolumeRestoreTree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tapekit.hookspecs.movements import Aggregate
    from tapekit.hookspecs.storage import (
        BackupTree,
        FilesystemInfo,
        KeepGoing,
        RestoreTree,
        TreeTraits,
    )
    from tapekit.hookspecs.volume_images import (
        HeldSnapshot,
        SnapshotCopy,
        VolumeFacts,
        VolumeImage,
        VolumeState,
    )
    from tapekit.hookspecs.volume_moves import TreeFingerprint
    from tapekit_volumes.moves import VolumeMoves
    from tapekit_volumes.snapshots import HeldCopy, SnapshotKeeper
    from tapekit_volumes.states import VolumeStates
    from tapekit_volumes.table import Volume
    from tapekit_volumes.volume_lock import VolumeLock
    from tapekit_volumes.withheld import WithheldFiles

__all__ = ["VolumeStorage"]


@final
class VolumeStorage:
    """Implements ``tapekit.hookspecs.volume_images.MirrorStorage`` and
    ``tapekit.hookspecs.movements.AggregateStorage``; for any number of
    threads, after :meth:`settle`.
    """

    def __init__(self) -> None:
        self._volumes: Mapping[str, Volume] | None = None
        self._locate: Callable[[], Mapping[str, Volume]] = dict
        self._keeper: SnapshotKeeper | None = None
        self._withheld: WithheldFiles | None = None
        self._states: VolumeStates | None = None
        self._aggregates: Sequence[Aggregate] = ()
        self._moves: VolumeMoves | None = None
        self.marks: Final = Marks()

    def settle(
        self,
        locate: Callable[[], Mapping[str, Volume]],
        keeper: SnapshotKeeper,
        withheld: WithheldFiles,
        states: VolumeStates,
        aggregates: Sequence[Aggregate] = (),
        moves: VolumeMoves | None = None,
    ) -> None:
        """Take what finds the stack's volumes when one is used first, the keeper
        of their copies, what is left out of backups, the states of the volumes,
        what they are in, and what moves them; once.
        """
        self._aggregates = aggregates
        self._moves = moves
        self._locate = locate
        self._volumes = None
        self._keeper = keeper
        self._withheld = withheld
        self._states = states

    @property
    def volumes(self) -> Mapping[str, Volume]:
        """All volumes by path.

        :raises TapekitError: it is not known where they are now.
        """
        if self._volumes is None:
            self._volumes = self._locate()
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

    @property
    def states(self) -> VolumeStates:
        """What volumes are now."""
        assert self._states is not None, "the stack has not been assembled"
        return self._states

    @property
    def moves(self) -> VolumeMoves:
        """What moves volumes."""
        assert self._moves is not None, "the stack has not been assembled"
        return self._moves

    def aggregates(self) -> Sequence[Aggregate]:
        """See :class:`tapekit.hookspecs.movements.AggregateStorage`."""
        return aggregates_now(self._aggregates, self.volumes.values())

    def put(self, volume: Volume) -> None:
        """Have a volume that has moved in the place of what it was."""
        self._volumes = {**self.volumes, volume.path: volume}

    def make_room(self, volume: str, aggregate: str) -> str:
        """See :class:`tapekit.hookspecs.volume_moves.MovableStorage`.

        :raises TapekitError: the volume cannot move there.
        """
        return self.moves.make_room(self.volume(volume), aggregate)

    def give_up_room(self, volume: str) -> str | None:
        """See :class:`tapekit.hookspecs.volume_moves.MovableStorage`.

        :raises TapekitError: the state cannot be written.
        """
        return self.moves.give_up_room(self.volume(volume))

    def fingerprint(self, volume: str, keep_going: KeepGoing = for_ever) -> TreeFingerprint:
        """See :class:`tapekit.hookspecs.volume_moves.MovableStorage`.

        :raises TapekitError: the volume cannot be walked, or not moved.
        """
        return self.moves.fingerprint(self.volume(volume), keep_going)

    def move_in(
        self, volume: str, unchanged: TreeFingerprint, keep_going: KeepGoing = for_ever
    ) -> str:
        """See :class:`tapekit.hookspecs.volume_moves.MovableStorage`.

        :raises TapekitError: the volume stays where it was.
        """
        moved = self.moves.move_in(self.volume(volume), unchanged, keep_going)
        left = str(self.volume(volume).directory)
        self.put(moved)
        return left

    def is_unchanged(self, directory: str, unchanged: TreeFingerprint) -> bool:
        """See :class:`tapekit.hookspecs.volume_moves.MovableStorage`."""
        return self.moves.is_unchanged(Path(directory), unchanged)

    @contextlib.contextmanager
    def top(self, volume: Volume, *, writes: bool = False) -> Iterator[int]:
        """A volume's directory, open.

        :param writes: whether something in it is to be changed.
        :raises TapekitError: it is not there, or its state does not allow it.
        """
        with contextlib.ExitStack() as undo:
            undo.callback(self.states.use(volume, writes=writes).release)
            top = open_top(volume)
            undo.callback(os.close, top)
            yield top

    def volume(self, path: str) -> Volume:
        """The volume of a name.

        :raises TapekitError: there is none.
        """
        volume = self.volumes.get(path)
        if volume is None and self._moves is not None:
            volume = self._moves.incoming.get(path)
        if volume is None:
            # Clients hear this, who may not know of other SVMs.
            svm = path.rpartition("/")[0]
            known = ", ".join(name for name in self.volumes if name.rpartition("/")[0] == svm)
            raise CATALOGUE.error(
                "no-such-volume", volume=path, svm=svm.strip("/"), known=known or "none"
            )
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
        """See :class:`tapekit.hookspecs.storage.LockingStorage`. The volume may
        have left the stack file since.

        :raises TapekitError: the copy is to go, but is read or cannot be removed.
        """
        if volume in self.volumes:
            self.keeper.unlock(self.volumes[volume], name, holder)
        else:
            self.keeper.abandon(volume, name, holder)

    def volume_facts(self, volume: str) -> VolumeFacts:
        """See :class:`tapekit.hookspecs.volume_images.ImageStorage`.

        :raises TapekitError: there is no such volume.
        """
        return self.states.facts(self.volume(volume))

    def snapshot_copies(self, volume: str) -> Sequence[SnapshotCopy]:
        """See :class:`tapekit.hookspecs.volume_images.ImageStorage`.

        :raises TapekitError: there is no such volume.
        """
        return self.keeper.copies(self.volume(volume))

    def create_snapshot(
        self, volume: str, name: str, holder: str, keep_going: KeepGoing = for_ever
    ) -> SnapshotCopy:
        """See :class:`tapekit.hookspecs.volume_images.ImageStorage`.

        :raises TapekitError: the volume's state does not allow it, or the
            keeper refuses.
        """
        chosen = self.volume(volume)
        use = self.states.use(chosen)
        try:
            if self.states.facts(chosen).type is VolumeType.DP:
                raise CATALOGUE.error("copies-come-from-source", volume=volume)
            os.close(open_top(chosen))
            return self.keeper.create(chosen, name, holder, keep_going)
        finally:
            use.release()

    def delete_snapshot(self, volume: str, name: str, holder: str) -> None:
        """See :class:`tapekit.hookspecs.volume_images.ImageStorage`.

        :raises TapekitError: the volume's state does not allow it, or the
            keeper refuses.
        """
        chosen = self.volume(volume)
        use = self.states.use(chosen)
        try:
            self.keeper.delete(chosen, name, holder)
        finally:
            use.release()

    def hold_snapshot(self, volume: str, name: str, holder: str) -> HeldSnapshot:
        """See :class:`tapekit.hookspecs.volume_images.ImageStorage`.

        :raises TapekitError: the volume's state does not allow it, or the
            copy cannot be held.
        """
        chosen = self.volume(volume)
        with contextlib.ExitStack() as undo:
            use = self.states.use(chosen)
            undo.callback(use.release)
            held = self.keeper.hold(chosen, name, holder)
            undo.callback(held.let_go)
            whole = VolumePath(volume, None, ())
            traits = self._traits(chosen, Root(-1, whole, None), held.tree.root)
            image = HeldImage(self.keeper.copy(chosen, name), held, traits, use)
            undo.pop_all()
        return image

    def open_image(self, volume: str, holder: str) -> VolumeImage:
        """See :class:`tapekit.hookspecs.volume_images.ImageStorage`.

        :raises TapekitError: it is not restricted, not a data protection
            volume, a FlexGroup volume, or another restore has it; it cannot
            be written at all.
        """
        chosen = self.volume(volume)
        os.close(open_top(chosen))
        if not is_writable(chosen):
            raise CATALOGUE.error("destination-volume-read-only", volume=volume)
        return open_volume_image(chosen, self.states, self.keeper, holder)

    def change_state(self, volume: str, state: VolumeState) -> None:
        """See :class:`tapekit.hookspecs.volume_images.MirrorStorage`.

        :raises TapekitError: somebody uses it, or its image is not whole.
        """
        self.states.change(self.volume(volume), state)

    def change_type(self, volume: str, kind: VolumeType) -> None:
        """See :class:`tapekit.hookspecs.volume_images.MirrorStorage`.

        :raises TapekitError: somebody uses it, or its image is not whole.
        """
        self.states.change_type(self.volume(volume), kind)

    def dumps_suspended(self, volume: str) -> contextlib.AbstractContextManager[None]:
        """See :class:`tapekit.hookspecs.volume_images.MirrorStorage`.

        :raises TapekitError: there is no such volume.
        """
        return self.states.dumps_suspended(self.volume(volume))

    def filesystems(self) -> Sequence[FilesystemInfo]:
        """All volumes, in the order of the stack file."""
        return [
            filesystem_info(volume, self.states.facts(volume)) for volume in self.volumes.values()
        ]

    def check_backup(
        self, path: str, *, may_be_file: bool = False, may_be_special: bool = False
    ) -> None:
        """Tell whether a directory can be opened for reading, without making
        a Snapshot copy of it; see ``Storage.check_backup``.

        :raises TapekitError: no such path or copy, or not what may be there.
        """
        asked = parse_path(path)
        volume = self.volume(asked.volume)
        self.states.check_dump(volume)
        if asked.snapshot is not None:
            self.keeper.check(volume, asked.snapshot)
        elif not (may_be_special and asked.parts and is_special(volume, asked)):
            os.close(open_live(volume, asked, may_be_file=may_be_file).descriptor)

    def open_backup(
        self,
        path: str,
        holder: str,
        keep_going: KeepGoing = for_ever,
        *,
        may_be_file: bool = False,
    ) -> BackupTree:
        """Open a directory for reading; see ``Storage.open_backup``.

        :raises TapekitError: no such path, not a directory, no copy possible.
        """
        asked = parse_path(path)
        volume = self.volume(asked.volume)
        self.states.check_dump(volume)
        use = self.states.use(volume)
        try:
            return self._open_tree(volume, asked, holder, keep_going, use, may_be_file=may_be_file)
        except BaseException:
            use.release()
            raise

    def _open_tree(
        self,
        volume: Volume,
        asked: VolumePath,
        holder: str,
        keep_going: KeepGoing,
        use: VolumeLock,
        *,
        may_be_file: bool,
    ) -> BackupTree:
        """Open what a backup reads; ``use`` goes with the tree."""
        if asked.snapshot is not None:
            copy = self.keeper.hold(volume, asked.snapshot, holder)
            return self._tree_of_copy(volume, asked, copy, use, may_be_file=may_be_file)
        moment_s = self.keeper.now_s()
        root = open_live(volume, asked, may_be_file=may_be_file)
        if volume.method is None:
            with contextlib.ExitStack() as undo:
                undo.callback(os.close, root.descriptor)
                traits = self._traits(volume, root, volume.directory)
                undo.pop_all()
            return VolumeBackupTree(asked, root.descriptor, moment_s, None, traits, use)
        os.close(root.descriptor)
        # What is released while the copy is made stands in it half written.
        withheld = self.withheld.of_volume(volume.path)
        copy = self.keeper.make_for_backup(volume, volume.method, holder, keep_going)
        return self._tree_of_copy(volume, asked, copy, use, withheld, may_be_file=may_be_file)

    def open_restore(self, path: str, holder: str) -> RestoreTree:  # noqa: ARG002 - a restore holds nothing
        """Open a directory for writing; see ``Storage.open_restore``.

        :raises TapekitError: no such volume, read-only, or something is in
            the way.
        """
        asked = parse_path(path)
        volume = self.volume(asked.volume)
        if asked.snapshot is not None:
            raise CATALOGUE.error("copy-is-read-only", path=path, folder=SNAPSHOT_FOLDER)
        require_no_junction(volume, asked)
        with contextlib.ExitStack() as undo:
            use = self.states.use(volume, writes=True)
            undo.callback(use.release)
            if not is_writable(volume):
                raise CATALOGUE.error("destination-volume-read-only", volume=volume.path)
            descriptor = self._open_destination(volume, asked)
            undo.pop_all()
        traits = msgspec.structs.replace(
            volume.traits,
            junctions=junctions_below(volume, asked),
            type_changes=self.states.type_changes(volume),
        )
        return VolumeRestoreTree(asked, descriptor, traits, use, self.withheld)

    def _open_destination(self, volume: Volume, asked: VolumePath) -> int:
        """Open the directory that a restore writes, made if need be.

        :raises TapekitError: it is in a qtree or on a file system that is
            read-only, or something is in the way.
        """
        top = open_top(volume)
        try:
            self._require_writable_qtree(top, asked)
            return make_below(top, asked.parts, volume.path)
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
            raise CATALOGUE.error("destination-volume-read-only", volume=volume.path) from error
        finally:
            os.close(top)

    def _require_writable_qtree(self, top: int, asked: VolumePath) -> None:
        """Refuse what leads into a qtree that is read-only.

        :raises TapekitError: it does.
        """
        if asked.parts:
            qtree = self.marks.read_below(top, asked.parts[0], QtreeMark)
            if qtree is not None and qtree.is_read_only:
                path = shown(asked.volume, asked.parts[:1])
                raise CATALOGUE.error("destination-qtree-read-only", path=path)

    def _traits(
        self,
        volume: Volume,
        root: Root,
        directory: Path,
        withheld: Mapping[bytes, str] = MappingProxyType({}),
    ) -> TreeTraits:
        """What the volume is, seen from the root of a backup.

        :param directory: the volume's directory, or that of a copy of it.
        :param withheld: what is left out besides what is now.
        """
        asked = root.path
        style = volume.traits.security_style
        if asked.parts:
            top = os.open(directory, TOP)
            try:
                qtree = self.marks.read_below(top, asked.parts[0], QtreeMark)
            finally:
                os.close(top)
            style = style if qtree is None else qtree.security_style
        depth = len(asked.parts)
        return msgspec.structs.replace(
            volume.traits,
            security_style=style,
            junctions=junctions_below(volume, asked),
            left_out={
                b"/".join(parts[depth:]): reason
                for path, reason in {
                    **withheld,
                    **self.withheld.of_volume(volume.path),
                }.items()
                if (parts := tuple(path.split(b"/")))[:depth] == asked.parts
            },
            type_changes=self.states.type_changes(volume),
            only=root.only,
        )

    def _tree_of_copy(
        self,
        volume: Volume,
        asked: VolumePath,
        copy: HeldCopy,
        use: VolumeLock,
        withheld: Mapping[bytes, str] = MappingProxyType({}),
        *,
        may_be_file: bool,
    ) -> BackupTree:
        """Open a directory in a Snapshot copy, which is let go if that fails."""
        with contextlib.ExitStack() as undo:
            undo.callback(copy.let_go)
            top = os.open(copy.tree.root, TOP)
            try:
                root = open_root(top, asked, may_be_file=may_be_file)
            finally:
                os.close(top)
            undo.callback(os.close, root.descriptor)
            traits = self._traits(volume, root, copy.tree.root, withheld)
            undo.pop_all()
        return VolumeBackupTree(asked, root.descriptor, copy.taken_at_s, copy, traits, use)
