"""``tapekit state``: what the stack remembers.

Keys and sizes are shown, values are not: only the plugin that owns a
namespace knows what they mean, and some are sealed secrets. Keys may hold
names of files, so nothing in them is taken for a character of control.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tapekit_state_sqlite.store import SqliteStateStore

__all__ = ["KeyRow", "command_app", "key_rows"]

_NO_WRAPPING: Final = 100_000
"""Width in columns where no terminal sets one: wider than any row."""


class KeyRow(msgspec.Struct, frozen=True):
    """One value of a namespace."""

    key: str
    length_bytes: int


def command_app(store: SqliteStateStore) -> typer.Typer:
    """The commands over a store whose file is known when one of them runs."""
    app = typer.Typer(no_args_is_help=True, help="What is remembered over restarts.")
    # A group with one command would otherwise be that command.
    app.callback()(lambda: None)

    @app.command("list")
    def list_values(
        namespace: Annotated[
            str | None, typer.Argument(help="List the keys of this namespace.")
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Answer with JSON.")] = False,
    ) -> None:
        """List the namespaces, or the keys of one."""
        if namespace is None:
            _say(("Namespace", "Keys", "Bytes"), store.namespaces(), as_json=as_json)
        else:
            _say(("Key", "Bytes"), key_rows(store, namespace), as_json=as_json)

    return app


def key_rows(store: SqliteStateStore, namespace: str) -> Sequence[KeyRow]:
    """The keys of a namespace, in their order."""
    return [KeyRow(key, len(value)) for key, value in store.items(namespace).items()]


def _say(columns: Iterable[str], rows: Sequence[msgspec.Struct], *, as_json: bool) -> None:
    if as_json:
        # Unlike others, this encoder writes names of files that are not UTF-8.
        text = json.dumps([msgspec.structs.asdict(row) for row in rows], indent=2)
        _console().print(Text(text), soft_wrap=True)
        return
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(_printable(cell)) for cell in msgspec.structs.astuple(row)))
    _say_table(table)


def _say_table(table: Table) -> None:
    """Print a table without the blanks that fill up its last column."""
    console = _console()
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        console.file.write(line.rstrip() + "\n")


def _printable(cell: object) -> str:
    """A cell as text, with escapes for what a terminal cannot show."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(cell)
    )


def _console() -> Console:
    """A console that breaks no lines where a program reads them."""
    return Console() if sys.stdout.isatty() else Console(width=_NO_WRAPPING)
