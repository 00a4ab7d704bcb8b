"""What a journal says: the map of a tape, and where the journal can be trusted.

Entries are applied in order until one cannot be believed. Usually that is
the torn end of the last one, which a crash left; it is then as if its write
had never been asked for. If believable entries follow, the index was
damaged afterwards: what comes before is still good, but nobody may take the
place of the damage for the end of the data and write on there. This module
decides and knows no file.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit_vtape.index_format import (
    ENTRY_BYTES,
    FRAME_BYTES,
    HEADER_BYTES,
    LONGEST_PACKED_RECORD,
    MOST_OBJECTS,
    Entry,
    EntryKind,
    Header,
    decode_entry,
    decode_header,
)
from tapekit_vtape.tape_map import FILEMARK, TapeMap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Replayed", "apply_entry", "entries_of", "replay"]


class Replayed(NamedTuple):
    """An index as read, beside the payload that was there at that time."""

    header: Header
    tape: TapeMap
    entries: int
    """Entries that can be trusted; the journal goes on behind them."""
    journal_objects: int
    """Objects on the tape by the journal alone; more than ``tape`` has if
    the payload lacks some of them."""
    damage: str | None
    """What was lost after it had been made durable, or ``None``."""


_MOST_SEARCHED: Final = 2 << 20
"""Entries of a journal that are looked at behind the last one that can be
trusted. A crash leaves one at most; a file that is longer was damaged."""


def replay(index: bytes, payload_bytes: int, rest: Iterable[bytes] = ()) -> Replayed:
    """Read an index.

    :param payload_bytes: the length of the payload file.
    :param rest: what follows ``index``, if that is not all of it; each piece
        begins with an entry.
    :raises HeaderError: the index cannot be read at all.
    """
    header = decode_header(index)
    tape = TapeMap()
    entries, goes_on = _follow(tape, chain((index[HEADER_BYTES:],), rest))
    journal_objects = tape.objects
    damage = f"the index is damaged at its entry {entries}" if goes_on else None
    damage = damage or _lost_payload(tape, payload_bytes)
    if tape.end > payload_bytes:
        tape.cut(tape.objects_within(payload_bytes))
    return Replayed(header, tape, entries, journal_objects, damage)


def _follow(tape: TapeMap, pieces: Iterable[bytes]) -> tuple[int, bool]:
    """Apply entries; how many can be trusted, and whether there is more than
    a crash leaves behind these.
    """
    trusted: int | None = None
    sequence = 0
    for piece in pieces:
        view = memoryview(piece)
        for at in range(0, len(piece) - ENTRY_BYTES + 1, ENTRY_BYTES):
            entry = decode_entry(view[at : at + ENTRY_BYTES], sequence)
            if trusted is None and (entry is None or not apply_entry(tape, entry)):
                trusted = sequence
            if trusted is not None and entry is not None:
                return trusted, True
            sequence += 1
        if trusted is not None and sequence - trusted >= _MOST_SEARCHED:
            return trusted, True
    return sequence if trusted is None else trusted, False


def apply_entry(tape: TapeMap, entry: Entry) -> bool:
    """Follow an entry; false, and nothing done, if it contradicts the ones before."""
    kind, length, objects, end = entry
    if kind is EntryKind.CUT:
        if objects > tape.objects or tape.byte_at(objects) != end:
            return False
        tape.cut(objects)
        return True
    if tape.objects + objects > MOST_OBJECTS:
        return False
    if kind is EntryKind.PACKED:
        packed = end - tape.end
        if not (objects and _is_frame(length, objects, packed)):
            return False
        tape.append(length, objects, packed)
        return True
    is_record = kind is EntryKind.RECORDS
    if objects == 0 or is_record != bool(length) or tape.end + length * objects != end:
        return False
    tape.append(length if is_record else FILEMARK, objects)
    return True


def _is_frame(length: int, objects: int, packed: int) -> bool:
    """Whether so many bytes can hold so many records, and no more than a
    reader takes memory for.
    """
    most = max(FRAME_BYTES, length)
    return 0 < length <= LONGEST_PACKED_RECORD and length * objects <= most and 0 < packed < most


def _lost_payload(tape: TapeMap, payload_bytes: int) -> str | None:
    """Filemarks are written behind durable data, so it cannot be missing."""
    if not tape.marks or payload_bytes >= tape.byte_at(tape.mark(tape.marks - 1)):
        return None
    return f"the payload has {payload_bytes} of {tape.end} bytes"


def entries_of(tape: TapeMap) -> Iterator[Entry]:
    """The shortest journal of a tape, one entry a run."""
    for run in tape.runs:
        of_records = EntryKind.PACKED if run.packed else EntryKind.RECORDS
        kind = EntryKind.FILEMARKS if run.length == FILEMARK else of_records
        yield Entry(kind, run.length, run.objects, run.stop_byte)
