"""``tapekit dump dates``: what incremental backups build on.

The command reads the state store beside a running server and changes
nothing. Paths may hold any characters, so nothing in them is taken for a
character of control.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tapekit_dump.dates import Dump, DumpDates

__all__ = ["DateRow", "command_app", "date_rows"]

_NO_WRAPPING: Final = 100_000
"""Width in columns where no terminal sets one: wider than any row."""


class DateRow(msgspec.Struct, frozen=True):
    """A backup that others may build on."""

    path: str
    name: str
    """``DMP_NAME``, or nothing."""
    level: int
    found_by: str
    """``LEVEL`` or ``BASE_DATE``: how a backup names it that builds on it."""
    date_s: int
    """What names it in streams, seconds since 1970."""
    taken_at_s: int
    """The time of its data, seconds since 1970."""


def command_app(dates: Callable[[], DumpDates]) -> typer.Typer:
    """The commands; ``dates`` is asked when one of them runs."""
    app = typer.Typer(no_args_is_help=True, help="The dump engine.")
    # A group with one command would otherwise be that command.
    app.callback()(lambda: None)

    @app.command("dates")
    def list_dates(
        path: Annotated[
            str | None, typer.Argument(metavar="PATH", help="Only those of this path.")
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Answer with JSON.")] = False,
    ) -> None:
        """List the backups that incremental ones may build on."""
        rows = [row for row in date_rows(dates()) if path in {None, row.path}]
        if as_json:
            text = json.dumps([msgspec.structs.asdict(row) for row in rows], indent=2)
            _console().print(Text(text), soft_wrap=True)
        else:
            _say(rows)

    return app


def date_rows(dates: DumpDates) -> Iterator[DateRow]:
    """All backups that are remembered, by path, the earliest first."""
    for key, known in dates.all().items():
        path, _, name = key.partition("\n")
        found = [("LEVEL", dump) for dump in known.levels.values()]
        found += [("BASE_DATE", dump) for dump in known.tokens]
        for by, dump in sorted(found, key=_date):
            yield DateRow(path, name, dump.level, by, dump.date, dump.taken_at_s)


def _date(found: tuple[str, Dump]) -> int:
    return found[1].date


def _say(rows: Sequence[DateRow]) -> None:
    columns = ("Path", "Name", "Level", "Found by", "Date", "Data of")
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        times = (_time(row.date_s), _time(row.taken_at_s))
        cells = (row.path, row.name, str(row.level), row.found_by, *times)
        table.add_row(*(Text(_printable(cell)) for cell in cells))
    console = _console()
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        console.file.write(line.rstrip() + "\n")


def _time(seconds: int) -> str:
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%d %H:%M:%S}Z"


def _printable(cell: str) -> str:
    """A cell as text, with escapes for what a terminal cannot show."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in cell
    )


def _console() -> Console:
    """A console that breaks no lines where a program reads them."""
    return Console() if sys.stdout.isatty() else Console(width=_NO_WRAPPING)
