"""``tapekit vtape``: what an operator does with a virtual library by hand.

The commands work beside a running server: what it has open is locked, and
everything else is moved under the library's own lock.
"""

from __future__ import annotations

import secrets
import sys
from typing import TYPE_CHECKING, Annotated, Final, final

import typer

from tapekit.console import say, say_json, say_table
from tapekit_vtape.errors import CATALOGUE
from tapekit_vtape.fault_commands import fault_app
from tapekit_vtape.listing import COLUMNS, NUMBERS, cells, inventory_cells, listings
from tapekit_vtape.tape_map import TapeFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tapekit.hookspecs.operations import Management
    from tapekit_vtape.cartridge import Cartridge
    from tapekit_vtape.changer import VtapeChanger
    from tapekit_vtape.library import Library

__all__ = ["barcodes", "command_app", "new_serial"]

_STEP_BYTES: Final = 1 << 20

_Barcode = Annotated[str, typer.Argument(metavar="CARTRIDGE", help="Barcode of the cartridge.")]
_Drive = Annotated[int, typer.Argument(metavar="DRIVE", help="Number of the drive, from 0.")]


def barcodes(count: int) -> list[str]:
    """The barcodes of a new library's cartridges."""
    return [f"VT{number:04}" for number in range(1, count + 1)]


def new_serial() -> str:
    """A serial number for a new library."""
    return secrets.token_hex(4).upper()


def command_app(
    library: Callable[[], Library],
    changer: Callable[[], VtapeChanger],
    management: Callable[[], Management],
) -> typer.Typer:
    """The commands; what they work on is asked for when one of them runs."""
    app = typer.Typer(no_args_is_help=True, help="Virtual drives, slots and cartridges.")
    commands = _Commands(library, changer)
    for command in (
        commands.init,
        commands.list,
        commands.inventory,
        commands.create,
        commands.load,
        commands.unload,
        commands.move,
        commands.protect,
        commands.unprotect,
        commands.export,
        commands.verify,
    ):
        app.command()(command)
    app.add_typer(fault_app(management), name="fault")
    return app


