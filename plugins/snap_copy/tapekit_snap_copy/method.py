"""Snapshot copies as plain copies in a folder.

A copy NAME is the directory NAME and beside it ``.NAME.origins``; while it
is made or removed its directory is ``.NAME.partial``. The last step of
making and the first of removing is the renaming of the directory, so that
under its own name a copy is always whole. The one rule: names that begin
with a dot are never copies.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from typing import TYPE_CHECKING, Final, final

from tapekit_snap_copy.attributes import AttributeNotKept
from tapekit_snap_copy.errors import CATALOGUE
from tapekit_snap_copy.origins import OriginsDamaged, OriginsFile, OriginsWriter
from tapekit_snap_copy.removal import remove_tree
from tapekit_snap_copy.tree_copy import TreeCopier

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tapekit.errors import TapekitError
    from tapekit.hookspecs.storage import Origin

__all__ = ["CopyMethod", "CopyTree"]

_LOG: Final = logging.getLogger("tapekit.snap_copy")
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


@final
class CopyTree:
    """An open Snapshot copy; implements ``SnapshotTree``."""

    def __init__(self, root: Path, origins: OriginsFile) -> None:
        self._root: Final = root
        self._origins: Final = origins

    @property
    def root(self) -> Path:
        """Its directory."""
        return self._root

    def origin(self, status: os.stat_result) -> Origin:
        """What the object of this status was in the volume.

        :raises TapekitError: the object does not belong to the copy.
        """
        origin = self._origins.find(status.st_ino)
        if origin is None:
            raise CATALOGUE.error("origin-unknown", root=self._root, inode=status.st_ino)
        return origin


@final
class CopyMethod:
    """Makes Snapshot copies by copying; implements ``SnapshotMethod``."""

    @property
    def name(self) -> str:
        """``copy``"""
        return "copy"

    def create(self, volume: Path, snapshots: Path, name: str) -> CopyTree:
        """Copy the volume while it is in use.

        Takes as long as reading and writing all of it. The copy is no
        moment's picture: what changes meanwhile is in it as it was met, or
        as it was after the change, and has a change time that tells.

        :raises TapekitError: it cannot be made; nothing is left of it.
        """
        snapshots.mkdir(mode=0o700, exist_ok=True)
        with _opened(snapshots) as folder:
            if _exists(name, folder):
                raise CATALOGUE.error("copy-exists", name=name, folder=snapshots)
            self._remove(snapshots, folder, name)
            try:
                _make(volume, snapshots, folder, name)
            except BaseException:
                self._remove_after_failure(snapshots, folder, name)
                raise
        return self.open(snapshots, name)

    def open(self, snapshots: Path, name: str) -> CopyTree:
        """Open an existing copy.

        :raises TapekitError: there is none, or its list of origins is damaged.
        """
        root, origins = snapshots / name, snapshots / _origins(name)
        if not root.is_dir() or root.is_symlink() or not origins.exists():
            raise CATALOGUE.error("no-such-copy", name=name, folder=snapshots)
        try:
            return CopyTree(root, OriginsFile(os.open(origins, os.O_RDONLY | os.O_CLOEXEC)))
        except OriginsDamaged as error:
            raise CATALOGUE.error(
                "origins-damaged", name=name, file=origins, reason=error
            ) from error

    def delete(self, snapshots: Path, name: str) -> None:
        """Remove a copy, whole or partial.

        :raises TapekitError: the operating system refuses; what is left is
            no longer a copy, and a later call goes on.
        """
        if not snapshots.is_dir():
            return
        with _opened(snapshots) as folder:
            self._remove(snapshots, folder, name)

    def names(self, snapshots: Path) -> Sequence[str]:
        """The whole copies, in the order in which they were finished."""
        if not snapshots.is_dir():
            return ()
        with os.scandir(snapshots) as entries:
            found = {
                entry.name: entry.stat(follow_symlinks=False).st_mtime_ns
                for entry in entries
                if entry.name.startswith(".") and entry.name.endswith(_ORIGINS)
            }
'''
