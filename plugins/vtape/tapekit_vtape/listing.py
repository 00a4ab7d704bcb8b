"""Listings of a library: rows for programs, a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from tapekit.hookspecs.media_changer import ElementType
from tapekit_vtape.cartridge import FILEMARK_COST_BYTES
from tapekit_vtape.models import generation_of
from tapekit_vtape.replay import Replayed
from tapekit_vtape.salvage import Gap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tapekit.hookspecs.media_changer import Element
    from tapekit_vtape.library import CartridgeRow
    from tapekit_vtape.library_state import Place
    from tapekit_vtape.tape_map import TapeMap

__all__ = [
    "COLUMNS",
    "NUMBERS",
    "CartridgeListing",
    "FileListing",
    "RebuiltTape",
    "TapeCounts",
    "cells",
    "inventory_cells",
    "listings",
    "tape_counts",
]

COLUMNS: Final = (
    "cartridge",
    "place",
    "used",
    "capacity",
    "state",
    "file",
    "records",
    "bytes",
)
"""Of the table of cartridges."""

NUMBERS: Final = ("used", "capacity", "file", "records", "bytes")
"""Those of its columns that hold numbers."""


class FileListing(msgspec.Struct, frozen=True):
    """One tape file."""

    file: int
    records: int
    bytes: int


class CartridgeListing(msgspec.Struct, frozen=True, kw_only=True):
    """One cartridge; what is unknown when it cannot be read is ``None``."""

    barcode: str
    slot: int | None
    drive: int | None
    is_ejected: bool
    capacity_bytes: int | None
    used_bytes: int | None
    is_write_protected: bool | None
    is_worm: bool | None
    """Whether what is on it can never be overwritten."""
    generation: int | None
    """The generation of LTO that it belongs to."""
    files: Sequence[FileListing]
    problem: str | None


class TapeCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What is on a cartridge that can be read from beginning to end."""

    barcode: str
    records: int
    filemarks: int
    bytes: int
    """Of all records."""


class RebuiltTape(msgspec.Struct, frozen=True, kw_only=True):
    """A cartridge with a new index, and what became of the old one."""

    tape: TapeCounts
    entries: int
    """Entries of the old index that could be read."""
    lost: int
    """Those that could not."""
    gaps: Sequence[Gap]
    """Bytes of the payload that were taken for records of the size given."""
    kept: str | None
    """Where the old index is now."""


def tape_counts(barcode: str, tape: TapeMap) -> TapeCounts:
    """What is on a tape."""
    return TapeCounts(
        barcode=barcode,
        records=tape.objects - tape.marks,
        filemarks=tape.marks,
        bytes=tape.data_bytes,
    )


def listings(rows: Iterable[CartridgeRow]) -> list[CartridgeListing]:
    """What ``tapekit vtape list`` shows, in the order of the rows."""
    return [_listing(row) for row in rows]


def _listing(row: CartridgeRow) -> CartridgeListing:
    place, content = row.place, row.content
    known = content if isinstance(content, Replayed) else None
    problem = known.damage if known is not None else str(content)
    generation = generation_of(known.header.density) if known else None
    return CartridgeListing(
        barcode=row.barcode,
        slot=place.slot if place else None,
        drive=place.drive if place else None,
        is_ejected=place.is_ejected if place else False,
        capacity_bytes=known.header.capacity if known else None,
        used_bytes=known.tape.end + FILEMARK_COST_BYTES * known.tape.marks if known else None,
        is_write_protected=known.header.is_protected if known else None,
        is_worm=known.header.is_worm if known else None,
        generation=generation.number if generation else None,
        files=[FileListing(f.number, f.records, f.length) for f in known.tape.files()]
        if known
        else [],
        problem=problem,
    )


def cells(rows: Sequence[CartridgeRow]) -> Iterator[tuple[str, ...]]:
    """The table of cartridges: a line a cartridge, and one more a tape file."""
    for row, listing in zip(rows, listings(rows), strict=True):
        first = (
            listing.barcode,
            _place(row.place),
            _number(listing.used_bytes),
            _number(listing.capacity_bytes),
            _state(listing),
        )
        files = [(str(f.file), str(f.records), str(f.bytes)) for f in listing.files]
        yield (*first, *(files[0] if files else ("", "", "")))
        for file in files[1:]:
            yield ("", "", "", "", "", *file)


def inventory_cells(elements: Iterable[Element]) -> Iterator[tuple[str, ...]]:
    """A library as its changer tells it, a line an element: its name, its
    address, what is in it, and its state.
    """
    counts = dict.fromkeys(ElementType, 0)
    for element in elements:
        # Mail slots are numbered behind the slots, as everywhere.
        kind = element.type
        behind = counts[ElementType.STORAGE] if kind is ElementType.IMPORT_EXPORT else 0
        name = _NAMES[kind].format(number=behind + counts[kind])
        counts[kind] += 1
        tag = element.volume_tag or ""
        yield (name, str(element.address), tag, _element_state(element))


_NAMES: Final = {
    ElementType.TRANSPORT: "arm",
    ElementType.STORAGE: "slot {number}",
    ElementType.IMPORT_EXPORT: "mail slot {number}",
    ElementType.DRIVE: "drive {number}",
}


def _element_state(element: Element) -> str:
    if element.type is not ElementType.DRIVE or not element.is_full:
        return ""
    came = "" if element.source is None else f"from {element.source}"
    return came if element.is_accessible else f"{came}, in use".removeprefix(", ")


def _place(place: Place | None) -> str:
    if place is None:
        return "shelf"
    if place.drive is None:
        return f"slot {place.slot}"
    return f"drive {place.drive}" + (" (ejected)" if place.is_ejected else "")


def _state(listing: CartridgeListing) -> str:
    if listing.problem is not None:
        return listing.problem
    if listing.is_write_protected:
        return "write protected"
    return "written once" if listing.is_worm else "writable"


def _number(value: int | None) -> str:
    return "" if value is None else str(value)
