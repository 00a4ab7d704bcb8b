"""File history of a backup, gathered into batches.

The directories' names come first, in phase III, then the attributes of files
in phase IV, each with the offset of its header. The one rule: the name of an
object is handed over before its attributes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.data_engine import NodeEntry

if TYPE_CHECKING:
    import os

    from tapekit.hookspecs.data_engine import DirectoryEntry, FileHistory
    from tapekit_dump.headers import Header, Inode

__all__ = ["HistoryBatches"]

_BATCH: Final = 1000
_HEAD: Final = struct.Struct("<IHBB")
_DOTS: Final = (b".", b"..")


@final
class HistoryBatches:
    """Gathers entries for a client's file history."""

    def __init__(self, history: FileHistory, root: int) -> None:
        self._history: Final = history
        self._root: Final = root
        self._names: list[DirectoryEntry] = [(b".", root, root), (b"..", root, root)]
        self._nodes: list[NodeEntry] = []

    def add_content(self, content: memoryview, directory: int) -> None:
        """The names in whole blocks of a directory that this engine wrote."""
        names, at, end = self._names, 0, len(content)
        while at < end:
            number, length, _, count = _HEAD.unpack_from(content, at)
            name = bytes(content[at + 8 : at + 8 + count])
            if name not in _DOTS:
                names.append((name, number, directory))
            at += length
        if len(names) >= _BATCH:
            self._flush_names()

    def add_header(self, header: Header, position: int) -> None:
        """The attributes of a directory."""
        self._nodes.append(
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

    def add_status(self, number: int, status: os.stat_result, ctime_s: int, position: int) -> None:
        """The attributes of a regular file."""
        mode, _, _, links, uid, gid, size, *_ = status
        atime_s, mtime_s = int(status.st_atime), 0
        self._nodes.append(
            NodeEntry(number, mode, size, mtime_s, atime_s, ctime_s, uid, gid, links, position)
        )
        if len(self._nodes) >= _BATCH:
            self.flush()

    def add_inode(self, number: int, inode: Inode, size: int, position: int) -> None:
        """The attributes of anything else."""
        mtime_s, atime_s = inode.mtime_us // 1_000_000, inode.atime_us // 1_000_000
        self._nodes.append(
            NodeEntry(
                number, inode.mode, size, mtime_s, atime_s, inode.ctime_s, inode.uid, inode.gid,
                inode.links, position,
            )
        )  # fmt: skip

    def flush(self) -> None:
        """Hand over all that is gathered."""
        self._flush_names()
        if self._nodes:
            nodes, self._nodes = self._nodes, []
            self._history.add_nodes(nodes)

    def _flush_names(self) -> None:
        while self._names:
            batch, self._names = self._names[:_BATCH], self._names[_BATCH:]
            self._history.add_directories(batch)
