"""Writes the contents of files, block by block, each block once.

A new file is written where it has data; of one that has changed, the blocks
that are not as in the copy before. Where files can have blocks in common,
those that lie where another file's lie are compared with them and written as
a share. The one rule: where blocks lie is a hint, and two files share what
has been read from both and is the same; a file's own blocks that have stayed
in their place are the exception.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, final

from tapekit_smtape.backup_chunks import BLOCK_BYTES
from tapekit_smtape.backup_extents import Range, data_ranges, extents_of, same_ranges
from tapekit_smtape.format_records import Hole, Share

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tapekit_smtape.backup_chunks import ChunkWriter
    from tapekit_smtape.backup_extents import Extent
    from tapekit_smtape.backup_index import CopyIndex, Place
    from tapekit_smtape.backup_walk import CopyWalk, Visit

__all__ = ["ContentSender"]

_AT_ONCE: Final = 1 << 20
_SECTOR: Final = 512
"""What ``st_blocks`` counts."""


@final
class ContentSender:
    """Writes the files of one Snapshot copy; for one thread."""

    def __init__(
        self, writer: ChunkWriter, walk: CopyWalk, index: CopyIndex, *, shares: bool
    ) -> None:
        self._writer: Final = writer
        self._walk: Final = walk
        self._index: Final = index
        self._shares: Final = shares

    def note(self, visit: Visit, fd: int) -> None:
        """Remember where the blocks of a file lie that is not written."""
        self._index.add_places(visit.number, visit.path, extents_of(fd))

    def send(self, visit: Visit, fd: int) -> None:
        """Write all of a new file."""
        status = visit.status
        if not self._shares:
            if status.st_blocks * _SECTOR >= status.st_size:
                self._writer.data(fd, 0, status.st_size)
                return
            for start, stop in data_ranges(fd, 0, status.st_size):
                self._writer.data(fd, start, stop - start)
            return
        extents = extents_of(fd)
        for each in data_ranges(fd, 0, status.st_size):
            self._send_range(fd, each, extents)
        self._index.add_places(visit.number, visit.path, extents)

    def send_changes(self, visit: Visit, fd: int, old: int) -> None:
        """Write what a file has otherwise than in the copy before.

        :param old: open descriptor of the file in the copy before.
        """
        size, old_size = visit.status.st_size, os.fstat(old).st_size
        common = min(size, old_size)
        # The old end may be in a block that has become a hole.
        holes_stop = min(size, old_size + -old_size % BLOCK_BYTES)
        extents = extents_of(fd) if self._shares else []
        same = same_ranges(extents_of(old), extents) if self._shares else []
        at = 0
        for start, stop in data_ranges(fd, 0, size):
            self._send_holes(old, at, min(start, holes_stop))
            at = stop
            for low, high in _without(Range(start, min(stop, common)), same):
                for each in _different(fd, old, Range(low, high)):
                    self._send_range(fd, each, extents)
            beyond = max(start, common - common % BLOCK_BYTES)
            if beyond < stop and stop > common:
                self._send_range(fd, Range(beyond, stop), extents)
        self._send_holes(old, at, holes_stop)
        if self._shares:
            self._index.add_places(visit.number, visit.path, extents)

    def _send_holes(self, old: int, start: int, stop: int) -> None:
        """Where the file has become a hole."""
        for low, high in data_ranges(old, start, stop):
            self._writer.record(Hole(low, high - low))

    def _send_range(self, fd: int, wanted: Range, extents: Sequence[Extent]) -> None:
        at = wanted.start
        for extent in extents:
            low = max(at, extent.start)
            high = min(wanted.stop, extent.start + extent.length)
            if low >= high or not extent.is_shared:
                continue
            if at < low:
                self._writer.data(fd, at, low - at)
            self._send_shared(fd, Range(low, high), extent)
            at = high
        if at < wanted.stop:
            self._writer.data(fd, at, wanted.stop - at)

    def _send_shared(self, fd: int, wanted: Range, extent: Extent) -> None:
        """Write blocks that another file may have too."""
        at = wanted.start
        while at < wanted.stop:
            lies_at = extent.place + at - extent.start
            place = self._index.place(lies_at)
            if place is None:
                break
            start = place.start + lies_at - place.place
            count = min(place.start + place.length - start, wanted.stop - at)
            if not self._is_same(fd, at, place, start, count):
                break
            self._writer.record(Share(at, place.number, start, count))
            at += count
        if at < wanted.stop:
            self._writer.data(fd, at, wanted.stop - at)

    def _is_same(self, fd: int, offset: int, place: Place, start: int, count: int) -> bool:
        try:
            other = self._walk.open(place.path)
        except OSError:
            # It has another name now, so that its blocks are written again.
            return False
        try:
            if self._walk.number_of(other) != place.number:
                return False
            done = 0
            while done < count:
                part = min(_AT_ONCE, count - done)
                ours = os.pread(fd, part, offset + done)
                if not ours or ours != os.pread(other, part, start + done):
                    return False
                done += len(ours)
        finally:
            os.close(other)
        return True


def _without(whole: Range, parts: Sequence[Range]) -> Iterator[Range]:
    """What of a range is in none of the others, which are in order; by whole
    blocks.
    """
    at = whole.start
    for start, stop in parts:
        if stop <= at or start >= whole.stop:
            continue
        if at < start:
            yield Range(at, min(start, whole.stop))
        at = stop
    if at < whole.stop:
        yield Range(at, whole.stop)


def _different(fd: int, old: int, wanted: Range) -> Iterator[Range]:
    """The blocks of a range that two files have otherwise, as few ranges as
    there are.
    """
    pending: Range | None = None
    for at in range(wanted.start, wanted.stop, _AT_ONCE):
        count = min(_AT_ONCE, wanted.stop - at)
        ours, theirs = os.pread(fd, count, at), os.pread(old, count, at)
        if ours == theirs and len(ours) == count:
            continue
        for start in range(0, count, BLOCK_BYTES):
            stop = min(start + BLOCK_BYTES, count)
            if ours[start:stop] == theirs[start:stop] and len(ours) >= stop:
                continue
            if pending is not None and pending.stop == at + start:
                pending = Range(pending.start, at + stop)
                continue
            if pending is not None:
                yield pending
            pending = Range(at + start, at + stop)
    if pending is not None:
        yield pending
