"""What has come over the connection and is not on tape yet.

Batches stay where they are and records are cut across them as slices, so
that no byte is copied. Only what is left over and does not fill a record is
gathered in a buffer of one record: a sender that waits until its batches
have been used, while we wait for the rest of a record, would wait for ever.
The one rule: a batch is released as soon as no whole record of it is left.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, final

from tapekit.segments import Extent, piece_length, pread_exactly, slice_piece

if TYPE_CHECKING:
    from tapekit.segments import Batch, Piece

__all__ = ["Backlog"]


@final
class Backlog:
    """Pieces of the stream in order, :attr:`length` bytes together."""

    def __init__(self, record_size: int) -> None:
        self._record_size: Final = record_size
        self._pieces: Final[deque[Piece]] = deque()
        self._batches: Final[deque[tuple[Batch, int]]] = deque()
        self._taken = 0
        self._added = 0
        self._partial: memoryview | None = None
        self._gathered = 0

    @property
    def length(self) -> int:
        """Bytes that have been added and not taken."""
        return self._added - self._taken

    def add(self, batch: Batch) -> None:
        """Append a batch, which is released when it has been used.

        :raises OSError: the file of an extent cannot be read.
        """
        self._pieces.extend(piece for piece in batch.pieces if piece_length(piece))
        self._added += batch.length
        self._batches.append((batch, self._added))
        self._settle()

    def pad(self) -> None:
        """Append zeros up to a whole record."""
        missing = -self.length % self._record_size
        if missing:
            self._pieces.append(memoryview(bytes(missing)))
            self._added += missing

    def first(self, length: int) -> list[Piece]:
        """The first ``length`` bytes, which stay in the backlog."""
        found: list[Piece] = []
        for piece in self._pieces:
            if piece_length(piece) >= length:
                found.append(slice_piece(piece, 0, length))
                return found
            found.append(piece)
            length -= piece_length(piece)
        return found

    def take(self, length: int) -> None:
        """Let go of the first ``length`` bytes, whole records.

        :raises OSError: the file of an extent cannot be read.
        """
        self._taken += length
        # Less than a record is ever gathered, and whole records are taken.
        self._gathered = 0
        while length:
            piece = self._pieces.popleft()
            if piece_length(piece) > length:
                self._pieces.appendleft(slice_piece(piece, length, piece_length(piece)))
                break
            length -= piece_length(piece)
        self._settle()

    def release(self) -> None:
        """Let go of everything."""
        self._pieces.clear()
        self._taken = self._added
        self._gathered = 0
        self._release_used()

    def _settle(self) -> None:
        """Release what has been used, and gather the rest of a record."""
        self._release_used()
        if self._batches and self.length < self._record_size:
            self._gather()

    def _release_used(self) -> None:
        while self._batches and self._batches[0][1] <= self._taken:
            self._batches.popleft()[0].release()

    def _gather(self) -> None:
        """Copy what is there, less than a record, and release its batches."""
        if self._partial is None:
            self._partial = memoryview(bytearray(self._record_size))
        if self._gathered:
            self._pieces.popleft()
        for piece in self._pieces:
            stop = self._gathered + piece_length(piece)
            if isinstance(piece, Extent):
                pread_exactly(piece, self._partial[self._gathered : stop])
            else:
                self._partial[self._gathered : stop] = piece
            self._gathered = stop
        self._pieces.clear()
        self._pieces.append(self._partial[: self._gathered])
        while self._batches:
            self._batches.popleft()[0].release()
