"""The volumes that a restore writes to, opened by their paths.

Views name their targets as ``/vserver/volume/path``; for each volume the
directory that all targets in it are in is opened once, and everything below
is reached from there by descriptor. The one rule: checking a destination
makes nothing in it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.storage import WithholdingTree
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.recover_marks import (
    DestinationVolume,
    require_no_junction,
    require_writable_qtree,
)
from tapekit_dump.recover_selection import join_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tapekit.hookspecs.data_engine import PathPermit
    from tapekit.hookspecs.storage import RestoreTree, Storage
    from tapekit_dump.recover_selection import Path, View

__all__ = ["Destination", "flush_filesystem"]


@final
class Destination:
    """The parts of volumes that views are restored to."""

    def __init__(self, storage: Storage, holder: str, views: Iterable[View]) -> None:
        self._storage: Final = storage
        self._holder: Final = holder
        self._views: Final = tuple(views)
        self._trees: Final[dict[Path, RestoreTree]] = {}

    def check_permits(self, permit: PathPermit) -> None:
        """Ask for all targets whether they may be written.

        :raises PathNotPermitted: one may not.
        """
        for view in self._views:
            permit(join_path(view.target))

    def hold_volumes(self) -> None:
        """Open the volumes.

        :raises TapekitError: there is no such volume, or it or the qtree is
            read-only.
        """
        for view in self._views:
            tree = self._open(view.volume)
            volume = _as_volume(tree)
            require_no_junction(volume, view.target)
            require_writable_qtree(volume, view.target)

    def volumes(self) -> Mapping[Path, DestinationVolume]:
        """The volumes of all targets, by ``(vserver, volume)``.

        :raises TapekitError: there is no such volume, or it is read-only.
        """
        found: dict[Path, DestinationVolume] = {}
        for view in self._views:
            tree = self._open(view.volume)
            found[view.volume] = _as_volume(tree)
        return found

    def tops(self) -> Mapping[int, tuple[int, Path]]:
        """For each view's number an open directory and the way from there to
        the view's target; makes the directories up to the open one.

        :raises TapekitError: something else is in the way.
        """
        tops: dict[int, tuple[int, Path]] = {}
        for above, views in self._by_common_directory():
            tree = self._open(above)
            for view in views:
                tops[view.number] = tree.descriptor, view.target[len(above) :]
        return tops

    def flush(self) -> None:
        """Wait until everything restored is on disk.

        :raises TapekitError: the file system could not write all of it.
        """
        done: set[int] = set()
        for path, tree in self._trees.items():
            device = os.fstat(tree.descriptor).st_dev
            if device not in done:
                done.add(device)
                flush_filesystem(tree.descriptor, join_path(path))

    def close(self) -> None:
        """Let go of the volumes."""
        with contextlib.ExitStack() as stack:
            while self._trees:
                stack.callback(self._trees.popitem()[1].close)

    def _open(self, path: Path) -> RestoreTree:
        tree = self._trees.get(path)
        if tree is None:
            shown = join_path(path)
            try:
                tree = self._storage.open_restore(shown, self._holder)
            except OSError as error:
                raise CATALOGUE.error(
                    "destination-unusable", path=shown, reason=error.strerror
                ) from error
            self._trees[path] = tree
        return tree

    def _by_common_directory(self) -> Iterable[tuple[Path, list[View]]]:
        volumes: dict[Path, list[View]] = {}
        for view in self._views:
            volumes.setdefault(view.volume, []).append(view)
        for views in volumes.values():
            yield _common([view.parent for view in views]), views


def _as_volume(tree: RestoreTree) -> DestinationVolume:
    holder = tree if isinstance(tree, WithholdingTree) else None
    return DestinationVolume(tree.descriptor, tree.traits, holder)


def _common(paths: list[Path]) -> Path:
    """The longest path that all begin with."""
    lowest, highest = min(paths), max(paths)
    for depth, part in enumerate(lowest):
        if part != highest[depth]:
            return lowest[:depth]
    return lowest


def flush_filesystem(descriptor: int, path: str) -> None:
    """Write a whole file system back (Linux, syncfs).

    :param path: where it is, for the message.
    :raises TapekitError: it could not write all of it.
    """
    # One call for all files: an fsync for each would cost more than the
    # restore, and one of a directory says nothing about the files in it.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syncfs(descriptor):
        raise CATALOGUE.error("sync-failed", path=path, reason=os.strerror(ctypes.get_errno()))
