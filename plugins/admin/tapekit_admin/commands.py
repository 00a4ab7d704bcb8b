"""``tapekit admin``: whether the stack runs, and any operation by its name.

Other plugins have commands of their own for their operations; ``call`` is
for programs and for whoever looks for what a command does.
"""

from __future__ import annotations

import datetime as dt
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final, final

import msgspec
import typer

from tapekit.console import Printer, json_text, say, say_json, say_table
from tapekit.hookspecs.operations import Feed, NoRequest, Privilege
from tapekit_admin.errors import CATALOGUE
from tapekit_admin.operations import STATUS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.operations import OfferedOperation, Operation
    from tapekit_admin.operations import StackStatus

__all__ = ["OperationRow", "command_app"]

_Json = Annotated[bool, typer.Option("--json", help="Answer with JSON.")]


class OperationRow(msgspec.Struct, frozen=True, kw_only=True):
    """An operation, as ``tapekit admin operations`` lists it."""

    name: str
    privilege: str
    answers: str
    """``one``, or ``many`` for a feed."""
    request: tuple[str, ...]
    """The fields of its request."""
    summary: str


def command_app(kernel: Callable[[], Kernel]) -> typer.Typer:
    """The commands; ``kernel`` is asked when one of them runs."""
    app = typer.Typer(no_args_is_help=True, help="The running stack.")
    commands = _Commands(kernel)
    app.command()(commands.status)
    app.command("operations")(commands.list_operations)
    app.command()(commands.call)
    return app


@final
class _Commands:
    """One method a command; the docstring is its help."""

    def __init__(self, kernel: Callable[[], Kernel]) -> None:
        self._kernel: Final = kernel

    def status(self, as_json: _Json = False) -> None:
        """Tell what runs here, and since when."""
        status = self._kernel().management.call(STATUS, NoRequest())
        if as_json:
            say_json(status)
        else:
            Printer(sys.stdout).say_table(("", ""), _status_rows(status), has_heading=False)

    def list_operations(self, as_json: _Json = False) -> None:
        """List what a running stack of this file can be asked."""
        offered = self._kernel().operations
        rows = [_row(offered[name].operation) for name in sorted(offered)]
        if as_json:
            say_json(rows)
            return
        say_table(
            ("Operation", "Privilege", "Answers", "Request", "What it does"),
            (
                (row.name, row.privilege, row.answers, ", ".join(row.request), row.summary)
                for row in rows
            ),
        )

    def call(
        self,
        operation: Annotated[str, typer.Argument(help="Name of the operation.")],
        request: Annotated[str, typer.Argument(help="The request, a JSON object.")] = "{}",
        advanced: Annotated[
            bool, typer.Option("--advanced", help="Ask for the advanced privilege level.")
        ] = False,
    ) -> None:
        """Ask the running stack for an operation, and print its answer as JSON."""
        offered = self._offered(operation).operation
        asked = _request(offered, request)
        privilege = Privilege.ADVANCED if advanced else Privilege.ADMIN
        management = self._kernel().management
        if not isinstance(offered, Feed):
            say_json(management.call(offered, asked, privilege))
            return
        try:
            for item in management.follow(offered, asked, privilege):
                say(json_text(item))
        except KeyboardInterrupt:
            raise typer.Exit from None

    def _offered(self, name: str) -> OfferedOperation:
        operations = self._kernel().operations
        if name not in operations:
            known = ", ".join(sorted(operations)) or "none"
            raise CATALOGUE.error("unknown-operation", operation=name, known=known)
        return operations[name]


def _request(operation: Operation[Any, Any] | Feed[Any, Any], text: str) -> msgspec.Struct:
    kind: type[msgspec.Struct] = operation.request
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        raise CATALOGUE.error("bad-request", operation=operation.name, reason=error) from None


def _row(operation: Operation[Any, Any] | Feed[Any, Any]) -> OperationRow:
    return OperationRow(
        name=operation.name,
        privilege=operation.privilege.value,
        answers="many" if isinstance(operation, Feed) else "one",
        request=operation.request.__struct_fields__,
        summary=operation.summary,
    )


def _status_rows(status: StackStatus) -> Sequence[tuple[str, str]]:
    started = dt.datetime.fromtimestamp(status.started_s, dt.UTC)
    return (
        ("Node", status.node),
        ("Folder", status.directory),
        ("Version", status.version),
        ("Process", str(status.process)),
        ("Started", started.isoformat(timespec="seconds").replace("+00:00", "Z")),
        ("State", "draining" if status.is_draining else "running"),
    )
