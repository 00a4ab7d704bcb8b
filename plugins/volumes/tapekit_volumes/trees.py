"""The directories of volumes that backups read and restores write.

Each is an open descriptor and what belongs to it. The one rule: the lock on
the volume is let go last, when neither descriptor nor Snapshot copy is left.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final, final

from tapekit.births import birth_time_ns
from tapekit.hookspecs.storage import Origin

if TYPE_CHECKING:
    from tapekit.hookspecs.storage import TreeTraits
    from tapekit_volumes.paths import VolumePath
    from tapekit_volumes.snapshots import HeldCopy
    from tapekit_volumes.volume_lock import VolumeLock
    from tapekit_volumes.withheld import WithheldFiles

__all__ = ["VolumeBackupTree", "VolumeRestoreTree"]


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
        use: VolumeLock,
    ) -> None:
        self.traits: Final = traits
        """What the volume is besides a directory."""
        self._asked: Final = asked
        self._descriptor: Final = descriptor
        self._taken_at_s: Final = taken_at_s
        self._copy: Final = copy
        self._undo: Final = contextlib.ExitStack()
        self._undo.callback(use.release)
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
        """What was asked for below the volume's top."""
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

    def birth_ns(self, directory: int, name: bytes) -> int | None:
        """When an object was made in the volume."""
        if self._copy is None:
            return birth_time_ns(name, directory)
        return self._copy.tree.birth_ns(directory, name)

    def close(self) -> None:
        """Let go; removes the Snapshot copy if it was made for this. Later
        calls do nothing.
        """
        self._undo.close()


@final
class VolumeRestoreTree:
    """Implements ``tapekit.hookspecs.storage.WithholdingTree``."""

    def __init__(
        self,
        asked: VolumePath,
        descriptor: int,
        traits: TreeTraits,
        use: VolumeLock,
        withheld: WithheldFiles,
    ) -> None:
        self.traits: Final = traits
        """What the volume is besides a directory."""
        self._asked: Final = asked
        self._descriptor: Final = descriptor
        self._withheld: Final = withheld
        self._undo: Final = contextlib.ExitStack()
        self._undo.callback(use.release)
        self._undo.callback(withheld.end, self)
        self._undo.callback(os.close, descriptor)

    @property
    def descriptor(self) -> int:
        """Open descriptor of the destination directory."""
        return self._descriptor

    @property
    def path(self) -> str:
        """``/vserver/volume[/path]``."""
        return f"{self._asked.volume}/{self._asked.subpath}".rstrip("/")

    def withhold(self, path: bytes) -> None:
        """Leave a file out of backups; see ``WithholdingTree``."""
        self._withheld.hold_for(self, self._asked.volume, self._below_top(path))

    def release(self, path: bytes) -> None:
        """Leave a file out no longer; see ``WithholdingTree``."""
        self._withheld.let_go(self, self._asked.volume, self._below_top(path))

    def _below_top(self, path: bytes) -> bytes:
        return b"/".join((*self._asked.parts, path))

    def close(self) -> None:
        """Let go of the directory, and of what was withheld; later calls do
        nothing.
        """
        self._undo.close()
