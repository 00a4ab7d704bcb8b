"""File history with whole paths.

Directories are named as the walk has visited them, files by the step of the
plan that they are written in; files with several names wait until the end.
The one rule: an object that is written has an entry for each name that the
dump's directories have for it, unless the path is longer than any restore
list could have.
"""

from __future__ import annotations

import stat
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit.hookspecs.data_engine import LONGEST_PATH
from tapekit_dump.backup_history import BATCH, HistoryBatches
from tapekit_dump.backup_report import readable
from tapekit_dump.directory_paths import DirectoryPaths
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.further_names import FurtherNames, names_by_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.data_engine import FileEntry, FileHistory, NodeEntry, NodeTable
    from tapekit_dump.backup_report import BackupReport
    from tapekit_dump.headers import Header
    from tapekit_dump.spool import Spool, SpoolRoom

__all__ = ["PathHistory"]


class _Run(NamedTuple):
    """Objects of one directory, numbered one after the other."""

    first: int
    stop: int
    prefix: bytes | None
    """The directory's path with a slash at both ends; ``None`` if it is too long."""
    names: Sequence[bytes]


@final
class PathHistory(HistoryBatches):
    """Paths with attributes."""

    def __init__(self, history: FileHistory, room: SpoolRoom, report: BackupReport) -> None:
        super().__init__()
        self._history: Final = history
        self._report: Final = report
        self.directories: Final = DirectoryPaths(room)
        """To be told of each directory that the walk visits."""
        self._visited: Final = self.directories.reader()
        self._further: Final = FurtherNames(room)
        self._runs: Final[deque[_Run]] = deque()
        self._files: Final[list[FileEntry]] = []

    def add_names(self, content: bytes, directory: int, *, skip: int = 0) -> None:
        """See :class:`HistoryBatches`; names come with their attributes."""

    def add_header(self, header: Header, position: int) -> None:
        """See :class:`HistoryBatches`."""
        path = self._visited.find(header.inode)
        self._runs.append(_Run(header.inode, header.inode + 1, path, (b"",)))
        super().add_header(header, position)

    def begin_files(self, first: int, names: Sequence[bytes], directory: bytes) -> None:
        """See :class:`HistoryBatches`."""
        prefix = b"/%b/" % directory if directory else b"/"
        is_short = len(prefix) <= LONGEST_PATH
        self._runs.append(_Run(first, first + len(names), prefix if is_short else None, names))

    def await_sent(self) -> None:
        """See :class:`HistoryBatches`."""
        self._history.await_sent()

    def hand_over(self, nodes: NodeTable) -> None:
        """See :class:`HistoryBatches`."""
        first = stop = 0
        prefix: bytes | None = None
        names: Sequence[bytes] = ()
        for node in nodes:
            while not first <= node.node < stop:
                first, stop, prefix, names = self._runs[0]
                if not first <= node.node < stop:
                    self._runs.popleft()
            if stat.S_ISDIR(node.mode):
                self._add(prefix and (prefix[:-1] or prefix), b"", node)
            elif node.links > 1:
                self._further.add(node)
            else:
                self._add(prefix, names[node.node - first], node)
        self._hand_over_files()

    def finish(self, records: Spool) -> None:
        """See :class:`HistoryBatches`."""
        self.flush()
        if self._further:
            self._name_again(records)

    def close(self) -> None:
        """See :class:`HistoryBatches`."""
        super().close()
        self.directories.close()
        self._further.close()

    def _name_again(self, records: Spool) -> None:
        """Send the files with several names, in the order of directories."""
        visited, here, prefix = self.directories.reader(), 0, None
        for directory, names in names_by_directory(records):
            if directory != here:
                here, prefix = directory, visited.find(directory)
            for name, number in names:
                node = self._further.find(number)
                if node is not None:
                    self._add(prefix, name, node)
            if len(self._files) >= BATCH:
                self._hand_over_files()
        self._hand_over_files()

    def _add(self, prefix: bytes | None, name: bytes, node: NodeEntry) -> None:
        if prefix is not None and len(prefix) + len(name) <= LONGEST_PATH:
            self._files.append((prefix + name, node))
            return
        self._report.warn_once(
            CATALOGUE.error(
                "path-too-long-for-history",
                name=readable(name),
                number=node.node,
                limit=LONGEST_PATH,
            )
        )

    def _hand_over_files(self) -> None:
        for start in range(0, len(self._files), BATCH):
            self._history.add_files(self._files[start : start + BATCH])
        self._files.clear()
