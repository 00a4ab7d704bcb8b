"""Directories of Snapshot copies, in batches.

A batch ends with a cookie that the next request brings back. It holds good
for the stack that gave it: after a restart, or when another node has taken
over, a client begins anew. The one rule: nothing but Snapshot copies can be
looked at.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit_ndmp_v4.numbers import FileType
from tapekit_snapext.errors import CATALOGUE
from tapekit_snapext.messages import SnapEntry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tapekit.hookspecs.storage import BackupTree, LockingStorage

__all__ = ["Browser", "Listing", "SnapshotPath", "snapshot_path"]

_SNAPSHOTS: Final = ".snapshot"
_RUN_SHIFT: Final = 32
_LATEST: Final = 2**32 - 1
_LARGEST: Final = 2**63 - 1
_TYPES: Final = {
    stat.S_IFDIR: FileType.DIR,
    stat.S_IFIFO: FileType.FIFO,
    stat.S_IFCHR: FileType.CSPEC,
    stat.S_IFBLK: FileType.BSPEC,
    stat.S_IFREG: FileType.REG,
    stat.S_IFLNK: FileType.SLINK,
    stat.S_IFSOCK: FileType.SOCK,
}


class Listing(NamedTuple):
    """A batch of entries."""

    cookie: int
    """0 if there are no more."""
    entries: Sequence[SnapEntry]


class SnapshotPath(NamedTuple):
    """A path into the Snapshot copies of a volume."""

    volume: str
    """``/vserver/volume``."""
    snapshot: str | None
    """``None`` for all of them."""
    below: str
    """The rest, without slashes at the ends."""


def snapshot_path(path: str) -> SnapshotPath:
    """Take a path apart.

    :raises TapekitError: it leads elsewhere.
    """
    names = [name for name in path.split("/") if name not in {"", "."}]
    is_copy = len(names) > 3 and names[2] == _SNAPSHOTS
    if not path.startswith("/") or ".." in names or not (is_copy or len(names) in {2, 3}):
        raise CATALOGUE.error("not-a-snapshot-path", path=path)
    if len(names) == 3 and names[2] != _SNAPSHOTS:
        raise CATALOGUE.error("not-a-snapshot-path", path=path)
    volume = f"/{names[0]}/{names[1]}"
    return SnapshotPath(volume, names[3] if is_copy else None, "/".join(names[4:]))


@final
class Browser:
    """Lists what is in Snapshot copies; calls block."""

    def __init__(self, storage: LockingStorage, run: int, entries_at_once: int) -> None:
        """:param run: tells this run of the stack from any other; 31 bits."""
        self._storage: Final = storage
        self._run: Final = run
        self._most: Final = entries_at_once
        self._kept: tuple[str, int, Sequence[str]] | None = None
        """The names of a directory that is not listed to its end, and the
        path and the time of the copy that they were read from."""

    def entries(self, path: str, cookie: int, most: int, holder: str) -> Listing:
        """The entries of a directory by name, from a cookie on.

        :param most: how many at most; 0 for as many as there may be.
        :raises TapekitError: no such directory, or a cookie of another run.
        """
        start = self._start(path, cookie)
        count = min(most or self._most, self._most)
        place = snapshot_path(path)
        if place.snapshot is None:
            copies = self._storage.snapshot_names(place.volume)
            found = list(map(_of_copy, copies[start : start + count]))
            return self._listing(found, start + count, len(copies))
        tree = self._storage.open_backup(path, holder)
        try:
            if not start:
                # Another copy may have the name and the time by now.
                self._kept = None
            names = self._names(path, tree)
            here = names[start : start + count]
            found = list(_entries(tree.descriptor, here))
        finally:
            tree.close()
        if start + count >= len(names):
            self._kept = None
        return self._listing(found, start + count, len(names))

    def _names(self, path: str, tree: BackupTree) -> Sequence[str]:
        """The names of a directory in their order, which are read once."""
        kept = self._kept
        if kept is not None and kept[:2] == (path, tree.taken_at_s):
            return kept[2]
        with os.scandir(tree.descriptor) as entries:
            names = tuple(sorted(entry.name for entry in entries))
        self._kept = path, tree.taken_at_s, names
        return names

    def _start(self, path: str, cookie: int) -> int:
        run, start = cookie >> _RUN_SHIFT, cookie & _LATEST
        if cookie and run != self._run:
            raise CATALOGUE.error("browse-again", path=path)
        return start

    def _listing(self, entries: Sequence[SnapEntry], next_one: int, count: int) -> Listing:
        cookie = self._run << _RUN_SHIFT | next_one if next_one < count else 0
        return Listing(cookie, entries)


def _of_copy(name: str) -> SnapEntry:
    return SnapEntry(name=name, file_type=FileType.DIR, size=0, mtime_s=0)


def _entries(directory: int, names: Sequence[str]) -> Iterator[SnapEntry]:
    for name in names:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        yield SnapEntry(
            name=name,
            file_type=_TYPES.get(stat.S_IFMT(status.st_mode), FileType.OTHER),
            size=min(status.st_size, _LARGEST),
            mtime_s=min(max(0, int(status.st_mtime)), _LATEST),
        )
