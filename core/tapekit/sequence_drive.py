"""A whole tape drive over any sequence of records and filemarks.

What a driver's author has to bring is a mutable sequence in which a record is
its bytes and a filemark is ``None``: a list, or a class that keeps them
somewhere else. The head stands before item ``at``; everything that
:class:`tapekit.hookspecs.tape_driver.TapeDrive` promises follows from that.
It suits media that are reached record by record; a medium that moves many
records at once is better served by a drive of its own.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from tapekit.errors import CORE
from tapekit.hookspecs.tape_driver import (
    Condition,
    DriveStatus,
    ReadRun,
    TapeError,
    TapePosition,
)
from tapekit.segments import Extent, piece_length, pread_exactly

if TYPE_CHECKING:
    from collections.abc import MutableSequence, Sequence

    from tapekit.scsi.door import CdbDoor
    from tapekit.segments import Piece

__all__ = ["SequenceDrive"]


class SequenceDrive:
    """A drive whose tape is ``items``; subclasses may add limits of their own.

    It keeps its tape and the head's place when it is closed; ``is_open`` is
    for the driver, which lends it to one at a time.
    """

    def __init__(self, items: MutableSequence[bytes | None]) -> None:
        self._items: Final = items
        self._at = 0
        self.is_loaded = True
        self.is_open = False
        self.door: CdbDoor | None = None

    def status(self) -> DriveStatus:
        """See :meth:`TapeDrive.status`."""
        before = [None, *self._items[: self._at]]
        return DriveStatus(
            has_tape=self.is_loaded,
            write_protected=False,
            position=TapePosition(before.count(None) - 1, before[::-1].index(None)),
            block_size=0,
            soft_errors=0,
            total_bytes=None,
            remaining_bytes=None,
        )

    def write_records(self, pieces: Sequence[Piece], record_size: int) -> int:
        """See :meth:`TapeDrive.write_records`."""
        data = b"".join(map(_bytes_of, pieces))
        return self._write([data[i : i + record_size] for i in range(0, len(data), record_size)])

    def write_filemarks(self, count: int) -> None:
        """See :meth:`TapeDrive.write_filemarks`."""
        self._write([None] * count)

    def read_records(self, into: memoryview, limit: int, record_size: int) -> ReadRun:
        """See :meth:`TapeDrive.read_records`; a run is one record."""
        del into, limit
        record = self._read(record_size)
        return ReadRun([memoryview(record)], 1, len(record))

    def read_record(self, size: int) -> bytes:
        """See :meth:`TapeDrive.read_record`."""
        return self._read(sys.maxsize)[:size]

    def space_records(self, count: int) -> int:
        """See :meth:`TapeDrive.space_records`."""
        return self._space(count, over_marks=False)

    def space_filemarks(self, count: int) -> int:
        """See :meth:`TapeDrive.space_filemarks`."""
        return self._space(count, over_marks=True)

    def rewind(self) -> None:
        """See :meth:`TapeDrive.rewind`."""
        self._require(self.is_loaded, Condition.NO_TAPE)
        self._at = 0

    def unload(self) -> None:
        """See :meth:`TapeDrive.unload`."""
        self.rewind()
        self.is_loaded = False

    def load(self) -> None:
        """See :meth:`TapeDrive.load`."""
        self.is_loaded = True

    def close(self) -> None:
        """See :meth:`TapeDrive.close`."""
        self.is_open = False

    def _write(self, items: Sequence[bytes | None]) -> int:
        self._require(self.is_loaded, Condition.NO_TAPE)
        if items:
            self._items[self._at :] = items
            self._at += len(items)
        return len(items)

    def _read(self, longest: int) -> bytes:
        self._require(self.is_loaded, Condition.NO_TAPE)
        self._require(self._at < len(self._items), Condition.END_OF_DATA)
        record = self._items[self._at]
        self._require(record is not None, Condition.FILEMARK)
        assert record is not None
        self._require(len(record) <= longest, Condition.RECORD_TOO_LONG)
        self._at += 1
        return record

    def _space(self, count: int, *, over_marks: bool) -> int:
        self._require(self.is_loaded, Condition.NO_TAPE)
        step = 1 if count > 0 else -1
        passed = 0
        while passed < abs(count):
            ahead = self._at if step > 0 else self._at - 1
            if not 0 <= ahead < len(self._items):
                break
            is_mark = self._items[ahead] is None
            if is_mark and not over_marks:
                break
            passed += is_mark == over_marks
            self._at += step
        return passed

    def _require(self, claim: bool, otherwise: Condition) -> None:
        if not claim:
            raise CORE.raised_as(
                TapeError, "tape-stopped", condition=otherwise, reason=otherwise.value
            )


def _bytes_of(piece: Piece) -> bytes | bytearray | memoryview:
    if not isinstance(piece, Extent):
        return piece
    data = bytearray(piece_length(piece))
    pread_exactly(piece, memoryview(data))
    return data
