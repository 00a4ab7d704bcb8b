"""A complete tape drive in memory.

The tape is one flat list in which a record is its bytes and a filemark is
``None``; the head stands before an index of it, and everything else is
derived from these two. It is the oracle of the tape checks and the drive of
tests that need no files. The one rule: what a caller hands in is copied
before the call returns.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.tape_driver import (
    Condition,
    DriveStatus,
    ReadRun,
    TapeError,
    TapePosition,
)
from tapekit.segments import Extent, pread_exactly
from tapekit.testing.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tapekit.scsi.door import CdbDoor
    from tapekit.segments import Piece

__all__ = ["MemoryTape", "MemoryTapeDrive", "bytes_of"]


def bytes_of(pieces: Iterable[Piece]) -> bytes:
    """The stream bytes of pieces end to end; what a file lacks is zeros.

    :raises OSError: the file of an extent cannot be read.
    """
    return b"".join(_read(piece) for piece in pieces)


def _read(piece: Piece) -> bytes:
    if not isinstance(piece, Extent):
        return bytes(piece)
    data = bytearray(piece.length)
    pread_exactly(piece, memoryview(data))
    return bytes(data)


@final
class MemoryTape:
    """A medium: what is on it, and how much fits.

    ``capacity`` and ``early_warning`` are in bytes of records, the latter
    counted back from the end; filemarks take no room. Without a capacity
    the tape never ends.
    """

    def __init__(
        self,
        *,
        capacity: int | None = None,
        early_warning: int = 0,
        is_protected: bool = False,
    ) -> None:
        self.items: list[bytes | None] = []
        self.capacity: Final = capacity
        self.early_warning: Final = early_warning
        self.is_protected = is_protected

    def used(self, stop: int) -> int:
        """Bytes of the records before index ``stop``."""
        return sum(len(item) for item in self.items[:stop] if item is not None)

    def files(self) -> list[list[bytes]]:
        """The records of each tape file, the last one perhaps without a mark."""
        marks = [i for i, item in enumerate(self.items) if item is None]
        bounds = [-1, *marks, len(self.items)]
        return [
            [item for item in self.items[start + 1 : stop] if item is not None]
            for start, stop in pairwise(bounds)
        ]


@final
class MemoryTapeDrive:
    """A drive with a :class:`MemoryTape` in it, or with none.

    Several drives may be made over one tape, one after the other, as a tape
    is opened again; each starts at the beginning.
    """

    def __init__(self, tape: MemoryTape | None) -> None:
        self._inserted: Final = tape
        self._is_loaded = tape is not None
        self._at = 0
        self._has_warned = False
        self.door: CdbDoor | None = None

    def status(self) -> DriveStatus:
        """See :meth:`TapeDrive.status`; works without a tape."""
        tape = self._inserted if self._is_loaded else None
        capacity = None if tape is None else tape.capacity
        return DriveStatus(
            has_tape=tape is not None,
            write_protected=tape is not None and tape.is_protected,
            position=self._position(),
            block_size=0,
            soft_errors=0,
            total_bytes=capacity,
            remaining_bytes=self._remaining(),
        )

    def write_records(self, pieces: Sequence[Piece], record_size: int) -> int:
        """See :meth:`TapeDrive.write_records`.

        :raises ValueError: the pieces are no multiple of ``record_size``.
        """
        tape = self._writable()
        data = bytes_of(pieces)
        if len(data) % record_size:
            raise ValueError(f"{len(data)} bytes are no multiple of {record_size}")
        given = len(data) // record_size
        taken = self._accept(tape, given, record_size)
        records = (data[i * record_size : (i + 1) * record_size] for i in range(taken))
        tape.items[self._at :] = records
        self._at += taken
        return taken

    def _accept(self, tape: MemoryTape, given: int, record_size: int) -> int:
        """How many records fit before the next limit; raises at a limit."""
        if tape.capacity is None or not given:
            return given
        used = tape.used(self._at)
        warning_at = tape.capacity - tape.early_warning
        if used + record_size <= warning_at:
            self._has_warned = False
            return min(given, (warning_at - used) // record_size)
        if not self._has_warned:
            self._has_warned = True
            raise CATALOGUE.raised_as(
                TapeError,
                "early-warning",
                condition=Condition.EARLY_WARNING,
                used=used,
                capacity=tape.capacity,
            )
        if used + record_size > tape.capacity:
            raise CATALOGUE.raised_as(
                TapeError,
                "end-of-medium",
                condition=Condition.END_OF_MEDIUM,
                used=used,
                capacity=tape.capacity,
            )
        return min(given, (tape.capacity - used) // record_size)

    def read_records(self, into: memoryview, limit: int, record_size: int) -> ReadRun:
        """See :meth:`TapeDrive.read_records`; answers in ``into``."""
        room = min(limit, len(into))
        records = [self._next_record(record_size)]
        length = len(records[0])
        while len(records[-1]) == record_size and length < room:
            item = self._item(self._at + len(records))
            if item is None or len(item) > min(record_size, room - length):
                break
            records.append(item)
            length += len(item)
        self._at += len(records)
        into[:length] = b"".join(records)
        return ReadRun((into[:length],), len(records), length)

    def read_record(self, size: int) -> bytes:
        """See :meth:`TapeDrive.read_record`."""
        record = self._next_record(None)
        self._at += 1
        return record[:size]

    def write_filemarks(self, count: int) -> None:
        """See :meth:`TapeDrive.write_filemarks`; none leaves the tape as it is."""
        tape = self._writable()
        if count:
            tape.items[self._at :] = [None] * count
            self._at += count

    def space_records(self, count: int) -> int:
        """See :meth:`TapeDrive.space_records`."""
        self._loaded()
        step = 1 if count > 0 else -1
        passed = 0
        while passed < abs(count) and self._item(self._ahead(step)) is not None:
            self._at += step
            passed += 1
        return passed

    def space_filemarks(self, count: int) -> int:
        """See :meth:`TapeDrive.space_filemarks`."""
        items = self._loaded().items
        step = 1 if count > 0 else -1
        passed = 0
        while passed < abs(count) and 0 <= self._ahead(step) < len(items):
            passed += items[self._ahead(step)] is None
            self._at += step
        return passed

    def rewind(self) -> None:
        """See :meth:`TapeDrive.rewind`."""
        self._loaded()
        self._at = 0

    def unload(self) -> None:
        """See :meth:`TapeDrive.unload`; :meth:`load` takes the same tape in."""
        self._loaded()
        self._at = 0
        self._is_loaded = False

    def load(self) -> None:
        """See :meth:`TapeDrive.load`."""
        self._is_loaded = self._inserted is not None
        self._loaded()

    def close(self) -> None:
        """See :meth:`TapeDrive.close`; nothing to free."""

    def _ahead(self, step: int) -> int:
        """The index that the head passes next in a direction."""
        return self._at if step > 0 else self._at - 1

    def _item(self, index: int) -> bytes | None:
        """The record at an index; ``None`` for a mark and outside the tape."""
        items = self._loaded().items
        return items[index] if 0 <= index < len(items) else None

    def _next_record(self, longest: int | None) -> bytes:
        """The record at the head; raises where there is none to be read."""
        items = self._loaded().items
        file, record = self._position()
        if self._at == len(items):
            raise CATALOGUE.raised_as(
                TapeError,
                "end-of-data",
                condition=Condition.END_OF_DATA,
                file=file,
                record=record,
            )
        item = items[self._at]
        if item is None:
            raise CATALOGUE.raised_as(
                TapeError, "filemark", condition=Condition.FILEMARK, file=file, record=record
            )
        if longest is not None and len(item) > longest:
            raise CATALOGUE.raised_as(
                TapeError,
                "record-too-long",
                condition=Condition.RECORD_TOO_LONG,
                file=file,
                record=record,
                length=len(item),
                expected=longest,
            )
        return item

    def _position(self) -> TapePosition:
        before = self._inserted.items[: self._at] if self._inserted is not None else []
        marks = before.count(None)
        since = next((n for n, item in enumerate(reversed(before)) if item is None), len(before))
        return TapePosition(marks, since)

    def _remaining(self) -> int | None:
        tape = self._inserted
        if tape is None or tape.capacity is None or not self._is_loaded:
            return None
        return tape.capacity - tape.used(self._at)

    def _loaded(self) -> MemoryTape:
        if self._inserted is None or not self._is_loaded:
            raise CATALOGUE.raised_as(TapeError, "no-tape", condition=Condition.NO_TAPE)
        return self._inserted

    def _writable(self) -> MemoryTape:
        tape = self._loaded()
        if tape.is_protected:
            raise CATALOGUE.raised_as(
                TapeError, "write-protected", condition=Condition.WRITE_PROTECTED
            )
        return tape
