"""``tapekit dump dates``: what incremental backups build on.

The command reads the state store beside a running server and changes
nothing. Paths may hold any characters, so nothing in them is taken for a
character of control.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tapekit.console import say_json, say_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tapekit_dump.dates import Dump, DumpDates

__all__ = ["DateRow", "command_app", "date_rows"]


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
        asked = None if path is None else _shown(path)
        rows = [row for row in date_rows(dates()) if asked in {None, row.path}]
        if as_json:
            say_json(rows)
        else:
            say_table(("Path", "Name", "Level", "Found by", "Date", "Data of"), map(_cells, rows))

    return app


def date_rows(dates: DumpDates) -> Iterator[DateRow]:
    """All backups that are remembered, by path, the earliest first."""
    for key, known in dates.all().items():
        path, _, name = key.partition("\n")
        found = [("LEVEL", dump) for dump in known.levels.values()]
        found += [("BASE_DATE", dump) for dump in known.tokens]
        for by, dump in sorted(found, key=_date):
            yield DateRow(_shown(path), _shown(name), dump.level, by, dump.date, dump.taken_at_s)


def _shown(text: str) -> str:
    """A text of any bytes as one that can be printed."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _date(found: tuple[str, Dump]) -> int:
    return found[1].date


def _cells(row: DateRow) -> tuple[str, ...]:
    times = (_time(row.date_s), _time(row.taken_at_s))
    return (row.path, row.name, str(row.level), row.found_by, *times)


def _time(seconds: int) -> str:
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%d %H:%M:%S}Z"
