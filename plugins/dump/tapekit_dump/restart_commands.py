"""``tapekit vserver services ndmp restartable-backup``: the guide's commands.

They ask the running stack, which alone knows what is busy. The one rule: a
context is deleted only by its storage virtual machine and its identifier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from tapekit.console import say, say_json, say_table
from tapekit_dump.restart_operations import (
    CONTEXTS,
    DELETE_CONTEXT,
    ContextChoice,
    ContextName,
    ContextRow,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tapekit.hookspecs.lifecycle import Kernel

__all__ = ["restart_app"]

_Svm: TypeAlias = Annotated[
    str, typer.Option("--vserver", "-vserver", help="The storage virtual machine.")
]
_AnySvm: TypeAlias = Annotated[
    str | None,
    typer.Option("--vserver", "-vserver", help="One storage virtual machine; without it all."),
]
_Context: TypeAlias = Annotated[
    str, typer.Option("--context-id", "-context-id", help="The identifier of the context.")
]
_AnyContext: TypeAlias = Annotated[
    str | None,
    typer.Option("--context-id", "-context-id", help="One context, to be shown in full."),
]
_Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Answer with JSON.")]


def restart_app(kernel: Callable[[], Kernel]) -> typer.Typer:
    """The commands; ``kernel`` is asked when one of them runs."""
    app = typer.Typer(no_args_is_help=True, help="Backups that can be restarted.")

    @app.command("show")
    def show(
        vserver: _AnySvm = None, context_id: _AnyContext = None, as_json: _Json = False
    ) -> None:
        """List restartable contexts, or show one in full."""
        choice = ContextChoice(vserver=vserver, context_id=context_id)
        rows = kernel().management.call(CONTEXTS, choice).contexts
        if as_json:
            say_json(rows)
        elif context_id is not None:
            for row in rows:
                _say_in_full(row)
        else:
            _say_list(rows)

    @app.command("delete")
    def delete(vserver: _Svm, context_id: _Context) -> None:
        """Delete a restartable context, and let go of its Snapshot copy."""
        name = ContextName(vserver=vserver, context_id=context_id)
        kernel().management.call(DELETE_CONTEXT, name)
        say(f"deleted {context_id}")

    return app


def _say_list(rows: tuple[ContextRow, ...]) -> None:
    say_table(
        ("Vserver", "Context Identifier", "Is Cleanup Pending?"),
        ((row.vserver, row.context_id, _word(row.is_cleanup_pending)) for row in rows),
    )
    entries = "entry was" if len(rows) == 1 else "entries were"
    say(f"{len(rows)} {entries} displayed.")


def _say_in_full(row: ContextRow) -> None:
    listed = list(_fields(row))
    width = max(len(name) for name, _ in listed)
    for name, value in listed:
        say(f"{name:>{width}}: {value}")


def _fields(row: ContextRow) -> Iterator[tuple[str, str]]:
    """The fields under the guide's words."""
    yield "Vserver", row.vserver
    yield "Context Identifier", row.context_id
    yield "Volume Name", row.volume
    yield "Is Cleanup Pending?", _word(row.is_cleanup_pending)
    yield "Backup Engine Type", row.engine
    yield "Is Snapshot Copy Auto-created?", _word(row.is_snapshot_auto_created)
    yield "Dump Path", row.dump_path
    yield "Incremental Backup Level ID", str(row.level)
    yield "Dump Name", row.dump_name
    yield "Context Last Updated Time", str(row.updated_s)
    yield "Has Offset Map?", _word(row.has_offset_map)
    yield "Offset Verify", _word(row.offset_verify)
    yield "Is Context Restartable?", _word(row.is_restartable)
    yield "Is Context Busy?", _word(row.is_busy)
    yield "Restart Pass", str(row.restart_pass)
    yield "Status of Backup", str(row.status)
    yield "Snapshot Copy Name", row.snapshot
    yield "State of the Context", str(row.state)


def _word(claim: bool) -> str:
    return str(claim).lower()
