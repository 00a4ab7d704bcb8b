"""Looks through the tape files of a cartridge for what rebuilds a catalogue.

Of each file the first record is read, and of catalogue tape files the rest.
The one rule: nothing is written, neither to the tape nor to the catalogue;
file indexes wait under names of their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import msgspec

from tapekit_dma.tape_catalogue import (
    RECORD_BYTES,
    TapeCatalogue,
    Unpacker,
    decode_entries,
    decode_head,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit_dma.drive import Drive
    from tapekit_dma.tape_catalogue import Head, Section
    from tapekit_dma.tape_reader import TapeReader

__all__ = ["SeenFile", "files_from"]

_MOST_FILES: Final = 100_000


@final
class SeenFile(msgspec.Struct, frozen=True, kw_only=True):
    """A tape file as it was found."""

    file: int
    is_ended: bool
    """Whether a filemark is behind it."""
    is_catalogue: bool = False
    """Whether it begins as a catalogue tape file."""
    catalogue: TapeCatalogue | None = None
    """What it says, if it is whole."""
    index: Path | None = None
    """The file index of the backup in front, if it came with one."""


async def files_from(
    first: int,
    drive: Drive,
    index_for: Callable[[int, TapeCatalogue], Path | None] | None = None,
) -> list[SeenFile]:
    """All tape files from one on; the list is empty if the tape ends before.

    :param index_for: says where the index behind a catalogue is wanted, from
        its tape file and what it says; without it none is.
    """
    found: list[SeenFile] = []
    async with drive.reading() as tape:
        is_there = await tape.go_to(first)
        for file in range(first, first + _MOST_FILES):
            record = await tape.record(RECORD_BYTES) if is_there else None
            if record is None:
                # At a filemark, behind which there may be more, or at the end.
                if not (is_there and await tape.go_to(file) and await tape.next_file()):
                    break
                found.append(SeenFile(file=file, is_ended=True))
                continue
            head = decode_head(record)
            seen = SeenFile(file=file, is_ended=False)
            if head is not None:
                seen = await _catalogue(tape, head, seen, index_for)
            is_there = await _ended(tape, seen)
            found.append(msgspec.structs.replace(seen, is_ended=is_there))
    return found


async def _ended(tape: TapeReader, seen: SeenFile) -> bool:
    """Go to the next file; a catalogue that broke off may have been read to
    where only a new beginning helps.
    """
    if seen.is_catalogue and seen.catalogue is None:
        return await tape.go_to(seen.file + 1)
    return await tape.next_file()


async def _catalogue(
    tape: TapeReader,
    head: Head,
    seen: SeenFile,
    index_for: Callable[[int, TapeCatalogue], Path | None] | None,
) -> SeenFile:
    seen = msgspec.structs.replace(seen, is_catalogue=True)
    data = bytearray()
    while len(data) < head.entries.length:
        record = await tape.record(RECORD_BYTES)
        if record is None:
            return seen
        data += record
    catalogue = decode_entries(bytes(data), head.entries)
    if catalogue is None:
        return seen
    place = index_for(seen.file, catalogue) if index_for and head.index.length else None
    is_whole = place is not None and await _unpacked(tape, head.index, place)
    return msgspec.structs.replace(seen, catalogue=catalogue, index=place if is_whole else None)


async def _unpacked(tape: TapeReader, section: Section, place: Path) -> bool:
    """Write a file index; tells whether it is whole."""
    with place.open("wb") as target:
        unpacker = Unpacker(target, section)
        while unpacker.left > 0:
            record = await tape.record(RECORD_BYTES)
            if record is None:
                break
            unpacker.add(record)
    return unpacker.is_whole
