"""``tapekit vtape import`` and ``export``: tape files and whole tapes as files."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, BinaryIO, Final, final

import typer

from tapekit.console import say
from tapekit_vtape.errors import CATALOGUE
from tapekit_vtape.images import LONGEST_RECORD, BadRecords, ImageFormat, ReadChoice
from tapekit_vtape.library_option import LibraryName  # noqa: TC001 - read by typer
from tapekit_vtape.transfers import export_image, import_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tapekit_vtape.cartridge import Cartridge
    from tapekit_vtape.library_devices import LibraryDevices
    from tapekit_vtape.tape_map import TapeFile

__all__ = ["ImageCommands"]

_Barcode = Annotated[str, typer.Argument(metavar="CARTRIDGE", help="Barcode of the cartridge.")]


@final
class ImageCommands:
    """One method a command; the docstring is its help."""

    def __init__(self, devices: Callable[[str | None, str | None], LibraryDevices]) -> None:
        """:param devices: gives a library by its name, or the only one."""
        self._devices: Final = devices

    def export(
        self,
        barcode: _Barcode,
        output: Annotated[
            str, typer.Option("--output", "-o", help="File to write, or - for standard output.")
        ],
        file: Annotated[
            int | None,
            typer.Option(min=0, help="Number of the tape file, from 0; else the whole tape."),
        ] = None,
        format: Annotated[  # noqa: A002 - the name of the option
            ImageFormat, typer.Option(help="raw: the bytes of one tape file.")
        ] = ImageFormat.RAW,
        of: LibraryName = None,
    ) -> None:
        """Write a tape file, or a whole tape, to a file."""
        cartridge = self._devices(of, barcode).library.open_cartridge(barcode, shared=True)
        try:
            first, stop = _range(cartridge, barcode, file, format)
            with _output(output) as target:
                export_image(cartridge, format, target.write, first, stop)
        finally:
            cartridge.close()

    def import_(
        self,
        barcode: _Barcode,
        path: Annotated[
            str, typer.Argument(metavar="FILE", help="File to read, or - for standard input.")
        ],
        format: Annotated[  # noqa: A002 - the name of the option
            ImageFormat, typer.Option(help="raw: bytes that become one tape file.")
        ],
        append: Annotated[
            bool, typer.Option("--append", help="Behind what is on the cartridge.")
        ] = False,
        record_size: Annotated[
            int,
            typer.Option(min=1, max=LONGEST_RECORD, help="Bytes of a record, for raw."),
        ] = 65536,
        bad_records: Annotated[
            BadRecords, typer.Option(help="What to do with records read with an error.")
        ] = BadRecords.REFUSE,
        of: LibraryName = None,
    ) -> None:
        """Write what is in a file onto a cartridge."""
        cartridge = self._devices(of, barcode).library.open_cartridge(barcode, shared=False)
        try:
            if cartridge.tape.objects and not append:
                raise CATALOGUE.error("import-not-empty", barcode=barcode)
            choice = ReadChoice(bad_records, record_size)
            with _input(path) as source:
                made = import_image(cartridge, format, source, path, choice)
        finally:
            cartridge.close()
        say(
            f"{barcode} has {made.records} more records, {made.filemarks} filemarks, "
            f"{made.length} bytes"
        )


def _range(
    cartridge: Cartridge, barcode: str, file: int | None, kind: ImageFormat
) -> tuple[int, int]:
    """The positions between which what is asked for lies."""
    if file is not None:
        found = _tape_file(cartridge, barcode, file)
        return found.first_object, found.first_object + found.records
    if kind is ImageFormat.RAW:
        raise CATALOGUE.error("export-needs-file", barcode=barcode)
    cartridge.refuse_damage(cartridge.tape.objects)
    return 0, cartridge.tape.objects


def _tape_file(cartridge: Cartridge, barcode: str, number: int) -> TapeFile:
    files = list(cartridge.tape.files())
    if number >= len(files):
        cartridge.refuse_damage(cartridge.tape.objects)
        raise CATALOGUE.error("no-tape-file", barcode=barcode, file=number, files=len(files))
    return files[number]


@contextmanager
def _output(path: str) -> Iterator[BinaryIO]:
    try:
        if path == "-":
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        else:
            with open(path, "wb") as target:  # noqa: PTH123 - the operator's own word
                yield target
    except OSError as error:
        raise CATALOGUE.error(
            "output-failed", path=path, reason=error.strerror or str(error)
        ) from error


@contextmanager
def _input(path: str) -> Iterator[BinaryIO]:
    try:
        if path == "-":
            yield sys.stdin.buffer
        else:
            with open(path, "rb") as source:  # noqa: PTH123 - the operator's own word
                yield source
    except OSError as error:
        raise CATALOGUE.error(
            "input-failed", path=path, reason=error.strerror or str(error)
        ) from error
