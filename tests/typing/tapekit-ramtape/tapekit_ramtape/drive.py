"""A drive whose tape is a list: a record is its bytes, a filemark is ``None``.

The head stands before ``tape[at]``; everything else follows from that.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, final

from tapekit.hookspecs.tape_driver import (
    Condition,
    DriveStatus,
    ReadRun,
    TapeError,
    TapePosition,
)
from tapekit.segments import Extent
from tapekit_ramtape.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.segments import Piece

__all__ = ["RamDrive"]


@final
class RamDrive:
    """Keeps its tape when it is closed and opened again."""

    def __init__(self) -> None:
        self.tape: list[bytes | None] = []
        self.at = 0
        self.is_loaded = True
        self.is_open = False

    def status(self) -> DriveStatus:
        before = [None, *self.tape[: self.at]]
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
        data = b"".join(map(_bytes_of, pieces))
        return self._write([data[i : i + record_size] for i in range(0, len(data), record_size)])

    def write_filemarks(self, count: int) -> None:
        self._write([None] * count)

    def read_records(self, into: memoryview, limit: int, record_size: int) -> ReadRun:
        del into, limit  # one record at a time is a run, too
        record = self._read(record_size)
        return ReadRun([memoryview(record)], 1, len(record))

    def read_record(self, size: int) -> bytes:
        return self._read(sys.maxsize)[:size]

    def space_records(self, count: int) -> int:
        return self._space(count, over_marks=False)

    def space_filemarks(self, count: int) -> int:
        return self._space(count, over_marks=True)

    def rewind(self) -> None:
        self._require(self.is_loaded, Condition.NO_TAPE)
        self.at = 0

    def unload(self) -> None:
        self.rewind()
        self.is_loaded = False

    def load(self) -> None:
        self.is_loaded = True

    def close(self) -> None:
        self.is_open = False

    def _write(self, items: Sequence[bytes | None]) -> int:
        self._require(self.is_loaded, Condition.NO_TAPE)
        if items:
            self.tape[self.at :] = items
            self.at += len(items)
        return len(items)

    def _read(self, longest: int) -> bytes:
        self._require(self.is_loaded, Condition.NO_TAPE)
        self._require(self.at < len(self.tape), Condition.END_OF_DATA)
        record = self.tape[self.at]
        self._require(record is not None, Condition.FILEMARK)
        assert record is not None
        self._require(len(record) <= longest, Condition.RECORD_TOO_LONG)
        self.at += 1
        return record

    def _space(self, count: int, *, over_marks: bool) -> int:
        self._require(self.is_loaded, Condition.NO_TAPE)
        step = 1 if count > 0 else -1
        passed = 0
        while passed < abs(count):
            ahead = self.at if step > 0 else self.at - 1
            if not 0 <= ahead < len(self.tape):
                break
            is_mark = self.tape[ahead] is None
            if is_mark and not over_marks:
                break
            passed += is_mark == over_marks
            self.at += step
        return passed

    def _require(self, claim: bool, otherwise: Condition) -> None:
        if not claim:
            raise CATALOGUE.raised_as(
                TapeError, "stopped", condition=otherwise, reason=otherwise.value
            )


def _bytes_of(piece: Piece) -> bytes | memoryview:
    if isinstance(piece, Extent):
        return os.pread(piece.fd, piece.length, piece.offset).ljust(piece.length, b"\0")
    return piece
