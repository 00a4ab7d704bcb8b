"""A stream that a restore reads here and there, in as few steps as it can.

Whoever reads says how far it will go on, and that much is asked for at once;
beyond that the steps begin small and double, so that what is read in vain is
never more than what was wanted. The one rule: before anything else is asked
for, what was asked for has been read to its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.streams import StreamReader
from tapekit_dump.headers import RECORD_BYTES

if TYPE_CHECKING:
    from tapekit.hookspecs.data_engine import RangeSource
    from tapekit.segments import Batch, DataSource

__all__ = ["DirectStream"]

_LARGEST_STEP: Final = 1 << 20
"""What is asked for when nobody has said how far it goes."""

_LARGEST_RANGE: Final = 32 << 20
"""What is asked for at once: a hole may make a file shorter than it looks."""


@final
class DirectStream:
    """Opens readers at any place of a stream, one at a time."""

    def __init__(self, ranges: RangeSource) -> None:
        self._ranges: Final = ranges
        self._part: DataSource | None = None
        self._reader: StreamReader | None = None
        self._asked_to = 0
        self._wanted_to = 0
        self._step = RECORD_BYTES
        self._missing = 0
        self.bytes_read = 0
        """How much has come, in bytes; readable from any thread."""

    def open_at(self, offset: int) -> StreamReader:
        """A reader whose first byte is that at ``offset``; one that was given
        before is of no use any more.

        :raises ConnectionBroken: the connection is gone.
        """
        self.close()
        self._asked_to = self._wanted_to = offset
        self._step = RECORD_BYTES
        reader = self._reader = StreamReader(self)
        reader.position = offset
        return reader

    def expect(self, stop: int) -> None:
        """Say that everything up to ``stop`` will be read."""
        self._wanted_to = max(self._wanted_to, stop)
        self._step = RECORD_BYTES

    def get(self) -> Batch | None:
        """The next batch, asked for if need be; see :class:`DataSource`."""
        while True:
            if self._part is None:
                self._part = self._next_part()
            batch = self._part.get()
            if batch is not None:
                self._missing -= batch.length
                self.bytes_read += batch.length
                return batch
            if self._missing:
                # The stream ends before the range does.
                return None
            self._part = None

    def close(self) -> None:
        """Read what was asked for to its end.

        :raises ConnectionBroken: the connection is gone.
        """
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        while self._part is not None and (batch := self._part.get()) is not None:
            self.bytes_read += batch.length
            batch.release()
        self._part = None

    def release(self) -> None:
        """Let go of what has come, without waiting for more."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _next_part(self) -> DataSource:
        length = min(self._wanted_to - self._asked_to, _LARGEST_RANGE)
        if length <= 0:
            length = self._step
            self._step = min(2 * self._step, _LARGEST_STEP)
        part = self._ranges.request(self._asked_to, length)
        self._asked_to += length
        self._missing = length
        return part
