"""What the commands over images say, and where.

The outcome goes to standard output, losses and a bar to standard error. The
one rule: every loss is a line of its own, whether or not there is a bar.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, final

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from tapekit.console import Printer, json_text, printable
from tapekit.hookspecs.data_engine import LogLevel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TextIO

    from tapekit.errors import TapekitError
    from tapekit.hookspecs.data_engine import FileResult
    from tapekit_dump.image_source import ImageSource

__all__ = ["ImageReport"]

_WORDS: Final = {LogLevel.ERROR: "error: ", LogLevel.WARNING: "warning: "}


@final
class ImageReport:
    """Prints; what a job tells its client arrives here too, as
    :class:`tapekit.hookspecs.data_engine.JobServices`.
    """

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out: Final = out
        self._err: Final = Printer(err)

    @property
    def history(self) -> None:
        """See :attr:`JobServices.history`: nobody wants any."""
        return

    def log(self, level: LogLevel, text: str) -> None:
        """See :meth:`JobServices.log`."""
        self._err.say(_WORDS.get(level, "") + text)

    def file_result(self, path: str, result: FileResult) -> None:
        """See :meth:`JobServices.file_result`; losses tell the same."""

    def break_off(self) -> None:
        """See :meth:`JobServices.break_off`: an image has no connection."""

    def differ(self, difference: TapekitError) -> None:
        """Print a difference."""
        self.say(str(difference))

    def say(self, text: str) -> None:
        """Print a line of the outcome."""
        # Listings may have millions of lines, and a console takes 20 us for one.
        self._out.write(f"{printable(text)}\n")

    def say_json(self, value: object) -> None:
        """Print the outcome as JSON."""
        self._out.write(f"{json_text(value, indent=2)}\n")

    def say_json_array(self, rows: Iterable[object]) -> None:
        """Print rows as one array of JSON, each as it comes."""
        separator = "["
        for row in rows:
            self._out.write(f"{separator}\n{json_text(row)}")
            separator = ","
        self._out.write("[]\n" if separator == "[" else "\n]\n")

    @contextmanager
    def bar(self, source: ImageSource, what: str) -> Iterator[None]:
        """Show how far a source has been taken, on a terminal."""
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
        with Progress(*columns, console=self._err.console, transient=True) as progress:
            task = progress.add_task(what, total=source.length)
            source.moved = lambda position: progress.update(task, completed=position)
            yield
