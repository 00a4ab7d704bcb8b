"""The open directories on the way from a root to the place of work.

A walk that stays relative to descriptors needs one for each level, and a
tree may be deeper than a process has descriptors. So only the lowest levels
stay open; a level above them is opened again through ``..`` on the way back.
The one rule: a directory opened that way must be the one that was left.
"""

from __future__ import annotations

import errno
import os
from typing import Final, NamedTuple, final

__all__ = ["OPEN_LEVELS", "DirectoryStack"]

OPEN_LEVELS: Final = 32
"""Deeper than most trees, and far from the usual limit of 1,024 descriptors
with several walks at once."""

_AGAIN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class _Left(NamedTuple):
    """Which directory a closed level was."""

    device: int
    inode: int


@final
class DirectoryStack:
    """Nested open directories; owns their descriptors."""

    def __init__(self, root: int) -> None:
        self._levels: Final[list[int | _Left]] = []
        self.top = root

    def enter(self, directory: int) -> None:
        """Go down into an open directory of :attr:`top`."""
        self._levels.append(self.top)
        self.top = directory
        if len(self._levels) > OPEN_LEVELS:
            self._let_go(len(self._levels) - OPEN_LEVELS - 1)

    def leave(self) -> None:
        """Go up again and close what was left.

        :raises OSError: ``ESTALE`` if the directory has been moved meanwhile.
        """
        above = self._levels.pop()
        directory = above if isinstance(above, int) else self._open_again(above)
        os.close(self.top)
        self.top = directory

    def close(self) -> None:
        """Close all that is open."""
        for level in self._levels:
            if isinstance(level, int):
                os.close(level)
        self._levels.clear()
        os.close(self.top)

    def _let_go(self, index: int) -> None:
        level = self._levels[index]
        if isinstance(level, int):
            status = os.fstat(level)
            self._levels[index] = _Left(status.st_dev, status.st_ino)
            os.close(level)

    def _open_again(self, left: _Left) -> int:
        directory = os.open("..", _AGAIN, dir_fd=self.top)
        status = os.fstat(directory)
        if (status.st_dev, status.st_ino) != left:
            os.close(directory)
            raise OSError(errno.ESTALE, "a directory was moved during the walk")
        return directory
