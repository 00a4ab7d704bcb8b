"""File history of a backup, gathered into batches.

Attributes are numbers in one array, ten for an object, so that the loops over
small files append to it at no cost that shows. How objects are named differs:
here by directory and node, all names in phase III before the attributes of
files in phase IV; in :mod:`tapekit_dump.backup_paths` by path. The one rule:
the name of an object is handed over before its attributes, or with them.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from array import array
from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.data_engine import NodeTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.data_engine import DirectoryEntry, FileHistory
    from tapekit_dump.backup_offsets import OffsetCollector
    from tapekit_dump.headers import Header, Inode
    from tapekit_dump.spool import Spool

__all__ = ["BATCH", "HistoryBatches", "NodeHistory"]

BATCH: Final = 960
"""Entries that are handed over together: attributes of so many are just below
64 KiB in the form of the protocol."""

_HEAD: Final = struct.Struct("<IHBB")


class HistoryBatches(ABC):
    """Gathers entries for a client's file history; subclasses name them."""

    def __init__(self) -> None:
        self.offsets: OffsetCollector | None = None
        """What the offset map is gathered in, if there is to be one."""
        self.nodes: Final[array[int]] = array("q")
        """Attributes that wait for :meth:`settle`, as :class:`NodeTable` has
        them; the loop for small files appends to it directly."""

    @abstractmethod
    def add_names(self, content: bytes, directory: int, *, skip: int = 0) -> None:
        """The names in entries that this engine wrote, without the first
        ``skip`` of them.
        """

    @abstractmethod
    def begin_files(self, first: int, names: Sequence[bytes], directory: bytes) -> None:
        """The files of a step follow, numbered from ``first`` on.

        :param directory: the path of the directory that they are in, from the
            backup's root down.
        """

    @abstractmethod
    def hand_over(self, nodes: NodeTable) -> None:
        """Give the client the next attributes."""

    @abstractmethod
    def await_sent(self) -> None:
        """Wait until all that was handed over is on its way to the client."""

    def add_header(self, header: Header, position: int) -> None:
        """The attributes of a directory."""
        self.nodes.extend(
            (
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
        self.nodes.extend(
            (
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
        """Hand over what is enough for batches."""
        while len(self.nodes) >= BATCH * NodeTable.WIDTH:
            self._hand_over(BATCH)

    def flush(self) -> None:
        """Hand over all that is gathered."""
        self.settle()
        self._hand_over(BATCH)

    def finish(self, records: Spool) -> None:
        """Everything has been written.

        :param records: the directories of the dump.
        :raises TapekitError: a spool cannot be read.
        """
        del records
        self.flush()

    def close(self) -> None:
        """Free what is held."""
        if self.offsets is not None:
            self.offsets.close()

    def _hand_over(self, most: int) -> None:
        end = most * NodeTable.WIDTH
        nodes = NodeTable(self.nodes[:end])
        del self.nodes[:end]
        if self.offsets is not None:
            self.offsets.note(nodes)
        self.hand_over(nodes)


@final
class NodeHistory(HistoryBatches):
    """Names in their directories, and attributes by node."""

    def __init__(self, history: FileHistory, root: int) -> None:
        super().__init__()
        self._history: Final = history
        self._names: Final[list[DirectoryEntry]] = [(b".", root, root), (b"..", root, root)]

    def add_names(self, content: bytes, directory: int, *, skip: int = 0) -> None:
        """See :class:`HistoryBatches`."""
        names, unpack, at, end = self._names, _HEAD.unpack_from, 0, len(content)
        for _ in range(skip if content else 0):
            at += unpack(content, at)[1]
        while at < end:
            number, length, _, count = unpack(content, at)
            names.append((content[at + 8 : at + 8 + count], number, directory))
            at += length
        while len(names) >= BATCH:
            self._hand_over_names()

    def begin_files(self, first: int, names: Sequence[bytes], directory: bytes) -> None:
        """See :class:`HistoryBatches`; they have been named in phase III."""

    def await_sent(self) -> None:
        """See :class:`HistoryBatches`."""
        self._history.await_sent()

    def resume(self) -> None:
        """The client has the names already, from an earlier run of the backup."""
        self._names.clear()

    def hand_over(self, nodes: NodeTable) -> None:
        """See :class:`HistoryBatches`."""
        while self._names:
            self._hand_over_names()
        if nodes:
            self._history.add_nodes(nodes)

    def _hand_over_names(self) -> None:
        names = self._names[:BATCH]
        del self._names[:BATCH]
        self._history.add_directories(names)
