"""Rebuilds the catalogue of a media set from its cartridges.

All cartridges of the set in the library are looked through, then one
transaction takes in what is new. The one rule: file indexes come after that
transaction, so that a run that breaks off there is completed by the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit.errors import TapekitError
from tapekit_dma.file_index import is_usable
from tapekit_dma.label import decode_label
from tapekit_dma.media import is_about_the_tape
from tapekit_dma.rebuilding import Seen, Verdict, rebuilt
from tapekit_dma.tape_walk import files_from

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tapekit_dma.catalogue import Catalogue
    from tapekit_dma.drive import Drive
    from tapekit_dma.label import Label
    from tapekit_dma.rebuilding import Rebuilt
    from tapekit_dma.tape_catalogue import TapeCatalogue

__all__ = ["Rebuilding", "run_rebuild"]

_WAITING: Final = "found-*.sqlite"


@final
class Rebuilding(NamedTuple):
    """What a rebuild found."""

    backups: Sequence[Verdict]
    cartridges: Sequence[tuple[str, str]]
    """Barcodes, and what is to be said of each."""


async def run_rebuild(
    name: str,
    barcodes: Sequence[str],
    drive: Drive,
    catalogue: Catalogue,
    tell: Callable[[str], object],
    *,
    with_forgotten: bool,
) -> Rebuilding:
    """Look through cartridges and take in what the catalogue does not know.

    :param name: the media set, which the caller has for itself.
    :raises TapekitError: the library or a drive fails; nothing is taken in.
    """
    try:
        walk = _Walk(name, drive, catalogue)
        for barcode in barcodes:
            tell(f"looking through {barcode}")
            await walk.look_through(barcode)
        found = rebuilt(catalogue.known(), walk.seen, with_forgotten=with_forgotten)
        catalogue.rebuild(found.entries, found.cartridges)
        for number, index in found.indexes:
            catalogue.take_index(number, index)
    finally:
        for left in catalogue.directory.glob(_WAITING):
            left.unlink()
    return Rebuilding(found.verdicts, walk.verdicts(found))


@final
class _Walk:
    """From cartridge to cartridge."""

    def __init__(self, name: str, drive: Drive, catalogue: Catalogue) -> None:
        self._name: Final = name
        self._drive: Final = drive
        self._catalogue: Final = catalogue
        self._numbers: Final = {each.place: each.backup.number for each in catalogue.entries()}
        self._problems: Final[dict[str, str]] = {}
        self.seen: Final[list[Seen]] = []

    async def look_through(self, barcode: str) -> None:
        """Read what is on a cartridge, or remember why that cannot be."""
        await self._drive.load(barcode)
        try:
            start = await self._drive.read_start()
            label = None if start is None else decode_label(start)
            if label is None:
                self._problems[barcode] = "blank" if start is None else "data without a label"
            elif (label.barcode, label.media_set) != (barcode, self._name):
                self._problems[barcode] = f"the label of {label.barcode} of {label.media_set}"
            else:
                files = await files_from(1, self._drive, self._index_for(label))
                self.seen.append(Seen(label, files))
        except TapekitError as problem:
            if not is_about_the_tape(problem):
                raise
            self._problems[barcode] = f"cannot be read: {problem}"

    def _index_for(self, label: Label) -> Callable[[int, TapeCatalogue], Path | None]:
        def place(file: int, told: TapeCatalogue) -> Path | None:
            number = self._numbers.get(told.entries[-1].place) if told.entries else None
            if number is not None and is_usable(self._catalogue.index_of(number)):
                return None
            name = _WAITING.replace("*", f"{label.identifier}-{file}")
            return self._catalogue.directory / name

        return place

    def verdicts(self, found: Rebuilt) -> list[tuple[str, str]]:
        """What is to be said of each cartridge."""
        told = {one.label.barcode: f"{len(one.files)} tape files" for one in self.seen}
        return sorted({**told, **self._problems, **found.left_alone}.items())
