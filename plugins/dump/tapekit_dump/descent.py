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
        self._names: list[bytes] = []
        self._open: dict[int, int] = {0: root}
        self._limit: Final = open_at_once

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
        for below in [known for known in self._open if known > depth]:
            os.close(self._open.pop(below))

    def _descriptor(self, depth: int) -> int:
        """Open what lies between ``depth`` and the nearest open ancestor."""
        nearest = depth
        while nearest not in self._open:
            nearest -= 1
        for level in range(nearest, depth):
            fd = open_below(self._names[level], _DIRECTORY, self._open[level])
            self._open[level + 1] = fd
            if len(self._open) > self._limit:
                self._close_highest()
        return self._open[depth]

    def _close_highest(self) -> None:
        highest = min(depth for depth in self._open if depth)
        os.close(self._open.pop(highest))
