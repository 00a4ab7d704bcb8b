"""How commands about tape devices print: as the guide shows them.

Also for plugins that stand on this one.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from tapekit.console import Printer, printable
from tapekit.hookspecs.commands import CommandGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["columns", "lone_command", "say_lines"]


def say_lines(lines: Iterable[str]) -> None:
    """Print lines."""
    printer = Printer(sys.stdout)
    for line in lines:
        printer.say(line)


def columns(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """The lines of a table: titles, rules below them, rows."""
    shown = [tuple(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(titles, *shown, strict=True)]
    rules = tuple("-" * width for width in widths)
    for row in (titles, rules, *shown):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def lone_command(name: str, summary: str, run: Callable[..., None]) -> CommandGroup:
    """A group that is a command itself, and so can stand beside those of other
    plugins under the same words.
    """
    app = typer.Typer(invoke_without_command=True)
    # Else options behind the first word would be words of a command below.
    app.callback(context_settings={"allow_interspersed_args": True})(run)
    return CommandGroup(name, summary, app)
