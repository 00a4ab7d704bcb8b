"""How commands print: lines, tables, JSON.

What is printed is the same whether a person or a program reads it, apart from
colour and wrapping, which only a terminal gets. The one rule: nothing that
came from a file, a client, a server or a plugin is taken for markup, or
reaches a terminal as a character that it would obey.
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Final, final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TextIO

__all__ = ["Printer", "json_text", "printable", "say", "say_json", "say_table"]

_NO_WRAPPING: Final = 100_000
"""Width in columns where no terminal sets one: wider than any row."""

_PERHAPS_OBEYED: Final = re.compile(r"[^ -~]")
_PERHAPS_OBEYED_IN_JSON: Final = re.compile(r"[^\n -~]")


def printable(text: str) -> str:
    """A text on one line, with escapes for what moves a cursor, changes a
    colour or the order of letters, or is no UTF-8.
    """
    return _PERHAPS_OBEYED.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    char = found[0]
    return char if char.isprintable() else char.encode("unicode_escape").decode()


def json_text(value: object, indent: int | None = None) -> str:
    """A value as JSON: structures, rows, and what they are made of.

    What a terminal would obey is escaped as JSON escapes it, and so are the
    bytes of names that are no UTF-8, as Python reads them. Whoever parses the
    text gets what was given.

    :param value: may hold :class:`msgspec.Raw`, which is JSON already, if all
        names in it are UTF-8.
    :param indent: blanks a level, over several lines; else all on one.
    """
    try:
        encoded = msgspec.json.encode(value)
    except UnicodeEncodeError:
        # Unlike msgspec's, this encoder writes names that are no UTF-8.
        separators = (",", ":") if indent is None else None
        plain = msgspec.to_builtins(value, str_keys=True)
        return json.dumps(plain, indent=indent, separators=separators)
    if indent is not None:
        encoded = msgspec.json.format(encoded, indent=indent)
    return _PERHAPS_OBEYED_IN_JSON.sub(_escaped_in_json, encoded.decode())


def _escaped_in_json(found: re.Match[str]) -> str:
    char = found[0]
    return char if char.isprintable() else json.dumps(char)[1:-1]


@final
class Printer:
    """Prints to one stream."""

    def __init__(self, file: TextIO) -> None:
        is_terminal = file.isatty()
        self.console: Final = Console(
            file=file,
            force_terminal=is_terminal,
            width=None if is_terminal else _NO_WRAPPING,
            markup=False,
            emoji=False,
            highlight=False,
        )
        """For bars; all else goes through the methods."""

    def say(self, text: str, *, wraps: bool = False) -> None:
        """Print a line.

        :param wraps: break it between words on a terminal.
        """
        self.console.print(Text(printable(text)), soft_wrap=not wraps)

    def say_json(self, value: object) -> None:
        """Print a value as JSON over several lines."""
        self.console.print(Text(json_text(value, indent=2)), soft_wrap=True)

    def say_table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[str]],
        *,
        right: Sequence[str] = (),
        has_heading: bool = True,
    ) -> None:
        """Print rows in columns, without blanks at the ends of lines.

        :param right: the columns whose cells stand flush right, as numbers do.
        """
        table = Table(box=None, pad_edge=False, header_style="bold", show_header=has_heading)
        for column in columns:
            heading = Text(printable(column))
            table.add_column(heading, justify="right" if column in right else "left")
        for row in rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        with self.console.capture() as captured:
            self.console.print(table)
        for line in captured.get().splitlines():
            self.console.file.write(line.rstrip() + "\n")


def say(text: str) -> None:
    """Print a line to standard output."""
    Printer(sys.stdout).say(text)


def say_json(value: object) -> None:
    """Print a value as JSON to standard output."""
    Printer(sys.stdout).say_json(value)


def say_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()
) -> None:
    """Print rows in columns to standard output; see :meth:`Printer.say_table`."""
    Printer(sys.stdout).say_table(columns, rows, right=right)
