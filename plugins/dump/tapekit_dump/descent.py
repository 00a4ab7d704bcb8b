"""Open directories along one path of a tree, by descriptors alone.

Each directory is opened relative to the one it is in and never through a
symbolic link, so that nothing outside the tree can be reached. Of a deep
path only the lower part stays open; what is needed again is opened anew
from the nearest ancestor. The one rule: the root's descriptor is borrowed
and never closed here.
"""

from __future__ import annotations

import errno
import os
from typing import Final, final

__all__ = ["Descent", "open_below"]

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_OPEN_AT_ONCE: Final = 128


def open_below(name: bytes, flags: int, directory: int) -> int:
    """Open ``name`` in a directory, leaving its access time alone where the
    kernel lets us: that takes the owner or CAP_FOWNER.

    :raises OSError: it cannot be opened.
    """
    try:
        return os.open(name, flags | os.O_NOATIME, dir_fd=directory)
    except PermissionError as error:
        if error.errno != errno.EPERM:
            raise
        return os.open(name, flags, dir_fd=directory)


@final
class Descent:
    """A place in a tree: names from the root down, and their descriptors."""

    def __init__(self, root: int, open_at_once: int = _OPEN_AT_ONCE) -> None:
        self._names: Final[list[bytes]] = []
        self._open: Final[list[int]] = [root]
        """The descriptor of each depth, as far as any below is open; -1 where
        it has been closed to make room."""
        self._limit: Final = open_at_once
        self._highest = 1
        """No depth from 1 up to here is open."""

    def enter(self, depth: int, name: bytes) -> None:
        """Go to ``name`` at ``depth``, in the directory one above that was
        entered last; 0 is the root. Nothing is opened yet.
        """
        self._rise_to(max(0, depth - 1))
        if depth:
            self._names.append(name)

    def here(self) -> int:
        """The descriptor of this place, valid until the next call to enter.

        :raises OSError: it, or a directory above it, cannot be opened.
        """
        return self._descriptor(len(self._names))

    def above(self) -> int:
        """The descriptor of the directory that this place is in.

        :raises OSError: it, or a directory above it, cannot be opened.
        """
        return self._descriptor(max(0, len(self._names) - 1))

    def path(self, name: bytes = b"") -> bytes:
        """Where the place is, or ``name`` in it, from the root down."""
        return b"/".join((*self._names, name) if name else self._names)

    def close(self) -> None:
        """Close all but the root."""
        self._rise_to(0)

    def _rise_to(self, depth: int) -> None:
        del self._names[depth:]
        while len(self._open) > depth + 1:
            fd = self._open.pop()
            if fd >= 0:
                os.close(fd)
        while len(self._open) > 1 and self._open[-1] < 0:
            self._open.pop()
        self._highest = min(self._highest, len(self._open))

    def _descriptor(self, depth: int) -> int:
        """Open what lies between ``depth`` and the nearest open ancestor."""
        while len(self._open) <= depth:
            level = len(self._open)
            self._open.append(open_below(self._names[level - 1], _DIRECTORY, self._open[-1]))
            if level - self._highest >= self._limit - 1:
                os.close(self._open[self._highest])
                self._open[self._highest] = -1
                self._highest += 1
        return self._open[depth]
