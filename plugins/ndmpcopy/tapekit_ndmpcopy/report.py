"""What the command prints: a bar and the servers' words, then the outcome.

Words and the bar go to standard error, the outcome to standard output, so
that a program that reads the outcome gets nothing else. The one rule: the
outcome is printed for failures as well, and says the same in both forms.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, final

import msgspec
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from tapekit.console import Printer
from tapekit_ndmp_v4.numbers import DataUnsupported, LogType
from tapekit_ndmpcopy.words import Words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TextIO

    from tapekit.errors import TapekitError
    from tapekit_ndmp_v4.client import CopyResult
    from tapekit_ndmp_v4.messages import DataGetStateReply
    from tapekit_ndmpcopy.order import CopyOrder

__all__ = ["Report", "Summary", "summarize"]

_NOT_SHOWN: Final = LogType.DEBUG.name


@final
class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a copy, as ``--json`` prints it."""

    status: str
    """``copied`` or ``failed``."""
    source: str
    destination: str
    level: int
    data_connection: str | None
    """The kind of address that the data went by."""
    bytes: int | None
    """Bytes of the stream."""
    seconds: float | None
    error: str | None
    """The identifier that ``tapekit explain`` takes."""
    message: str | None
    action: str | None
    words: tuple[Words, ...]
    """The last log messages of both servers."""


def summarize(
    order: CopyOrder, words: Sequence[Words], result: CopyResult | TapekitError
) -> Summary:
    """The outcome of an order."""
    error = result if isinstance(result, Exception) else None
    done = None if isinstance(result, Exception) else result
    return Summary(
        status="copied" if done else "failed",
        source=str(order.source),
        destination=str(order.destination),
        level=order.level,
        data_connection=done.kind.name if done else None,
        bytes=done.bytes_processed if done else None,
        seconds=round(done.seconds, 3) if done else None,
        error=error.id if error else None,
        message=str(error) if error else None,
        action=error.action if error else None,
        words=tuple(words),
    )


@final
class Report:
    """Prints one copy."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out: Final = Printer(out)
        self._err: Final = Printer(err)
        self._progress: Progress | None = None

    @contextmanager
    def bar(self) -> Iterator[None]:
        """Show how far the copy is, on a terminal."""
        if not self._err.console.is_terminal:
            yield
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._err.console, transient=True) as self._progress:
            self._progress.add_task("copying", total=None)
            yield
        self._progress = None

    def progressed(self, state: DataGetStateReply) -> None:
        """Move the bar to where the source says that it is."""
        if self._progress is None:
            return
        is_known = not state.unsupported & DataUnsupported.EST_BYTES_REMAIN
        done = state.bytes_processed
        total = done + state.est_bytes_remain if is_known else None
        self._progress.update(self._progress.task_ids[0], completed=done, total=total)

    def said(self, words: Words) -> None:
        """Print what a server says; what is for its makers is left out."""
        if words.level != _NOT_SHOWN:
            self.note(f"{words.side}: {words.text}")

    def note(self, text: str) -> None:
        """Print a line beside the outcome."""
        self._err.say(text)

    def outcome(self, summary: Summary, *, as_json: bool) -> None:
        """Print the outcome; in words only of what went well, since errors
        are printed like those of any command.
        """
        if as_json:
            self._out.say_json(summary)
        elif summary.bytes is not None and summary.seconds is not None:
            self._out.say(_sentence(summary, summary.bytes, summary.seconds), wraps=True)


def _sentence(summary: Summary, length: int, seconds: float) -> str:
    rate = decimal(int(length / seconds)) if seconds else decimal(length)
    return (
        f"copied {summary.source} to {summary.destination}, level {summary.level}: "
        f"{decimal(length)} in {seconds:.1f} s ({rate}/s) over {summary.data_connection}"
    )
