"""``tapekit snapmirror``: relationships between volumes, by their destinations.

The running server has the relationships, and the commands ask it. Transfers
go on in the server when their command has ended, unless it waits for them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias, final

import typer

from tapekit.console import say, say_json, say_table
from tapekit.hookspecs.operations import NoRequest
from tapekit_snapmirror import operations as ops
from tapekit_snapmirror.errors import CATALOGUE
from tapekit_snapmirror.relationships import RelationshipKind, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit_snapmirror.relationships import Relationship

__all__ = ["command_app"]

_Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Answer with JSON.")]
_Source: TypeAlias = Annotated[str, typer.Argument(metavar="SOURCE", help="As /vserver/volume.")]
_Destination: TypeAlias = Annotated[
    str, typer.Argument(metavar="DESTINATION", help="As /vserver/volume.")
]
_Kind: TypeAlias = Annotated[
    RelationshipKind,
    typer.Option("--type", help="A mirror, or a vault, which keeps Snapshot copies."),
]
_Wait: TypeAlias = Annotated[bool, typer.Option("--wait", help="Wait for the transfer's end.")]
_Seeded: TypeAlias = Annotated[
    bool, typer.Option("--seeded", help="Follow what was restored from an SMTape image.")
]
_Discard: TypeAlias = Annotated[
    bool,
    typer.Option("--discard-copies", help="Give up copies of a vault that the source has not."),
]


def command_app(kernel: Callable[[], Kernel]) -> typer.Typer:
    """The commands; ``kernel`` is asked when one of them runs."""
    commands = _Commands(kernel)
    app = typer.Typer(no_args_is_help=True)
    app.command("create")(commands.create)
    app.command("show")(commands.show)
    app.command("initialize")(commands.initialize)
    app.command("update")(commands.update)
    app.command("break")(commands.break_off)
    app.command("resync")(commands.resync)
    app.command("wait")(commands.wait)
    app.command("abort")(commands.abort)
    app.command("delete")(commands.delete)
    return app


@final
class _Commands:
    """One method a command; the docstring is its help."""

    def __init__(self, kernel: Callable[[], Kernel]) -> None:
        self._kernel: Final = kernel

    def create(
        self, source: _Source, destination: _Destination, kind: _Kind = RelationshipKind.MIRROR
    ) -> None:
        """Make a relationship; DESTINATION is a volume of type DP."""
        request = ops.CreateRequest(source, destination, kind)
        made = self._kernel().management.call(ops.CREATE, request)
        say(f"{made.destination} is a {made.kind.value} of {made.source}, {made.state.value}")

    def show(self, as_json: _Json = False) -> None:
        """Show relationships, and how their last transfers ended."""
        rows = self._kernel().management.call(ops.SHOW, NoRequest()).relationships
        if as_json:
            say_json(rows)
            return
        say_table(
            ("SOURCE", "DESTINATION", "TYPE", "STATE", "STATUS", "LAST TRANSFER", "BYTES", "ERROR"),
            (_cells(row) for row in rows),
            right=("BYTES",),
        )

    def initialize(
        self,
        destination: _Destination,
        seeded: _Seeded = False,
        discard: _Discard = False,
        wait: _Wait = False,
    ) -> None:
        """Transfer the whole source for the first time."""
        self._transfer(
            ops.TransferRequest(destination, Step.INITIALIZE, seeded, discard), wait=wait
        )

    def update(self, destination: _Destination, wait: _Wait = False) -> None:
        """Transfer what has changed since the last transfer."""
        self._transfer(ops.TransferRequest(destination, Step.UPDATE), wait=wait)

    def break_off(self, destination: _Destination) -> None:
        """Make DESTINATION a read/write volume."""
        request = ops.DestinationRequest(destination)
        self._kernel().management.call(ops.BREAK, request)
        say(f"{destination} is broken off, and a read/write volume")

    def resync(
        self, destination: _Destination, discard: _Discard = False, wait: _Wait = False
    ) -> None:
        """Make DESTINATION a copy again; what was changed in it is thrown away."""
        self._transfer(
            ops.TransferRequest(destination, Step.RESYNC, may_discard=discard), wait=wait
        )

    def wait(self, destination: _Destination) -> None:
        """Wait until no transfer to DESTINATION runs."""
        request = ops.DestinationRequest(destination)
        self._tell_end(self._kernel().management.call(ops.WAIT, request))

    def abort(self, destination: _Destination) -> None:
        """End a transfer to DESTINATION before its time; it can be repeated."""
        request = ops.DestinationRequest(destination)
        left = self._kernel().management.call(ops.ABORT, request)
        say(f"no transfer to {destination} runs any more; it is {left.state.value}")

    def delete(self, destination: _Destination) -> None:
        """Forget a relationship; DESTINATION stays as it is."""
        request = ops.DestinationRequest(destination)
        self._kernel().management.call(ops.DELETE, request)
        say(f"{destination} is the destination of no relationship any more")

    def _transfer(self, request: ops.TransferRequest, *, wait: bool) -> None:
        management = self._kernel().management
        management.call(ops.TRANSFER, request)
        if wait:
            asked = ops.DestinationRequest(request.destination)
            self._tell_end(management.call(ops.WAIT, asked))
            return
        say(f"{request.step.value} of {request.destination} has begun")

    def _tell_end(self, relationship: Relationship) -> None:
        last = relationship.last
        if last is not None and last.error is not None:
            raise CATALOGUE.error(
                "transfer-failed",
                destination=relationship.destination,
                step=last.step.value,
                reason=last.error,
            )
        say(f"{relationship.destination} is {relationship.state.value}")


def _cells(row: Relationship) -> tuple[str, ...]:
    last = row.last
    when, count, error = "-", "-", "-"
    if last is not None:
        when = datetime.fromtimestamp(last.ended_at_s, UTC).isoformat(timespec="seconds")
        count, error = str(last.bytes), last.error or "-"
    return (
        row.source,
        row.destination,
        row.kind.value,
        row.state.value,
        row.status.value,
        when,
        count,
        error,
    )
