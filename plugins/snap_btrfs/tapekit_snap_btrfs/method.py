"""Snapshot copies as read-only snapshots of a btrfs subvolume.

A copy NAME is the subvolume NAME of the folder. btrfs makes and removes it
in one step, so nothing partial is ever seen, and its objects keep inode
numbers and change times, so they are their own origins. The one rule: only a
read-only subvolume is a copy.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Final, NoReturn, final

from tapekit.births import birth_time_ns
from tapekit.errors import TapekitError
from tapekit.hookspecs.storage import Origin, for_ever
from tapekit_snap_btrfs.errors import CATALOGUE
from tapekit_snap_btrfs.subvolumes import (
    count_children,
    delete_subvolume,
    look_at,
    make_snapshot,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tapekit.hookspecs.storage import KeepGoing

__all__ = ["BtrfsMethod", "BtrfsTree"]

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ELSEWHERE: Final = frozenset({errno.EXDEV, errno.ENOTTY})
_NOT_THERE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


@final
class BtrfsTree:
    """An open Snapshot copy; implements ``SnapshotTree``."""

    def __init__(self, root: Path) -> None:
        self._root: Final = root

    @property
    def root(self) -> Path:
        """Its directory."""
        return self._root

    def origin(self, status: os.stat_result) -> Origin:
        """The object's own number and time, which a snapshot keeps."""
        return Origin(status.st_ino, status.st_ctime_ns)

    def birth_ns(self, directory: int, name: bytes) -> int | None:
        """The object's own time of birth, which a snapshot keeps too."""
        return birth_time_ns(name, directory)

    def close(self) -> None:
        """Nothing is open."""


@final
class BtrfsMethod:
    """Makes Snapshot copies by btrfs; implements ``SnapshotMethod``."""

    @property
    def name(self) -> str:
        """The name in settings: ``btrfs``."""
        return "btrfs"

    def create(
        self,
        volume: Path,
        snapshots: Path,
        name: str,
        keep_going: KeepGoing = for_ever,
    ) -> BtrfsTree:
        """Make a snapshot: the volume as it is at one moment.

        :raises TapekitError: the volume is no subvolume or has others in it,
            the folder is in the volume or on another file system, or btrfs
            refuses.
        """
        try:
            with _opened(volume) as source:
                _check(volume, source, snapshots)
                with contextlib.suppress(FileExistsError):
                    snapshots.mkdir(mode=0o700)
                keep_going()
                with _opened(snapshots) as folder:
                    _make(volume, source, folder, name)
        except OSError as error:
            _refuse(volume, snapshots, name, error)
        return BtrfsTree(snapshots / name)

    def open(self, snapshots: Path, name: str) -> BtrfsTree:
        """Open an existing copy.

        :raises TapekitError: there is none.
        """
        if _tree_of(snapshots / name) is None:
            raise CATALOGUE.error("no-such-copy", name=name, folder=snapshots)
        return BtrfsTree(snapshots / name)

    def delete(self, snapshots: Path, name: str) -> None:
        """Delete a copy; names of anything else are ignored.

        :raises TapekitError: btrfs refuses; the copy is still whole.
        """
        if _tree_of(snapshots / name) is None:
            return
        with _opened(snapshots) as folder:
            try:
                delete_subvolume(folder, name)
            except OSError as error:
                raise CATALOGUE.error(
                    "not-deleted", name=name, folder=snapshots, reason=error.strerror
                ) from error

    def names(self, snapshots: Path) -> Sequence[str]:
        """The copies, oldest first."""
        if not snapshots.is_dir():
            return ()
        with os.scandir(snapshots) as entries:
            names = [
                entry.name
                for entry in entries
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
            ]
        trees = {name: _tree_of(snapshots / name) for name in names}
        return tuple(name for _, name in sorted((t, n) for n, t in trees.items() if t is not None))


def _check(volume: Path, source: int, snapshots: Path) -> None:
    """Refuse what a snapshot would not be whole of."""
    if look_at(source) is None:
        raise CATALOGUE.error("not-a-subvolume", volume=volume)
    if snapshots.resolve().is_relative_to(volume.resolve()):
        raise CATALOGUE.error("folder-in-the-volume", volume=volume, folder=snapshots)
    _check_children(volume, source)


def _check_children(volume: Path, source: int) -> None:
    count = count_children(source)
    if count:
        raise CATALOGUE.error("has-subvolumes", volume=volume, count=count)


def _make(volume: Path, source: int, folder: int, name: str) -> None:
    make_snapshot(source, folder, name)
    try:
        # The snapshot lacks what is in a subvolume that was made since the check.
        _check_children(volume, source)
    except TapekitError:
        delete_subvolume(folder, name)
        raise


def _refuse(volume: Path, snapshots: Path, name: str, error: OSError) -> NoReturn:
    """Explain why btrfs made no snapshot.

    :raises TapekitError: always.
    """
    if error.errno in _ELSEWHERE:
        raise CATALOGUE.error("other-file-system", volume=volume, folder=snapshots) from error
    if error.errno == errno.EEXIST:
        raise CATALOGUE.error("copy-exists", name=name, folder=snapshots) from error
    raise CATALOGUE.error("not-made", name=name, volume=volume, reason=error.strerror) from error


def _tree_of(path: Path) -> int | None:
    """The number of the copy in this place; ``None`` if none is there."""
    try:
        with _opened(path) as directory:
            subvolume = look_at(directory)
    except OSError as error:
        if error.errno not in _NOT_THERE:
            raise
        return None
    return subvolume.tree if subvolume is not None and subvolume.is_read_only else None


@contextlib.contextmanager
def _opened(directory: Path) -> Iterator[int]:
    descriptor = os.open(directory, _DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
