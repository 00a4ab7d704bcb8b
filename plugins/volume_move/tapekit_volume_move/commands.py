"""``tapekit volume move``: start, show, trigger-cutover, abort.

The running server moves volumes, and the commands ask it; a move goes on in
the server when its command has ended, unless it waits.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias, final

import typer

from tapekit.console import say, say_json, say_table
from tapekit.hookspecs.operations import NoRequest
from tapekit_volume_move import operations as ops
from tapekit_volume_move.errors import CATALOGUE
from tapekit_volume_move.records import CutoverAction, Move, Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.lifecycle import Kernel

__all__ = ["command_app"]

_Vserver: TypeAlias = Annotated[
    str, typer.Option("--vserver", "-vserver", help="The volume's virtual machine.")
]
_Volume: TypeAlias = Annotated[
    str, typer.Option("--volume", "-volume", help="The volume, without its virtual machine.")
]
_Aggregate: TypeAlias = Annotated[
    str, typer.Option("--destination-aggregate", "-destination-aggregate", help="Where to.")
]
_Window: TypeAlias = Annotated[
    float,
    typer.Option(
        "--cutover-window",
        "-cutover-window",
        help="Seconds that new jobs may be kept waiting.",
        min=1,
        max=86400,
    ),
]
_Action: TypeAlias = Annotated[
    CutoverAction,
    typer.Option("--cutover-action", "-cutover-action", help="What follows a cutover that fails."),
]
_Wait: TypeAlias = Annotated[
    bool, typer.Option("--wait", help="Wait for the end, or until the cutover is deferred.")
]
_Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Answer with JSON.")]


def command_app(kernel: Callable[[], Kernel]) -> typer.Typer:
    """The commands; ``kernel`` is asked when one of them runs."""
    commands = _Commands(kernel)
    app = typer.Typer(no_args_is_help=True, help="Moves of volumes between aggregates.")
    app.command("start")(commands.start)
    app.command("show")(commands.show)
    app.command("trigger-cutover")(commands.trigger)
    app.command("abort")(commands.abort)
    return app


@final
class _Commands:
    """One method a command; the docstring is its help."""

    def __init__(self, kernel: Callable[[], Kernel]) -> None:
        self._kernel: Final = kernel

    def start(
        self,
        vserver: _Vserver,
        volume: _Volume,
        destination_aggregate: _Aggregate,
        cutover_window: _Window = 30.0,
        cutover_action: _Action = CutoverAction.DEFER,
        wait: _Wait = False,
        as_json: _Json = False,
    ) -> None:
        """Begin to move a volume, or go on with a move that was interrupted."""
        request = ops.StartRequest(
            volume=f"/{vserver}/{volume}",
            aggregate=destination_aggregate,
            window_s=cutover_window,
            action=cutover_action,
        )
        self._tell(self._kernel().management.call(ops.START, request), wait=wait, as_json=as_json)

    def show(self, as_json: _Json = False) -> None:
        """Show the last move of each volume."""
        rows = self._kernel().management.call(ops.SHOW, NoRequest()).moves
        if as_json:
            say_json(rows)
            return
        say_table(
            ("VOLUME", "TO", "PHASE", "BEGAN", "ENDED", "BYTES", "LEFT IN", "REASON"),
            (_cells(row) for row in rows),
            right=("BYTES",),
        )

    def trigger(
        self, vserver: _Vserver, volume: _Volume, wait: _Wait = False, as_json: _Json = False
    ) -> None:
        """Try a cutover that is deferred."""
        request = ops.VolumeRequest(f"/{vserver}/{volume}")
        move = self._kernel().management.call(ops.TRIGGER, request)
        self._tell(move, wait=wait, as_json=as_json)

    def abort(self, vserver: _Vserver, volume: _Volume, as_json: _Json = False) -> None:
        """End a move before its time; the volume stays where it is."""
        request = ops.VolumeRequest(f"/{vserver}/{volume}")
        self._print(self._kernel().management.call(ops.ABORT, request), as_json=as_json)

    def _tell(self, move: Move, *, wait: bool, as_json: bool) -> None:
        if wait:
            request = ops.VolumeRequest(move.volume)
            move = self._kernel().management.call(ops.WAIT, request)
        self._print(move, as_json=as_json)
        if wait and move.phase is not Phase.COMPLETED:
            raise CATALOGUE.error(
                "move-not-complete", volume=move.volume, phase=move.phase.value, reason=move.reason
            )

    def _print(self, move: Move, *, as_json: bool) -> None:
        if as_json:
            say_json(move)
            return
        say(f"{move.volume} to {move.aggregate}: {move.phase.value}")
        if move.left:
            say(f"what it was is left in {move.left}")
        if move.reason is not None:
            say(move.reason)


def _cells(row: Move) -> tuple[str, ...]:
    return (
        row.volume,
        row.aggregate,
        row.phase.value,
        _moment(row.began_s),
        "-" if row.ended_s is None else _moment(row.ended_s),
        str(row.bytes),
        row.left or "-",
        row.reason or "-",
    )


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
