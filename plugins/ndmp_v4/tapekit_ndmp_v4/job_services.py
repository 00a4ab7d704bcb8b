"""What a running job tells the client: messages, results, file history.

All of it comes from the job's thread and waits for room on the connection,
so that a slow client slows the engine down instead of filling memory.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.data_engine import Ability
from tapekit_ndmp_v4 import file_history
from tapekit_ndmp_v4.messages import FhAddDirPost, FhAddFilePost, FhAddNodePost, LogFilePost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tapekit.hookspecs.data_engine import (
        DirectoryEntry,
        FileEntry,
        FileHistory,
        FileResult,
        LogLevel,
        NodeEntry,
        Pairs,
    )
    from tapekit_ndmp_v4.link import SessionLink
    from tapekit_ndmp_v4.wire import Message

__all__ = ["HistoryForm", "SessionServices", "wanted_history", "wants_unicode"]


class HistoryForm(enum.Enum):
    """How objects are named in file history; a backup has one form."""

    NODES = "names in their directories, attributes by node"
    PATHS = "whole paths"


_YES: Final = ("y", "yes", "t", "true", "1")
_FORMS: Final = {
    **dict.fromkeys((*_YES, "d"), HistoryForm.NODES),
    "f": HistoryForm.PATHS,
}
"""Values of HIST, whose F is a form, not the opposite of T."""


def wanted_history(environment: Pairs, abilities: Ability) -> HistoryForm | None:
    """The form that HIST asks for, as far as the engine has it; ``None``
    without file history.

    The last value says whether there is any. NDMJOB puts Y behind what its
    user has said, so an F before it still says which form.
    """
    forms = [_FORMS.get(value.strip().lower()) for name, value in environment if name == "HIST"]
    if not forms or forms[-1] is None:
        return None
    if HistoryForm.PATHS in forms and Ability.BACKUP_FH_FILE in abilities:
        return HistoryForm.PATHS
    return HistoryForm.NODES


def wants_unicode(environment: Pairs) -> bool:
    """Whether file history is to have Unicode names beside those of UNIX."""
    return dict(environment).get("NDMP_UNICODE_FH", "").strip().lower() in _YES


@final
class SessionServices:
    """The services of one job."""

    def __init__(
        self,
        link: SessionLink,
        history: HistoryForm | None = None,
        *,
        break_off: Callable[[], None],
        with_unicode: bool = False,
    ) -> None:
        """:param history: the form of file history, if the client wants it.
        :param break_off: breaks the data connection; callable from any thread.
        :param with_unicode: see :func:`wants_unicode`.
        """
        self._link: Final = link
        self._break_off: Final = break_off
        self.history: Final[FileHistory | None] = (
            None
            if history is None
            else _PostedHistory(
                link, wants_paths=history is HistoryForm.PATHS, with_unicode=with_unicode
            )
        )

    def log(self, level: LogLevel, text: str) -> None:
        """Send a message for the operator."""
        self._link.post_from_thread(self._link.log_message(level, text))

    def file_result(self, path: str, result: FileResult) -> None:
        """Tell what became of an entry of the restore list."""
        self._link.post_from_thread(LogFilePost(name=path, recovery_status=result.value))

    def break_off(self) -> None:
        """Break the data connection."""
        self._break_off()


@final
class _PostedHistory:
    """File history on its way to the client."""

    def __init__(self, link: SessionLink, *, wants_paths: bool, with_unicode: bool) -> None:
        self._link: Final = link
        self._with_unicode: Final = with_unicode
        self.wants_paths: Final = wants_paths

    def add_directories(self, entries: Sequence[DirectoryEntry]) -> None:
        bodies = file_history.encode_directories(entries, with_unicode=self._with_unicode)
        self._post(FhAddDirPost, bodies)

    def add_nodes(self, entries: Sequence[NodeEntry]) -> None:
        self._post(FhAddNodePost, file_history.encode_nodes(entries))

    def add_files(self, entries: Sequence[FileEntry]) -> None:
        bodies = file_history.encode_files(entries, with_unicode=self._with_unicode)
        self._post(FhAddFilePost, bodies)

    def await_sent(self) -> None:
        self._link.await_sent_from_thread()

    def _post(self, kind: type[Message], bodies: Iterable[bytes]) -> None:
        for body in bodies:
            self._link.post_history_from_thread(kind, body, file_history.entry_count(body))
