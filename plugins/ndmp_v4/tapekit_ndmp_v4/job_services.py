"""What a running job tells the client: messages, results, file history.

All of it comes from the job's thread and waits for room on the connection,
so that a slow client slows the engine down instead of filling memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit_ndmp_v4 import file_history
from tapekit_ndmp_v4.messages import FhAddDirPost, FhAddNodePost, LogFilePost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.data_engine import (
        DirectoryEntry,
        FileHistory,
        FileResult,
        LogLevel,
        NodeEntry,
    )
    from tapekit_ndmp_v4.link import SessionLink

__all__ = ["SessionServices"]


@final
class SessionServices:
    """The services of one job."""

    def __init__(self, link: SessionLink, *, history: bool) -> None:
        self._link: Final = link
        self.history: Final[FileHistory | None] = _PostedHistory(link) if history else None

    def log(self, level: LogLevel, text: str) -> None:
        """Send a message for the operator."""
        self._link.post_from_thread(self._link.log_message(level, text))

    def file_result(self, path: str, result: FileResult) -> None:
        """Tell what became of an entry of the restore list."""
        self._link.post_from_thread(LogFilePost(name=path, recovery_status=result.value))


@final
class _PostedHistory:
    """File history in the directory and node form."""

    def __init__(self, link: SessionLink) -> None:
        self._link: Final = link

    def add_directories(self, entries: Sequence[DirectoryEntry]) -> None:
        for body in file_history.encode_directories(entries):
            self._link.post_encoded_from_thread(FhAddDirPost, body)

    def add_nodes(self, entries: Sequence[NodeEntry]) -> None:
        for body in file_history.encode_nodes(entries):
            self._link.post_encoded_from_thread(FhAddNodePost, body)
