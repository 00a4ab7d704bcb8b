"""Both ends of a data connection in memory, and ends that break on cue.

A sink collects a stream, a source plays one back, each in one thread. The
sink is as slow as the contract allows: it uses a batch only when it needs
the batch's buffer again or the stream ends, so that an engine which reuses
a buffer or closes a file too early is found out. The one rule: every batch
taken is released exactly once, also when the connection breaks.
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING, Final, final

from tapekit.segments import BUFFER_BYTES, Batch, ConnectionBroken, Extent
from tapekit.testing.expecting import expect
from tapekit.testing.memory_tape import bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tapekit.segments import Piece

__all__ = [
    "FailingSink",
    "FailingSource",
    "MemoryRanges",
    "MemorySink",
    "MemorySource",
]


class MemorySink:
    """Collects a stream.

    ``buffers`` is the size of the ring; ``watch`` hears of the length so
    far after each batch, from the thread that puts.
    """

    def __init__(self, *, buffers: int = 8, watch: Callable[[int], None] | None = None) -> None:
        self._free: Final = [memoryview(bytearray(BUFFER_BYTES)) for _ in range(buffers)]
        self._ring: Final = buffers
        self._held: Final[deque[Batch]] = deque()
        self._watch: Final = watch
        self._data: Final = bytearray()
        self.length = 0
        """Bytes handed over so far."""
        self.is_finished = False

    @property
    def data(self) -> bytes:
        """The bytes that have been used so far; all of them at the end."""
        return bytes(self._data)

    def acquire(self) -> memoryview:
        """See :meth:`DataSink.acquire`.

        :raises AssertionError: all buffers are with the caller: with another
            thread at the other end it would wait for ever.
        """
        while not self._free:
            expect(self._held, f"all {self._ring} buffers were acquired and none was put")
            self._use_oldest()
        return self._free.pop()

    def recycle(self, buffer: memoryview) -> None:
        """See :meth:`DataSink.recycle`.

        :raises AssertionError: more buffers came back than were given.
        """
        expect(len(self._free) < self._ring, "a buffer was recycled twice")
        self._free.append(buffer)

    def put(self, batch: Batch) -> None:
        """See :meth:`DataSink.put`; keeps the batch as long as it can.

        :raises AssertionError: the stream has been finished.
        """
        expect(not self.is_finished, "put after finish")
        self._held.append(batch)
        self.length += batch.length
        while len(self._held) > self._ring:
            self._use_oldest()
        if self._watch is not None:
            self._watch(self.length)

    def drain(self) -> None:
        """See :meth:`DataSink.drain`."""
        while self._held:
            self._use_oldest()

    def finish(self) -> None:
        """See :meth:`DataSink.finish`.

        :raises AssertionError: it was finished before.
        """
        expect(not self.is_finished, "finish came twice")
        self.is_finished = True
        self.drain()

    def _use_oldest(self) -> None:
        batch = self._held.popleft()
        try:
            self._data.extend(bytes_of(batch.pieces))
        finally:
            batch.release()


@final
class FailingSink(MemorySink):
    """A sink whose other end breaks off after ``after`` bytes."""

    def __init__(self, after: int, *, buffers: int = 8) -> None:
        super().__init__(buffers=buffers)
        self._after: Final = after
        self._is_broken = False

    def acquire(self) -> memoryview:
        """See :meth:`DataSink.acquire`."""
        self._check()
        return super().acquire()

    def put(self, batch: Batch) -> None:
        """See :meth:`DataSink.put`."""
        if not self._is_broken:
            super().put(batch)
            self._is_broken = self.length > self._after
        else:
            batch.release()
        self._check()

    def drain(self) -> None:
        """See :meth:`DataSink.drain`."""
        self._check()
        super().drain()

    def finish(self) -> None:
        """See :meth:`DataSink.finish`."""
        self._check()
        super().finish()

    def _check(self) -> None:
        if self._is_broken:
            super().drain()
            raise ConnectionBroken


class MemorySource:
    """Plays a stream back.

    ``cuts`` are the lengths of the pieces, used in turn; a batch has up to
    ``per_batch`` of them. With ``file``, an open descriptor that has the
    same bytes from ``start`` on, the pieces are extents of it. A released
    batch is overwritten with ``0xEE``, so that a view which outlives its
    batch shows.
    """

    def __init__(
        self,
        data: bytes,
        *,
        cuts: Sequence[int] = (BUFFER_BYTES,),
        per_batch: int = 4,
        file: int | None = None,
        start: int = 0,
    ) -> None:
        self._data: Final = data
        self._lengths: Final = itertools.cycle(cuts)
        self._per_batch: Final = per_batch
        self._file: Final = file
        self._start: Final = start
        self._at = 0
        self.taken = 0
        """Batches given out."""
        self.released = 0
        """Batches that came back."""
        self.is_at_end = False
        """Whether the reader has been told of the end."""

    def get(self) -> Batch | None:
        """See :meth:`DataSource.get`."""
        pieces = tuple(itertools.islice(self._pieces(), self._per_batch))
        if not pieces:
            self.is_at_end = True
            return None
        self.taken += 1
        return Batch.of(pieces, lambda: self._take_back(pieces))

    def _pieces(self) -> Iterator[Piece]:
        while self._at < len(self._data):
            start = self._at
            self._at = min(start + next(self._lengths), len(self._data))
            if self._file is not None:
                yield Extent(self._file, self._start + start, self._at - start)
            else:
                yield memoryview(bytearray(self._data[start : self._at]))

    def _take_back(self, pieces: Sequence[Piece]) -> None:
        self.released += 1
        for piece in pieces:
            if not isinstance(piece, Extent):
                piece[:] = b"\xee" * len(piece)


@final
class FailingSource(MemorySource):
    """A source whose other end breaks off once ``after`` bytes were read."""

    def __init__(self, data: bytes, after: int, *, cuts: Sequence[int] = (BUFFER_BYTES,)) -> None:
        super().__init__(data[:after], cuts=cuts)

    def get(self) -> Batch | None:
        """See :meth:`DataSource.get`."""
        batch = super().get()
        if batch is None:
            raise ConnectionBroken
        return batch


@final
class MemoryRanges:
    """A stream of which a restore asks for ranges.

    ``make`` turns the offset and the bytes of a range into its source.
    """

    def __init__(
        self,
        data: bytes,
        make: Callable[[int, bytes], MemorySource] = lambda _, part: MemorySource(part),
    ) -> None:
        self._data: Final = data
        self._make: Final = make
        self.requests: Final[list[tuple[int, int]]] = []
        """Offset and length of each range asked for."""
        self.sources: Final[list[MemorySource]] = []

    def request(self, offset: int, length: int) -> MemorySource:
        """See :meth:`RangeSource.request`.

        :raises AssertionError: the range before has not been read to its end.
        """
        expect(
            all(source.is_at_end for source in self.sources),
            f"range {offset}+{length} was asked for before the last one was read",
        )
        self.requests.append((offset, length))
        self.sources.append(self._make(offset, self._data[offset : offset + length]))
        return self.sources[-1]
