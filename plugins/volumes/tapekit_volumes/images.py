"""Volumes as images: what engines hold of one, or write to it.

A backup of an image holds a Snapshot copy and the volume's lock with others;
a restore has the volume alone. The one rule: before anything in a volume can
be changed, it is remembered that its image is not whole.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.storage import for_ever
from tapekit_volumes.errors import CATALOGUE
from tapekit_volumes.states import memory_of
from tapekit_volumes.volume_lock import unreachable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tapekit.hookspecs.storage import KeepGoing, SnapshotTree, TreeTraits
    from tapekit.hookspecs.volume_images import SnapshotCopy
    from tapekit_volumes.snapshots import HeldCopy, SnapshotKeeper
    from tapekit_volumes.states import VolumeStates
    from tapekit_volumes.table import Volume
    from tapekit_volumes.volume_lock import VolumeLock

__all__ = ["HeldImage", "RestoredVolume", "flush", "open_volume_image"]

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@final
class HeldImage:
    """Implements ``tapekit.hookspecs.volume_images.HeldSnapshot``."""

    def __init__(
        self, copy: SnapshotCopy, held: HeldCopy, traits: TreeTraits, use: VolumeLock
    ) -> None:
        self._copy: Final = copy
        self._held: Final = held
        self._traits: Final = traits
        self._undo: Final = contextlib.ExitStack()
        self._undo.callback(use.release)
        self._undo.callback(held.let_go)

    @property
    def copy(self) -> SnapshotCopy:
        """Which copy it is."""
        return self._copy

    @property
    def tree(self) -> SnapshotTree:
        """Its objects."""
        return self._held.tree

    @property
    def traits(self) -> TreeTraits:
        """What the volume is besides a directory."""
        return self._traits

    def close(self) -> None:
        """Let it go; later calls do nothing."""
        self._undo.close()


def open_volume_image(
    volume: Volume, states: VolumeStates, keeper: SnapshotKeeper, holder: str
) -> RestoredVolume:
    """Open a volume for a restore of an image.

    :raises TapekitError: see ``ImageStorage.open_image``.
    """
    if volume.method is None:
        raise CATALOGUE.error("volume-without-copies", volume=volume.path)
    lock = states.open_alone(volume)
    try:
        memory = _made_memory(volume)
    except BaseException:
        lock.release()
        raise
    return RestoredVolume(volume, states, keeper, lock, memory, holder)


@final
class RestoredVolume:
    """Implements ``tapekit.hookspecs.volume_images.VolumeImage``."""

    def __init__(
        self,
        volume: Volume,
        states: VolumeStates,
        keeper: SnapshotKeeper,
        lock: VolumeLock,
        memory: Path,
        holder: str,
    ) -> None:
        self._volume: Final = volume
        self._states: Final = states
        self._keeper: Final = keeper
        self._lock: Final = lock
        self._memory: Final = memory
        self._holder: Final = holder
        self._has_begun = False

    @property
    def root(self) -> Path:
        """The volume's directory, for whoever is going to change it.

        :raises TapekitError: that it changes cannot be remembered.
        """
        self._begin()
        return self._volume.directory

    @property
    def memory(self) -> Path:
        """The engine's folder beside the volume."""
        return self._memory

    def copies(self) -> Sequence[SnapshotCopy]:
        """The Snapshot copies, oldest first."""
        return self._keeper.copies(self._volume)

    def take(
        self, name: str, identifier: str, created_at_s: int, keep_going: KeepGoing = for_ever
    ) -> None:
        """Make a Snapshot copy that stands for one of the source.

        :raises TapekitError: the name or the identifier is in use, or the
            method refuses.
        """
        for copy in self.copies():
            if copy.identifier == identifier:
                raise CATALOGUE.error(
                    "copy-there-already", volume=self._volume.path, name=copy.name
                )
        self._begin()
        stands_for = (identifier, created_at_s)
        self._keeper.create(self._volume, name, self._holder, keep_going, stands_for=stands_for)

    def forget(self, name: str) -> None:
        """Delete a Snapshot copy.

        :raises TapekitError: there is none, or somebody holds it.
        """
        self._begin()
        self._keeper.delete(self._volume, name, self._holder)

    def go_online(self, *, writable: bool) -> None:
        """Bring the volume online, once all that was written is on disk.

        :raises TapekitError: it cannot be written, or the state cannot.
        """
        folders = (self._volume.directory, self._volume.snapshots)
        for folder in {folder.stat().st_dev: folder for folder in folders}.values():
            flush(self._volume, folder)
        self._states.end_image(self._volume, writable=writable)
        # What is changed now is changed in a volume that is online.
        self._lock.release()

    def close(self) -> None:
        """Give the volume back as it is; later calls do nothing."""
        self._lock.release()

    def _begin(self) -> None:
        """Remember that the volume is not whole."""
        if not self._has_begun:
            self._states.begin_image(self._volume)
            self._has_begun = True


def _made_memory(volume: Volume) -> Path:
    memory = memory_of(volume)
    try:
        volume.snapshots.mkdir(mode=0o700, exist_ok=True)
        memory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise CATALOGUE.error(
            "snapshot-folder-not-usable", volume=volume.path, folder=memory, reason=error.strerror
        ) from error
    return memory


def flush(volume: Volume, folder: Path) -> None:
    """Have a file system write everything to its disk; blocking.

    :raises TapekitError: it could not.
    """
    try:
        descriptor = os.open(folder, _DIRECTORY)
    except OSError as error:
        raise unreachable(volume.path, error) from error
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
            reason = os.strerror(ctypes.get_errno())
            raise CATALOGUE.error("image-not-written", volume=volume.path, reason=reason)
    finally:
        os.close(descriptor)
