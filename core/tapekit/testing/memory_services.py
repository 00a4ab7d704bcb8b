"""What a running job tells the client, kept in lists.

Stands in for the protocol when an engine runs alone. The one rule: calls
come in from the job's thread and are kept in the order in which they came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.hookspecs.data_engine import (
        DirectoryEntry,
        FileEntry,
        FileResult,
        LogLevel,
        NodeEntry,
    )

__all__ = ["MemoryHistory", "MemoryServices"]


@final
class MemoryHistory:
    """File history in lists, one for each kind of entry."""

    def __init__(self, *, wants_paths: bool = False) -> None:
        self.wants_paths: Final = wants_paths
        self.files: Final[list[FileEntry]] = []
        self.directories: Final[list[DirectoryEntry]] = []
        self.nodes: Final[list[NodeEntry]] = []
        self.unnamed_nodes: Final[list[int]] = []
        """Nodes that came before any name of theirs; there must be none."""
        self.sent_nodes = 0
        """Entries of :attr:`nodes` that somebody has waited for."""
        self._named: Final[set[int]] = set()

    def add_directories(self, entries: Sequence[DirectoryEntry]) -> None:
        """See :meth:`FileHistory.add_directories`."""
        self.directories.extend(entries)
        self._named.update(node for _, node, _ in entries)

    def add_nodes(self, entries: Sequence[NodeEntry]) -> None:
        """See :meth:`FileHistory.add_nodes`."""
        self.nodes.extend(entries)
        self.unnamed_nodes.extend(e.node for e in entries if e.node not in self._named)

    def add_files(self, entries: Sequence[FileEntry]) -> None:
        """See :meth:`FileHistory.add_files`."""
        self.files.extend(entries)

    def await_sent(self) -> None:
        """See :meth:`FileHistory.await_sent`."""
        self.sent_nodes = len(self.nodes)


@final
class MemoryServices:
    """Collects messages and results, and file history if it is wanted."""

    def __init__(self, *, wants_history: bool = False, wants_paths: bool = False) -> None:
        """:param wants_paths: in which form file history is wanted."""
        self.collected: Final = MemoryHistory(wants_paths=wants_paths)
        self._wants_history: Final = wants_history
        self.messages: Final[list[tuple[LogLevel, str]]] = []
        self.results: Final[list[tuple[str, FileResult]]] = []
        self.breaking: Callable[[], None] = _no_connection
        """Breaks the connection; by default there is none."""

    @property
    def history(self) -> MemoryHistory | None:
        """See :attr:`JobServices.history`."""
        return self.collected if self._wants_history else None

    def log(self, level: LogLevel, text: str) -> None:
        """See :meth:`JobServices.log`."""
        self.messages.append((level, text))

    def file_result(self, path: str, result: FileResult) -> None:
        """See :meth:`JobServices.file_result`."""
        self.results.append((path, result))

    def break_off(self) -> None:
        """See :meth:`JobServices.break_off`; calls :attr:`breaking`."""
        self.breaking()


def _no_connection() -> None:
    """What there is to break off of a stream that has no connection."""
