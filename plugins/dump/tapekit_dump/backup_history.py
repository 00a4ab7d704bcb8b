"""File history of a backup, gathered into batches.

The directories' names come first, in phase III, then the attributes of files
in phase IV, each with the offset of its header. The one rule: the name of an
object is handed over before its attributes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, TypeVar, final

from tapekit.hookspecs.data_engine import NodeEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.hookspecs.data_engine import DirectoryEntry, FileHistory
    from tapekit_dump.backup_offsets import OffsetCollector
    from tapekit_dump.headers import Header, Inode

__all__ = ["HistoryBatches"]

_BATCH: Final = 1000
_HEAD: Final = struct.Struct("<IHBB")


@final
class HistoryBatches:
    """Gathers entries for a client's file history."""

    def __init__(self, history: FileHistory, root: int) -> None:
        self._history: Final = history
        self._names: Final[list[DirectoryEntry]] = [(b".", root, root), (b"..", root, root)]
        self.offsets: OffsetCollector | None = None
        """What the offset map is gathered in, if there is to be one."""
        self.nodes: Final[list[NodeEntry]] = []
        """Attributes that wait for :meth:`settle`; the loop for small files
        appends to it directly."""

    def add_names(self, content: bytes, directory: int, *, skip: int = 0) -> None:
        """The names in entries that this engine wrote, without the first
        ``skip`` of them.
        """
        names, unpack, at, end = self._names, _HEAD.unpack_from, 0, len(content)
        for _ in range(skip if content else 0):
            at += unpack(content, at)[1]
        while at < end:
            number, length, _, count = unpack(content, at)
            names.append((content[at + 8 : at + 8 + count], number, directory))
            at += length
        if len(names) >= _BATCH:
            _hand_over(names, self._history.add_directories)

    def add_header(self, header: Header, position: int) -> None:
        """The attributes of a directory."""
        self.nodes.append(
            NodeEntry(
                header.inode,
                header.mode,
                header.size,
                header.mtime_s,
                header.atime_s,
                header.ctime_s,
                header.uid,
                header.gid,
                header.links,
                position,
            )
        )
        self.settle()

    def add_inode(self, number: int, inode: Inode, size: int, position: int) -> None:
        """The attributes of something that is not a directory."""
        self.nodes.append(
            NodeEntry(
                number,
                inode.mode,
                size,
                inode.mtime_us // 1_000_000,
                inode.atime_us // 1_000_000,
                inode.ctime_s,
                inode.uid,
                inode.gid,
                inode.links,
                position,
            )
        )
        self.settle()

    def settle(self) -> None:
        """Hand over what is enough for a batch."""
        if len(self.nodes) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Hand over all that is gathered."""
        if self.offsets is not None:
            self.offsets.note(self.nodes)
        _hand_over(self._names, self._history.add_directories)
        _hand_over(self.nodes, self._history.add_nodes)


T = TypeVar("T")


def _hand_over(entries: list[T], take: Callable[[Sequence[T]], None]) -> None:
    """Give all entries away, in batches, and forget them."""
    for start in range(0, len(entries), _BATCH):
        take(entries[start : start + _BATCH])
    entries.clear()
