"""``tapekit tape``: the tape devices of a stack, as the server names them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Final, final

import msgspec
import typer
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tapekit.hookspecs.tape_driver import DeviceRow, DriveRow, TapeInventory

__all__ = ["command_app", "listing"]


def command_app(inventory: Callable[[], TapeInventory]) -> typer.Typer:
    """The commands; ``inventory`` is asked when one of them runs."""
    app = typer.Typer(no_args_is_help=True, help="Tape devices and their drives.")
    # With one command typer would do without its name.
    app.callback()(_explain)
    app.command()(_Commands(inventory).list)
    return app


def _explain() -> None:
    """Tape devices and their drives."""


@final
class _Commands:
    """One method a command; the docstring is its help."""

    def __init__(self, inventory: Callable[[], TapeInventory]) -> None:
        self._inventory: Final = inventory

    def list(
        self,
        json: Annotated[bool, typer.Option("--json", help="Answer with JSON.")] = False,
    ) -> None:
        """List tape drives and the names of their devices."""
        drives = self._inventory().drives()
        if json:
            _say(msgspec.json.format(msgspec.json.encode(drives)).decode())
            return
        for line in listing(drives):
            _say(line)


def listing(drives: Iterable[DriveRow]) -> Iterator[str]:
    """The lines of a listing: a heading a drive, then a line a device."""
    for drive in drives:
        found = drive.description
        yield f"          Tape drive ({found.physical_path})  {found.vendor:<11} {found.product}"
        for device in drive.devices:
            meaning = found.formats.get(device.compression, "unknown")
            yield f"{device.name:<6} -  {_kind(device) + ',':<30}format is: {meaning}"


def _kind(device: DeviceRow) -> str:
    if device.unloads:
        return "unload/reload device"
    return "rewind device" if device.rewinds else "no rewind device"


def _say(line: str) -> None:
    """Print a line as it is; nothing is broken where a program reads it."""
    console = Console() if sys.stdout.isatty() else Console(width=4096)
    console.print(Text(line), soft_wrap=True)
