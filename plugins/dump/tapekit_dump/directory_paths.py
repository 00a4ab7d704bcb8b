"""The paths of directories, in the order in which a walk visits them.

A walk goes depth first, so a directory's path is known from those before it.
Number, depth and name of each lie in a spool and are read forward, as often
as somebody needs them. The one rule: memory does not grow with the tree, and
with its depth only up to the longest path that file history has.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.data_engine import LONGEST_PATH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapekit_dump.spool import Pending, Spool, SpoolRoom

__all__ = ["DirectoryPaths", "PathReader"]

_HEAD: Final = struct.Struct("<IIH")
_WINDOW_BYTES: Final = 256 * 1024


@final
class DirectoryPaths:
    """Visited directories, written once and then read any number of times."""

    def __init__(self, room: SpoolRoom) -> None:
        self._spool: Final = room.spool()

    def visited(self, item: Pending) -> None:
        """The walk has come to a directory.

        :raises TapekitError: the spool cannot be written.
        """
        head = _HEAD.pack(item.number, item.depth, len(item.name))
        self._spool.append(head + item.name)

    def reader(self) -> PathReader:
        """Reads from the beginning on."""
        return PathReader(self._spool)

    def close(self) -> None:
        """Free the spool."""
        self._spool.close()


@final
class PathReader:
    """Goes forward through visited directories."""

    def __init__(self, spool: Spool) -> None:
        self._way: Final[list[bytes | None]] = []
        """Paths down to the last directory, each with a slash at its end."""
        self._items: Final = _items(spool)

    def find(self, number: int) -> bytes | None:
        """The path of a directory that was visited after those asked for
        before, with a slash at both ends; ``None`` if it is too long.

        :raises TapekitError: the spool cannot be read.
        """
        for found, depth, name in self._items:
            del self._way[depth:]
            self._way.append(self._below(name))
            if found == number:
                return self._way[-1]
        raise AssertionError(f"directory {number} was not visited in this order")

    def _below(self, name: bytes) -> bytes | None:
        if not self._way:
            return b"/"
        above = self._way[-1]
        if above is None or len(above) + len(name) >= LONGEST_PATH:
            return None
        return above + name + b"/"


def _items(spool: Spool) -> Iterator[tuple[int, int, bytes]]:
    """Number, depth and name of each."""
    at, rest = 0, b""
    while at < spool.length:
        piece = bytes(spool.read(at, _WINDOW_BYTES))
        at += len(piece)
        data, here = rest + piece, 0
        while here + _HEAD.size <= len(data):
            number, depth, length = _HEAD.unpack_from(data, here)
            end = here + _HEAD.size + length
            if end > len(data):
                break
            yield number, depth, data[here + _HEAD.size : end]
            here = end
        rest = data[here:]
