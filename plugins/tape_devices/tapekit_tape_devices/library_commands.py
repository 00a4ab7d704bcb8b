"""``tapekit library``: the robot of any library of the running stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, TypeAlias, final

import typer

from tapekit.console import say, say_json, say_table
from tapekit_tape_devices.library_operations import (
    LIBRARY,
    LIBRARY_EXPORT,
    LIBRARY_IMPORT,
    LIBRARY_MOVE,
    LIBRARY_UNLOAD,
    CartridgeRequest,
    DriveToUnload,
    LibraryChoice,
    MoveRequest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tapekit.hookspecs.operations import Management
    from tapekit_tape_devices.library_operations import LibraryReply, MovesReply

__all__ = ["library_app"]

_Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Answer with JSON.")]
_Changer: TypeAlias = Annotated[str, typer.Option(help="Device name of the changer.")]
_Drive: TypeAlias = Annotated[
    int, typer.Argument(metavar="DRIVE", min=0, help="Number of the drive in the library, from 0.")
]
_PLACES: Final = 'A place, such as "slot 3", mail:0, drive:1 or #1024 (its address)'


def library_app(management: Callable[[], Management]) -> typer.Typer:
    """The commands; ``management`` is asked when one of them runs."""
    app = typer.Typer(no_args_is_help=True, help="Libraries: places, cartridges, and the robot.")
    commands = _Commands(management)
    for command in (commands.show, commands.move, commands.load, commands.unload, commands.export):
        app.command()(command)
    app.command("import")(commands.import_)
    return app


@final
class _Commands:
    """One method a command; the docstring is its help."""

    def __init__(self, management: Callable[[], Management]) -> None:
        self._management: Final = management

    def show(self, changer: _Changer = "mc0", json: _Json = False) -> None:
        """Show every place of a library and what is in it."""
        reply = self._management().call(LIBRARY, LibraryChoice(changer=changer))
        if json:
            say_json(reply)
        else:
            columns = ("place", "address", "cartridge", "device", "state")
            say_table(columns, _cells(reply), right=["address"])

    def move(
        self,
        source: Annotated[str, typer.Argument(metavar="FROM", help=f"{_PLACES}, or a barcode.")],
        destination: Annotated[str, typer.Argument(metavar="TO", help=f"{_PLACES}.")],
        changer: _Changer = "mc0",
        json: _Json = False,
    ) -> None:
        """Move a cartridge."""
        request = MoveRequest(changer=changer, source=source, destination=destination)
        _tell(self._management().call(LIBRARY_MOVE, request), json=json)

    def load(
        self,
        cartridge: Annotated[
            str, typer.Argument(metavar="CARTRIDGE", help="Its barcode or its place.")
        ],
        drive: _Drive,
        changer: _Changer = "mc0",
        json: _Json = False,
    ) -> None:
        """Put a cartridge into a drive."""
        request = MoveRequest(changer=changer, source=cartridge, destination=f"drive {drive}")
        _tell(self._management().call(LIBRARY_MOVE, request), json=json)

    def unload(self, drive: _Drive, changer: _Changer = "mc0", json: _Json = False) -> None:
        """Unload a drive and put its cartridge back into a slot."""
        request = DriveToUnload(changer=changer, drive=drive)
        _tell(self._management().call(LIBRARY_UNLOAD, request), json=json)

    def export(
        self,
        cartridge: Annotated[
            str, typer.Argument(metavar="CARTRIDGE", help="Its barcode or its place.")
        ],
        changer: _Changer = "mc0",
        json: _Json = False,
    ) -> None:
        """Put a cartridge into a mail slot, from which it is taken by hand."""
        request = CartridgeRequest(changer=changer, cartridge=cartridge)
        _tell(self._management().call(LIBRARY_EXPORT, request), json=json)

    def import_(
        self,
        cartridge: Annotated[
            str | None,
            typer.Argument(metavar="[CARTRIDGE]", help="One of them; else all."),
        ] = None,
        changer: _Changer = "mc0",
        json: _Json = False,
    ) -> None:
        """Take the cartridges from the mail slots into the library."""
        request = CartridgeRequest(changer=changer, cartridge=cartridge)
        _tell(self._management().call(LIBRARY_IMPORT, request), json=json)


def _tell(reply: MovesReply, *, json: bool) -> None:
    if json:
        say_json(reply.moves)
        return
    for move in reply.moves:
        cartridge = move.cartridge or "the cartridge without a barcode"
        say(f"{cartridge} went from {move.source} to {move.destination}")


def _cells(reply: LibraryReply) -> Iterator[tuple[str, ...]]:
    for place in reply.places:
        words = []
        if place.is_full and place.cartridge is None:
            words.append("no barcode")
        if place.is_full and place.source is not None:
            words.append(f"from {place.source}")
        if place.was_imported:
            words.append("imported")
        if place.is_full and not place.is_accessible:
            words.append("in use")
        yield (
            place.name,
            str(place.address),
            place.cartridge or "",
            place.device or "",
            ", ".join(words),
        )
