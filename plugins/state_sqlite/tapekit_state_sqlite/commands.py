"""``tapekit state``: what the stack remembers.

Keys and sizes are shown, values are not: only the plugin that owns a
namespace knows what they mean, and some are sealed secrets. Keys may hold
names of files, so nothing in them is taken for a character of control.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tapekit.console import say_json, say_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit_state_sqlite.store import SqliteStateStore

__all__ = ["KeyRow", "command_app", "key_rows"]


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


def _say(columns: Sequence[str], rows: Sequence[msgspec.Struct], *, as_json: bool) -> None:
    if as_json:
        say_json(rows)
    else:
        say_table(columns, (list(map(str, msgspec.structs.astuple(row))) for row in rows))
