"""What is left of a damaged index, and a map of the tape from it and the payload.

Each entry tells where in the payload it ends, so entries behind a damage still
say what is there, and only what the damaged ones told is unknown. The payload
has no frames of its own: bytes of which no entry is left are taken as records
of one size that somebody has to name, and as no filemark. The one rule:
whatever is taken so is told, and no byte that an entry vouches for is moved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit_vtape.index_format import (
    ENTRY_BYTES,
    HEADER_BYTES,
    MOST_OBJECTS,
    Entry,
    EntryKind,
    decode_entry,
)
from tapekit_vtape.replay import apply_entry
from tapekit_vtape.tape_map import FILEMARK, TapeMap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit_vtape.tape_map import Run

__all__ = ["Gap", "Salvaged", "salvage"]


class Gap(NamedTuple):
    """Bytes of the payload whose records nobody knows."""

    start: int
    stop: int


class Salvaged(NamedTuple):
    """What was made of an index."""

    tape: TapeMap
    entries: int
    """Entries that could be read."""
    lost: int
    """Entries that could not; filemarks that they told of are lost."""
    gaps: Sequence[Gap]
    frames: Sequence[int]
    """Where frames in gaps end; where they begin nobody knows."""


def _is_none(_run: Run) -> bool:
    return False


def salvage(
    index: bytes,
    payload_bytes: int,
    record_size: int,
    *,
    takes_rest: bool = False,
    is_frame: Callable[[Run], bool] = _is_none,
) -> Salvaged:
    """Follow what can be read of an index.

    :param record_size: bytes of the records in gaps; the last one of a gap is
        as short as it is.
    :param takes_rest: take what lies behind the last entry for data, too. It
        is anyway if the end of the journal itself cannot be read.
    :param is_frame: whether a run is one frame in the payload; asked behind
        entries that are lost, where it may as well be the end of something longer.
    """
    salvaging = _Salvaging(payload_bytes, record_size, is_frame)
    # A last part of an entry is what a crash leaves, and tells nothing.
    for place, at in enumerate(range(HEADER_BYTES, len(index) - ENTRY_BYTES + 1, ENTRY_BYTES)):
        salvaging.take(decode_entry(index[at : at + ENTRY_BYTES], place))
    salvaging.end(takes_rest=takes_rest)
    return Salvaged(
        salvaging.tape, salvaging.entries, salvaging.lost, salvaging.gaps, salvaging.frames
    )


@final
class _Salvaging:
    """The tape so far."""

    def __init__(
        self, payload_bytes: int, record_size: int, is_frame: Callable[[Run], bool]
    ) -> None:
        self.tape: Final = TapeMap()
        self.entries = self.lost = 0
        self.gaps: list[Gap] = []
        self.frames: list[int] = []
        self._payload_bytes: Final = payload_bytes
        self._record_size: Final = record_size
        self._is_frame: Final = is_frame
        self._is_lost = True
        """Whether the next entry may not follow the one before it."""

    def take(self, entry: Entry | None) -> None:
        """The next place of the journal, ``None`` if nothing can be read there."""
        if entry is None or not _is_possible(entry):
            self._is_lost = True
            self.lost += 1
            return
        self.entries += 1
        if not self._follow(entry):
            self._go_on_at(entry)
        elif entry.kind is EntryKind.CUT:
            self._trim_gaps()
        self._is_lost = False

    def _follow(self, entry: Entry) -> bool:
        """Take an entry that follows what is known; false if it does not."""
        before = self.tape.objects
        if not apply_entry(self.tape, entry):
            return False
        is_guess = entry.kind is EntryKind.PACKED and self._is_lost and self.lost
        if is_guess and not self._is_frame(self.tape.runs[-1]):
            self.tape.cut(before)
            return False
        return True

    def _go_on_at(self, entry: Entry) -> None:
        """Take an entry that does not follow what is known."""
        kind, length, objects, end = entry
        if kind is EntryKind.RECORDS and length * objects <= end:
            self._go_to(end - length * objects)
            self.tape.append(length, objects)
        elif kind is EntryKind.FILEMARKS:
            self._go_to(end)
            self.tape.append(FILEMARK, objects)
        elif kind is EntryKind.PACKED:
            # Where a frame begins its own entry does not say.
            self._go_to(end)
            if self.gaps and self.gaps[-1].stop == end:
                self.frames.append(end)
        else:
            self._cut_at(end)

    def _cut_at(self, byte: int) -> None:
        """Follow a cut behind a gap, over which objects cannot be counted: only
        the place is certain, and that something was cut.
        """
        if byte == self.tape.end and not self._is_lost and self._ends_with_mark():
            self.tape.cut(self.tape.objects - 1)
        self._go_to(byte)

    def _ends_with_mark(self) -> bool:
        return bool(self.tape.runs) and self.tape.runs[-1].length == FILEMARK

    def _go_to(self, byte: int) -> None:
        """End the tape at a byte of the payload: an entry that is lost has cut
        it, or has written what lies between.
        """
        if byte < self.tape.end:
            self.tape.cut(self.tape.objects_within(byte))
            self._trim_gaps()
        if byte > self.tape.end:
            self.gaps.append(Gap(self.tape.end, byte))
            records, rest = divmod(byte - self.tape.end, self._record_size)
            if records:
                self.tape.append(self._record_size, records)
            if rest:
                self.tape.append(rest, 1)

    def _trim_gaps(self) -> None:
        """The tape has become shorter."""
        end = self.tape.end
        self.gaps = [Gap(start, min(stop, end)) for start, stop in self.gaps if start < end]
        self.frames = [stop for stop in self.frames if stop <= end]

    def end(self, *, takes_rest: bool) -> None:
        """The journal has ended; the payload may be shorter or longer."""
        if self.tape.end > self._payload_bytes or self._is_lost or takes_rest:
            self._go_to(self._payload_bytes)


def _is_possible(entry: Entry) -> bool:
    """Whether a tape can have what an entry says, whatever came before it."""
    kind, length, objects, _ = entry
    if kind is EntryKind.CUT:
        return True
    return 0 < objects <= MOST_OBJECTS and (kind is EntryKind.FILEMARKS) == (length == 0)
