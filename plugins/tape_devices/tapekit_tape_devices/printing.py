"""How commands about tape devices print: lines, columns, JSON.

Also for plugins that stand on this one. The one rule: what a device says of
itself is printed without characters of control.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import typer

from tapekit.hookspecs.commands import CommandGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["columns", "lone_command", "say", "say_json"]


def say(lines: Iterable[str]) -> None:
    """Print lines."""
    for line in lines:
        typer.echo("".join(char if char.isprintable() else "?" for char in line))


def say_json(value: object) -> None:
    """Print a value as JSON."""
    typer.echo(msgspec.json.format(msgspec.json.encode(value)).decode())


def columns(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """The lines of a table: titles, rules below them, rows."""
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    rules = tuple("-" * width for width in widths)
    for row in (titles, rules, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def lone_command(name: str, summary: str, run: Callable[..., None]) -> CommandGroup:
    """A group that is a command itself, and so can stand beside those of other
    plugins under the same words.
    """
    app = typer.Typer(invoke_without_command=True)
    app.callback()(run)
    return CommandGroup(name, summary, app)
