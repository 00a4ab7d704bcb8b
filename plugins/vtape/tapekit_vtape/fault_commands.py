"""``tapekit vtape fault``: faults on cue, in the stack that runs.

The commands ask the running server, whose drives they concern; faults from
the stack file are told and cleared here too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, final

import msgspec
import typer

from tapekit.console import say, say_json, say_table
from tapekit.hookspecs.operations import NoRequest, Privilege
from tapekit_vtape.errors import CATALOGUE
from tapekit_vtape.faults import DeviceFault, FaultKind
from tapekit_vtape.operations import FAULT_ADD, FAULT_CLEAR, FAULTS, FaultChoice

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.operations import Management
    from tapekit_vtape.fault_board import ArmedFault

__all__ = ["fault_app"]

_Json = Annotated[bool, typer.Option("--json", help="Answer with JSON.")]


def fault_app(management: Callable[[], Management]) -> typer.Typer:
    """The commands; ``management`` is asked when one of them runs."""
    app = typer.Typer(no_args_is_help=True, help="Faults on cue.")
    commands = _Commands(management)
    for command in (commands.add, commands.list, commands.clear):
        app.command()(command)
    return app


@final
class _Commands:
    """One method a command; the docstring is its help."""

    def __init__(self, management: Callable[[], Management]) -> None:
        self._management: Final = management

    def add(
        self,
        kind: Annotated[FaultKind, typer.Argument(metavar="KIND", help="What happens.")],
        drive: Annotated[int | None, typer.Option(help="Number of the drive; any else.")] = None,
        library: Annotated[str | None, typer.Option(help="Name of the library; any else.")] = None,
        cartridge: Annotated[str | None, typer.Option(help="Barcode; any else.")] = None,
        record: Annotated[int | None, typer.Option(help="Record of the cartridge, from 0.")] = None,
        byte: Annotated[int | None, typer.Option(help="Where on the tape.")] = None,
        after: Annotated[int, typer.Option(help="Moves that go well before.")] = 0,
        times: Annotated[int | None, typer.Option(help="How often; else until cleared.")] = None,
        bytes_per_second: Annotated[int | None, typer.Option(help="Speed of a slow drive.")] = None,
        advanced: Annotated[
            bool, typer.Option("--advanced", help="Ask for the advanced privilege level.")
        ] = False,
        json: _Json = False,
    ) -> None:
        """Have a drive or the changer fail."""
        fields = {
            "kind": kind.value,
            "library": library,
            "drive": drive,
            "cartridge": cartridge,
            "record": record,
            "byte": byte,
            "after": after,
            "times": times,
            "bytes_per_second": bytes_per_second,
        }
        try:
            fault = msgspec.convert(fields, DeviceFault)
        except msgspec.ValidationError as error:
            raise CATALOGUE.error("bad-fault", reason=str(error)) from error
        privilege = Privilege.ADVANCED if advanced else Privilege.ADMIN
        armed = self._management().call(FAULT_ADD, fault, privilege)
        if json:
            say_json(armed)
        else:
            say(f"fault {armed.number} is armed: {_told(armed)}")

    def list(self, json: _Json = False) -> None:
        """List the faults that are armed, and how often each has struck."""
        found = self._management().call(FAULTS, NoRequest()).faults
        if json:
            say_json(found)
        else:
            rows = [(str(armed.number), str(armed.struck), _told(armed)) for armed in found]
            say_table(("number", "struck", "fault"), rows)

    def clear(
        self,
        number: Annotated[
            int | None, typer.Argument(metavar="[NUMBER]", help="One fault; else all.")
        ] = None,
        json: _Json = False,
    ) -> None:
        """Let the devices work again."""
        cleared = self._management().call(FAULT_CLEAR, FaultChoice(number=number)).numbers
        if json:
            say_json(cleared)
        else:
            say(f"cleared: {', '.join(map(str, cleared)) or 'none'}")


def _told(armed: ArmedFault) -> str:
    """A fault in words: its kind and what was said of it."""
    given = msgspec.to_builtins(armed.fault)
    return " ".join([given.pop("kind"), *(f"{name}={value}" for name, value in given.items())])
