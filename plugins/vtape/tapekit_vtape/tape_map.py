"""What lies where on a tape: runs of equal records and of filemarks.

Records and filemarks are *objects*, counted from 0 as a SCSI drive counts
them; a position is the number of objects before the head. Neighbours that
are alike share a run, and each run knows what stands before it, so that any
position is found by bisection however long the tape is. Records that were
compressed together are a run of their own. Nothing here does
I/O. The one rule: everything before a position is independent of what comes
after it, so cutting a tape never changes what remains.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit.hookspecs.tape_driver import TapePosition

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["FILEMARK", "Run", "TapeFile", "TapeMap"]

FILEMARK: Final = 0
"""The length that stands for a filemark; no record is empty."""


class Run(NamedTuple):
    """Neighbouring objects that are alike, and what stands before them."""

    length: int
    """Bytes of each record, or :data:`FILEMARK`."""
    objects: int
    first_object: int
    first_byte: int
    """Bytes of the payload before it."""
    first_mark: int
    first_data: int
    """Bytes of all records before it."""
    packed: int = 0
    """Bytes that its records take in the payload as one frame, or 0 if they
    lie there as they are. A frame stays whole when some of its records are cut."""

    @property
    def stop_object(self) -> int:
        """The position behind the run."""
        return self.first_object + self.objects

    @property
    def stop_byte(self) -> int:
        """Payload bytes before the position behind the run."""
        return self.first_byte + (self.packed or self.length * self.objects)

    @property
    def stop_data(self) -> int:
        """Bytes of all records before the position behind the run."""
        return self.first_data + self.length * self.objects

    @property
    def stop_mark(self) -> int:
        """Filemarks before the position behind the run."""
        return self.first_mark + (self.objects if self.length == FILEMARK else 0)


class TapeFile(NamedTuple):
    """One tape file: its records."""

    number: int
    first_object: int
    records: int
    length: int
    """Bytes of all its records."""


_NOTHING: Final = Run(FILEMARK, 0, 0, 0, 0, 0)


@final
class TapeMap:
    """The objects of a tape, from its beginning to the end of data."""

    def __init__(self) -> None:
        self._runs: Final[list[Run]] = []
        self._first_objects: Final[list[int]] = []
        self._first_marks: Final[list[int]] = []

    @property
    def _last(self) -> Run:
        return self._runs[-1] if self._runs else _NOTHING

    @property
    def objects(self) -> int:
        """Records and filemarks on the tape: the position of end of data."""
        return self._last.stop_object

    @property
    def end(self) -> int:
        """The length of the payload."""
        return self._last.stop_byte

    @property
    def data_bytes(self) -> int:
        """Bytes of all records."""
        return self._last.stop_data

    @property
    def marks(self) -> int:
        """Filemarks on the tape."""
        return self._last.stop_mark

    @property
    def runs(self) -> Sequence[Run]:
        """All runs in order; neighbours of the same length are one, unless compressed."""
        return self._runs

    def append(self, length: int, count: int, packed: int = 0) -> None:
        """Append records of ``length`` bytes, or filemarks.

        :param packed: bytes of the frame that the records are compressed to.
        """
        last = self._last
        if last.objects and last.length == length and not (packed or last.packed):
            self._runs[-1] = last._replace(objects=last.objects + count)
            return
        run = Run(
            length,
            count,
            last.stop_object,
            last.stop_byte,
            last.stop_mark,
            last.stop_data,
            packed,
        )
        self._runs.append(run)
        self._first_objects.append(run.first_object)
        self._first_marks.append(run.first_mark)

    def cut(self, objects: int) -> None:
        """Keep the first ``objects`` objects."""
        keep = bisect_left(self._first_objects, objects)
        del self._runs[keep:], self._first_objects[keep:], self._first_marks[keep:]
        last = self._last
        if last.stop_object > objects:
            self._runs[-1] = last._replace(objects=objects - last.first_object)

    def objects_within(self, payload_bytes: int) -> int:
        """How many objects have all their bytes in a payload of this length."""
        kept = 0
        for run in self._runs:
            if run.stop_byte > payload_bytes:
                whole = 0 if run.packed else (payload_bytes - run.first_byte) // run.length
                return kept + whole
            kept = run.stop_object
        return kept

    def run_at(self, position: int) -> Run | None:
        """The run of the object behind the head; ``None`` at the end of data."""
        if position >= self.objects:
            return None
        return self._runs[bisect_right(self._first_objects, position) - 1]

    def byte_at(self, position: int) -> int:
        """Payload bytes before a position; a frame counts as a whole from its
        second record on.
        """
        run = self.run_at(position)
        if run is None:
            return self.end
        if run.packed:
            return run.first_byte if position == run.first_object else run.stop_byte
        return run.first_byte + run.length * (position - run.first_object)

    def data_at(self, position: int) -> int:
        """Bytes of all records before a position."""
        run = self.run_at(position)
        if run is None:
            return self.data_bytes
        return run.first_data + run.length * (position - run.first_object)

    def marks_before(self, position: int) -> int:
        """Filemarks before a position: the number of its tape file."""
        run = self.run_at(position)
        if run is None:
            return self.marks
        into_run = position - run.first_object
        return run.first_mark + (into_run if run.length == FILEMARK else 0)

    def mark(self, number: int) -> int:
        """The position before filemark ``number``, counted from 0."""
        # Only the run that has the mark is the last to begin at or before it:
        # whatever follows that run has all of its marks before it.
        run = self._runs[bisect_right(self._first_marks, number) - 1]
        return run.first_object + number - run.first_mark

    def file_start(self, position: int) -> int:
        """The position of the first record of the tape file at ``position``."""
        before = self.marks_before(position)
        return self.mark(before - 1) + 1 if before else 0

    def file_stop(self, position: int) -> int:
        """The position of the next filemark, or the end of data."""
        before = self.marks_before(position)
        return self.mark(before) if before < self.marks else self.objects

    def describe(self, position: int) -> TapePosition:
        """Tape file and record of a position."""
        return TapePosition(self.marks_before(position), position - self.file_start(position))

    def over_records(self, position: int, count: int) -> int:
        """Where spacing over records ends; it stays within the tape file."""
        if count >= 0:
            return min(position + count, self.file_stop(position))
        return max(position + count, self.file_start(position))

    def over_marks(self, position: int, count: int) -> tuple[int, int]:
        """Where spacing over filemarks ends, and how many it passes."""
        before = self.marks_before(position)
        if count >= 0:
            passed = min(count, self.marks - before)
            if passed < count:
                return self.objects, passed
            return (self.mark(before + passed - 1) + 1 if passed else position), passed
        passed = min(-count, before)
        if passed < -count:
            return 0, passed
        return self.mark(before - passed), passed

    def may_append(self, position: int) -> bool:
        """Whether writing at a position overwrites no record: only the last
        filemarks follow it, and not from the beginning of the tape on.
        """
        if position >= self.objects:
            return True
        last = self._last
        return last.length == FILEMARK and 0 < last.first_object <= position

    def files(self) -> Iterator[TapeFile]:
        """All tape files; a last one without a filemark counts if it has records."""
        start = 0
        for number in range(self.marks + 1):
            stop = self.mark(number) if number < self.marks else self.objects
            if number < self.marks or stop > start:
                length = self.data_at(stop) - self.data_at(start)
                yield TapeFile(number, start, stop - start, length)
            start = stop + 1
