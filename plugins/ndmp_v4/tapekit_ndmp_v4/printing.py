"""How commands print: tables, pairs of names and values, JSON.

What is printed is the same whether a person or a program reads it, but for
the width of a terminal. The one rule: nothing that came from a client is
taken for markup or for characters of control.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["say", "say_json", "say_pairs", "say_table"]

_NO_WRAPPING: Final = 100_000
"""Width in columns where no terminal sets one: wider than any row."""


def say(text: str) -> None:
    """Print a line."""
    _console().print(Text(_printable(text)), soft_wrap=True)


def say_json(value: object) -> None:
    """Print a value as JSON."""
    text = msgspec.json.format(msgspec.json.encode(value)).decode()
    _console().print(Text(text), soft_wrap=True)


def say_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows in columns, without blanks at the ends of lines."""
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(_printable(cell)) for cell in row))
    console = _console()
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        console.file.write(line.rstrip() + "\n")


def say_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Print names and values, the names flush right before the colon."""
    listed = list(pairs)
    width = max(len(name) for name, _ in listed)
    for name, value in listed:
        say(f"{name:>{width}}: {value}".rstrip())


def _printable(text: str) -> str:
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode()
        for char in text
    )


def _console() -> Console:
    """A console that breaks no lines where a program reads them."""
    return Console() if sys.stdout.isatty() else Console(width=_NO_WRAPPING)
