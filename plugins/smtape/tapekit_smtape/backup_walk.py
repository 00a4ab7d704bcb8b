"""Walks a Snapshot copy: every name once, directories before what is in them.

Directories are opened from the copy's top by their path, in pieces where it
is long. The one rule: nothing outside of the copy is reached, since a copy
does not change and no name of it is followed as a link.
"""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Final, NamedTuple, final

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from tapekit.hookspecs.storage import KeepGoing, SnapshotTree

__all__ = ["CopyWalk", "Visit"]

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_LONGEST_PATH: Final = 4000
"""Bytes that the kernel takes at once, with some to spare."""
_BETWEEN: Final = 1024
"""Names between two looks at whether to go on."""


class Visit(NamedTuple):
    """A name in a copy, and the object that it means."""

    parent: int
    """Number of the directory; 0 for the top."""
    name: bytes
    """Empty for the top."""
    number: int
    ctime_ns: int
    status: os.stat_result
    directory: int
    """Open descriptor of the directory that the name is in, or of the top
    itself; valid until the next visit."""
    path: bytes
    """Below the top."""


@final
class CopyWalk:
    """One open Snapshot copy; for one thread."""

    def __init__(self, tree: SnapshotTree, keep_going: KeepGoing) -> None:
        self._tree: Final = tree
        self._keep_going: Final = keep_going
        self._top = _open_top(tree.root)
        self._begun: Final = ExitStack()

    @property
    def top(self) -> int:
        """Open descriptor of the copy's top directory."""
        return self._top

    @property
    def root_number(self) -> int:
        """The number of the top directory."""
        return self.number_of(self._top)

    def number_of(self, fd: int) -> int:
        """The number of an open object of the copy."""
        return self._tree.origin(os.fstat(fd)).inode

    def close(self) -> None:
        """Close the top and what visits have open; later calls do nothing."""
        top, self._top = self._top, -1
        if top >= 0:
            self._begun.callback(os.close, top)
        self._begun.close()

    def visits(self) -> Iterator[Visit]:
        """Every name; the top comes first. They end with the walk."""
        return self._begun.enter_context(closing(self._visits()))

    def _visits(self) -> Generator[Visit]:
        status = os.fstat(self._top)
        number, ctime_ns = self._tree.origin(status)
        yield Visit(0, b"", number, ctime_ns, status, self._top, b"")
        waiting = [(b"", number)]
        while waiting:
            path, number = waiting.pop()
            below: list[tuple[bytes, int]] = []
            directory = self.open(path, _DIRECTORY) if path else os.dup(self._top)
            try:
                with closing(self._of_directory(directory, path, number)) as visits:
                    for visit in visits:
                        if stat.S_ISDIR(visit.status.st_mode):
                            below.append((visit.path, visit.number))
                        yield visit
            finally:
                os.close(directory)
            below.reverse()
            waiting += below

    def open(self, path: bytes, flags: int = _FILE) -> int:
        """Open what has a path below the top; the caller closes it.

        :raises OSError: there is nothing, or a link.
        """
        at = os.dup(self._top)
        try:
            while len(path) > _LONGEST_PATH:
                cut = path.rindex(b"/", 0, _LONGEST_PATH)
                above, at = at, os.open(path[:cut], _DIRECTORY, dir_fd=at)
                os.close(above)
                path = path[cut + 1 :]
            return os.open(path or b".", flags, dir_fd=at)
        finally:
            os.close(at)

    def _of_directory(self, directory: int, path: bytes, number: int) -> Generator[Visit]:
        origin = self._tree.origin
        prefix = path + b"/" if path else b""
        with os.scandir(directory) as entries:
            for count, entry in enumerate(entries):
                if count % _BETWEEN == 0:
                    self._keep_going()
                status = entry.stat(follow_symlinks=False)
                own, ctime_ns = origin(status)
                name = os.fsencode(entry.name)
                yield Visit(number, name, own, ctime_ns, status, directory, prefix + name)


def _open_top(root: Path) -> int:
    return os.open(root, _DIRECTORY)
