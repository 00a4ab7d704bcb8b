"""``tapekit vtape``: what an operator does with a virtual library by hand.

The commands work beside a running server: what it has open is locked, and
everything else is moved under the library's own lock.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Annotated, Final, final

import typer

from tapekit.console import say, say_json, say_table
from tapekit_vtape.errors import CATALOGUE
from tapekit_vtape.fault_commands import fault_app
from tapekit_vtape.image_commands import ImageCommands
from tapekit_vtape.images import LONGEST_RECORD
from tapekit_vtape.library_option import LibraryName  # noqa: TC001 - read by typer
from tapekit_vtape.listing import (
    COLUMNS,
    NUMBERS,
    RebuiltTape,
    cells,
    inventory_cells,
    listings,
    tape_counts,
)
from tapekit_vtape.models import read_label

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.operations import Management
    from tapekit_vtape.library import Library
    from tapekit_vtape.library_devices import LibraryDevices
    from tapekit_vtape.listing import TapeCounts

__all__ = ["barcodes", "command_app", "new_serial"]

_DEFAULT_CARTRIDGES: Final = 8

_Barcode = Annotated[str, typer.Argument(metavar="CARTRIDGE", help="Barcode of the cartridge.")]
_Drive = Annotated[int, typer.Argument(metavar="DRIVE", help="Number of the drive, from 0.")]
_Moved = Annotated[
    bool, typer.Option("--json", help="Answer with JSON: the cartridge, as list shows it.")
]


def barcodes(count: int, suffix: str = "") -> list[str]:
    """The barcodes of a new library's cartridges.

    :param suffix: the end that tells their generation.
    """
    return [f"VT{number:04}{suffix}" for number in range(1, count + 1)]


def new_serial() -> str:
    """A serial number for a new library."""
    return secrets.token_hex(4).upper()


def command_app(
    devices: Callable[[str | None, str | None], LibraryDevices],
    management: Callable[[], Management],
) -> typer.Typer:
    """The commands; what they work on is asked for when one of them runs.

    :param devices: gives a library by its name, the only one, or that of a cartridge.
    """
    app = typer.Typer(no_args_is_help=True, help="Virtual drives, slots and cartridges.")
    commands = _Commands(devices)
    images = ImageCommands(devices)
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
        images.export,
        commands.verify,
        commands.rebuild,
    ):
        app.command()(command)
    app.command("power-cycle")(commands.power_cycle)
    app.command("import")(images.import_)
    app.add_typer(fault_app(management), name="fault")
    return app


@final
class _Commands:
    """One method a command; the docstring is its help."""

    def __init__(self, devices: Callable[[str | None, str | None], LibraryDevices]) -> None:
        self._devices: Final = devices

    def _library(self, name: str | None, barcode: str | None = None) -> Library:
        return self._devices(name, barcode).library

    def init(
        self,
        cartridges: Annotated[
            int | None,
            typer.Option(
                min=0, help="How many empty cartridges to make; 8 by default, or one a slot."
            ),
        ] = None,
        generation: Annotated[
            int | None,
            typer.Option(min=5, max=9, help="Generation of LTO that they belong to; none else."),
        ] = None,
        of: LibraryName = None,
    ) -> None:
        """Make a library in the folder of the settings."""
        library = self._library(of)
        suffix = "" if generation is None else f"L{generation}"
        count = min(_DEFAULT_CARTRIDGES, library.slots) if cartridges is None else cartridges
        library.create(new_serial(), barcodes(count, suffix))
        say(f"made {library.directory} with {count} cartridges")

    def list(
        self,
        json: Annotated[bool, typer.Option("--json", help="Answer with JSON.")] = False,
        of: LibraryName = None,
    ) -> None:
        """List cartridges, where they are, and their tape files."""
        rows = self._library(of).rows()
        if json:
            say_json(listings(rows))
        else:
            say_table(COLUMNS, cells(rows), right=NUMBERS)

    def inventory(
        self,
        json: Annotated[bool, typer.Option("--json", help="Answer with JSON.")] = False,
        of: LibraryName = None,
    ) -> None:
        """Show the library as its changer tells it: every element and what is in it."""
        elements = self._devices(of, None).changer().elements()
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
            int | None,
            typer.Option(min=1 << 20, help="Capacity; that of the settings by default."),
        ] = None,
        native_capacity: Annotated[
            bool,
            typer.Option(
                "--native-capacity", help="The capacity of its generation, by its barcode."
            ),
        ] = False,
        early_warning_bytes: Annotated[
            int | None, typer.Option(help="Distance of the early warning from the end.")
        ] = None,
        json: _Moved = False,
        of: LibraryName = None,
    ) -> None:
        """Make an empty cartridge. A barcode of six characters and L5 to L9, or LV
        to LZ for one that is written once, tells its generation.
        """
        if native_capacity:
            generation = read_label(barcode).generation
            if generation is None or capacity_bytes is not None:
                raise CATALOGUE.error("no-native-capacity", barcode=barcode)
            capacity_bytes = generation.native_bytes
        library = self._library(of)
        place = library.create_cartridge(
            barcode, slot=slot, capacity=capacity_bytes, early_warning=early_warning_bytes
        )
        _tell(library, barcode, f"made {barcode} in slot {place.slot}", json=json)

    def load(
        self, drive: _Drive, barcode: _Barcode, json: _Moved = False, of: LibraryName = None
    ) -> None:
        """Put a cartridge into a drive."""
        library = self._library(of, barcode)
        library.load(drive, barcode)
        _tell(library, barcode, f"{barcode} is in drive {drive}", json=json)

    def unload(self, drive: _Drive, json: _Moved = False, of: LibraryName = None) -> None:
        """Take the cartridge out of a drive, back to its slot."""
        library = self._library(of)
        barcode = library.unload(drive)
        slot = library.state().cartridges[barcode].slot
        _tell(library, barcode, f"{barcode} is in slot {slot}", json=json)

    def move(
        self,
        barcode: _Barcode,
        place: Annotated[
            str, typer.Argument(metavar="SLOT|shelf", help="A slot's number, or: shelf.")
        ],
        json: _Moved = False,
        of: LibraryName = None,
    ) -> None:
        """Move a cartridge to another slot, or out of the library."""
        if place != "shelf" and not (place.isascii() and place.isdigit()):
            raise CATALOGUE.error("bad-place", place=place)
        library = self._library(of, barcode)
        library.move(barcode, None if place == "shelf" else int(place))
        words = "on the shelf" if place == "shelf" else f"in slot {place}"
        _tell(library, barcode, f"{barcode} is {words}", json=json)

    def protect(self, barcode: _Barcode, json: _Moved = False, of: LibraryName = None) -> None:
        """Turn a cartridge's write protection on."""
        library = self._library(of, barcode)
        self._set_protected(library, barcode, is_protected=True)
        _tell(library, barcode, f"{barcode} is write protected", json=json)

    def unprotect(self, barcode: _Barcode, json: _Moved = False, of: LibraryName = None) -> None:
        """Turn a cartridge's write protection off."""
        library = self._library(of, barcode)
        self._set_protected(library, barcode, is_protected=False)
        _tell(library, barcode, f"{barcode} can be written", json=json)

    def _set_protected(self, library: Library, barcode: str, *, is_protected: bool) -> None:
        cartridge = library.open_cartridge(barcode, shared=False)
        try:
            cartridge.set_protected(is_protected=is_protected)
        finally:
            cartridge.close()
        if library.is_protected(barcode) and not is_protected:
            raise CATALOGUE.error(
                "protected-on-host", barcode=barcode, folder=str(library.folder(barcode))
            )

    def power_cycle(self, of: LibraryName = None) -> None:
        """Turn the drives and the changer off and on: who had reserved them has
        not any more, unless a reservation outlives a loss of power (APTPL).
        """
        self._devices(of, None).cut_power()
        say("the devices have been turned off and on")

    def verify(
        self,
        barcode: _Barcode,
        repair: Annotated[
            bool,
            typer.Option("--repair", help="Give up what follows a damage; the rest stays."),
        ] = False,
        json: Annotated[bool, typer.Option("--json", help="Answer with JSON.")] = False,
        of: LibraryName = None,
    ) -> None:
        """Read a cartridge from beginning to end and tell what is on it."""
        cartridge = self._library(of, barcode).open_cartridge(barcode, shared=not repair)
        try:
            if repair:
                cartridge.accept_damage()
            tape = cartridge.tape
            for _ in cartridge.contents(0, tape.objects):
                pass
            counts = tape_counts(barcode, tape)
            if json:
                say_json(counts)
            else:
                say(f"{barcode} can be read: {_words(counts)}")
            cartridge.refuse_damage(tape.objects)
        finally:
            cartridge.close()

    def rebuild(
        self,
        barcode: _Barcode,
        record_size: Annotated[
            int | None,
            typer.Option(
                "--record-size",
                min=1,
                max=LONGEST_RECORD,
                help="Bytes of records that nothing else tells the size of.",
            ),
        ] = None,
        whole_payload: Annotated[
            bool,
            typer.Option(
                "--whole-payload", help="Take what lies behind the end of the index for data, too."
            ),
        ] = False,
        json: Annotated[bool, typer.Option("--json", help="Answer with JSON.")] = False,
        of: LibraryName = None,
    ) -> None:
        """Make a new index for a cartridge whose own is lost or damaged. The
        cartridge is write protected then, and the old index is kept.
        """
        library = self._library(of, barcode)
        rebuilt = library.rebuild(barcode, record_size, takes_rest=whole_payload)
        tape, entries, lost, gaps, _ = rebuilt.salvaged
        counts = tape_counts(barcode, tape)
        if json:
            kept = None if rebuilt.kept is None else str(rebuilt.kept)
            say_json(RebuiltTape(tape=counts, entries=entries, lost=lost, gaps=gaps, kept=kept))
            return
        say(f"{barcode} has a new index, from {entries} entries of the old one: {_words(counts)}")
        if lost:
            say(f"{lost} entries cannot be read; filemarks that they told of are lost")
        for gap in gaps:
            say(
                f"bytes {gap.start} to {gap.stop - 1} of the payload are taken for records "
                f"of {record_size} bytes without filemarks"
            )
        if rebuilt.kept is not None:
            say(f"what was left of the old index is {rebuilt.kept}")
        say(f"{barcode} is write protected; look at it, then: tapekit vtape unprotect {barcode}")


def _tell(library: Library, barcode: str, words: str, *, json: bool) -> None:
    """Say what has become of a cartridge."""
    if json:
        say_json(listings(one for one in library.rows() if one.barcode == barcode)[0])
    else:
        say(words)


def _words(counts: TapeCounts) -> str:
    return f"{counts.records} records, {counts.filemarks} filemarks, {counts.bytes} bytes"