@final
class _Commands:
    """One method a command; the docstring is its help."""

    def __init__(self, library: Callable[[], Library], changer: Callable[[], VtapeChanger]) -> None:
        self._library: Final = library
        self._changer: Final = changer

    def init(
        self,
        cartridges: Annotated[
            int, typer.Option(min=0, help="How many empty cartridges to make.")
        ] = 8,
    ) -> None:
        """Make a library in the folder of the settings."""
        library = self._library()
        library.create(new_serial(), barcodes(cartridges))
        say(f"made {library.directory} with {cartridges} cartridges")

    def list(
        self,
        json: Annotated[bool, typer.Option("--json", help="Answer with JSON.")] = False,
    ) -> None:
        """List cartridges, where they are, and their tape files."""
        rows = self._library().rows()
        if json:
            say_json(listings(rows))
        else:
            say_table(COLUMNS, cells(rows), right=NUMBERS)

    def inventory(
        self,
        json: Annotated[bool, typer.Option("--json", help="Answer with JSON.")] = False,
    ) -> None:
        """Show the library as its changer tells it: every element and what is in it."""
        elements = self._changer().elements()
        if json:
            say_json(elements)
        else:
            columns = ("element", "address", "cartridge", "state")
            say_table(columns, inventory_cells(elements), right=["address"])

    def create(
        self,
        barcode: _Barcode,
        slot: Annotated[
            int | None, typer.Option(help="Slot to put it in; the first free one by default.")
        ] = None,
        capacity_bytes: Annotated[
            int | None, typer.Option(help="Capacity; that of the settings by default.")
        ] = None,
        early_warning_bytes: Annotated[
            int | None, typer.Option(help="Distance of the early warning from the end.")
        ] = None,
    ) -> None:
        """Make an empty cartridge."""
        place = self._library().create_cartridge(
            barcode, slot=slot, capacity=capacity_bytes, early_warning=early_warning_bytes
        )
        say(f"made {barcode} in slot {place.slot}")

    def load(self, drive: _Drive, barcode: _Barcode) -> None:
        """Put a cartridge into a drive."""
        self._library().load(drive, barcode)
        say(f"{barcode} is in drive {drive}")

    def unload(self, drive: _Drive) -> None:
        """Take the cartridge out of a drive, back to its slot."""
        library = self._library()
        barcode = library.unload(drive)
        say(f"{barcode} is in slot {library.state().cartridges[barcode].slot}")

    def move(
        self,
        barcode: _Barcode,
        place: Annotated[
            str, typer.Argument(metavar="SLOT|shelf", help="A slot's number, or: shelf.")
        ],
    ) -> None:
        """Move a cartridge to another slot, or out of the library."""
        if place != "shelf" and not (place.isascii() and place.isdigit()):
            raise CATALOGUE.error("bad-place", place=place)
        self._library().move(barcode, None if place == "shelf" else int(place))
        say(f"{barcode} is " + ("on the shelf" if place == "shelf" else f"in slot {place}"))

    def protect(self, barcode: _Barcode) -> None:
        """Turn a cartridge's write protection on."""
        self._set_protected(barcode, is_protected=True)
        say(f"{barcode} is write protected")

    def unprotect(self, barcode: _Barcode) -> None:
        """Turn a cartridge's write protection off."""
        self._set_protected(barcode, is_protected=False)
        say(f"{barcode} can be written")

    def _set_protected(self, barcode: str, *, is_protected: bool) -> None:
        library = self._library()
        cartridge = library.open_cartridge(barcode, shared=False)
        try:
            cartridge.set_protected(is_protected=is_protected)
        finally:
            cartridge.close()
        if library.is_protected(barcode) and not is_protected:
            raise CATALOGUE.error(
                "protected-on-host", barcode=barcode, folder=str(library.folder(barcode))
            )

    def export(
        self,
        barcode: _Barcode,
        file: Annotated[int, typer.Option(min=0, help="Number of the tape file, from 0.")],
        output: Annotated[
            str, typer.Option("--output", "-o", help="File to write, or - for standard output.")
        ],
    ) -> None:
        """Write the bytes of one tape file to a file."""
        cartridge = self._library().open_cartridge(barcode, shared=True)
        try:
            found = _tape_file(cartridge, barcode, file)
            try:
                _copy(cartridge, found, output)
            except OSError as error:
                raise CATALOGUE.error(
                    "output-failed", path=output, reason=error.strerror or str(error)
                ) from error
        finally:
            cartridge.close()

    def verify(
        self,
        barcode: _Barcode,
        repair: Annotated[
            bool,
            typer.Option("--repair", help="Give up what follows a damage; the rest stays."),
        ] = False,
    ) -> None:
        """Read a cartridge from beginning to end and tell what is on it."""
        cartridge = self._library().open_cartridge(barcode, shared=not repair)
        try:
            if repair:
                cartridge.accept_damage()
            tape = cartridge.tape
            for _ in _bytes_of(cartridge, TapeFile(0, 0, 0, tape.end)):
                pass
            records = tape.objects - tape.marks
            say(
                f"{barcode} can be read: {records} records, {tape.marks} filemarks, "
                f"{tape.end} bytes"
            )
            cartridge.refuse_damage(tape.objects)
        finally:
            cartridge.close()


def _tape_file(cartridge: Cartridge, barcode: str, number: int) -> TapeFile:
    files = list(cartridge.tape.files())
    if number >= len(files):
        cartridge.refuse_damage(cartridge.tape.objects)
        raise CATALOGUE.error("no-tape-file", barcode=barcode, file=number, files=len(files))
    return files[number]


def _copy(cartridge: Cartridge, file: TapeFile, output: str) -> None:
    if output == "-":
        for data in _bytes_of(cartridge, file):
            sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    with open(output, "wb") as target:  # noqa: PTH123 - the operator's own word
        for data in _bytes_of(cartridge, file):
            target.write(data)


def _bytes_of(cartridge: Cartridge, file: TapeFile) -> Iterator[bytes]:
    for offset in range(file.first_byte, file.stop_byte, _STEP_BYTES):
        yield cartridge.read(offset, min(_STEP_BYTES, file.stop_byte - offset))
