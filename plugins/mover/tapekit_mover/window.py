"""Where in the stream a tape stands: window, records, positions.

Pure decisions, all in stream bytes. The window says which part of the stream
belongs to the present tape file, and its offset is where the tape stood when
it was set; everything else is counted from there (NDMP v4,
MOVER_SET_WINDOW). The one rule: only records that a drive has taken or given
move a count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit.hookspecs.mover import UNLIMITED, Window
from tapekit.segments import piece_length, slice_piece

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.segments import Piece

__all__ = ["Seek", "TapeCount", "cut", "window_stop"]


def window_stop(window: Window) -> int:
    """The first stream offset behind a window; a window without end has
    the largest number there is.
    """
    return min(window.offset + window.length, UNLIMITED)


class Seek(NamedTuple):
    """How to reach a stream offset: space, read, and drop."""

    records: int
    """Records to space over, backwards if negative."""
    drop: int
    """Bytes of the next record before the offset."""


@final
class TapeCount:
    """Counts records and bytes since a window was set."""

    def __init__(self, window: Window, record_size: int) -> None:
        self.window: Final = window
        self._record_size: Final = record_size
        self._stop: Final = window_stop(window)
        self._records = 0
        self.position = window.offset
        """The stream offset at which the tape stands."""

    @property
    def record_number(self) -> int:
        """The number of the present record in the whole image."""
        return self.position // self._record_size

    @property
    def room(self) -> int:
        """How many more whole records fit into the window."""
        return max(0, self._stop - self.position) // self._record_size

    def contains(self, offset: int) -> bool:
        """Whether a stream offset lies in the window."""
        return self.window.offset <= offset < self._stop

    def within(self, offset: int, length: int) -> int:
        """How many of ``length`` bytes from ``offset`` on lie in the window."""
        return min(length, self._stop - offset)

    def moved(self, records: int, length: int) -> None:
        """The tape has moved on by records of ``length`` bytes together."""
        self._records += records
        self.position += length

    def seek(self, offset: int) -> Seek:
        """How to reach an offset of the window.

        What follows a record that was shorter than the others is reached by
        reading on; anything else by counting records of the full size.
        """
        if offset == self.position:
            return Seek(0, 0)
        target, drop = divmod(offset - self.window.offset, self._record_size)
        return Seek(target - self._records, drop)

    def sought(self, records: int) -> None:
        """The tape has been spaced over records, backwards if negative."""
        self._records += records
        self.position = self.window.offset + self._records * self._record_size


def cut(pieces: Sequence[Piece], start: int, stop: int) -> list[Piece]:
    """The bytes ``start`` to ``stop`` of pieces, without copying."""
    found: list[Piece] = []
    for piece in pieces:
        length = piece_length(piece)
        if start < length and stop > 0:
            found.append(slice_piece(piece, max(0, start), min(stop, length)))
        start -= length
        stop -= length
    return found
