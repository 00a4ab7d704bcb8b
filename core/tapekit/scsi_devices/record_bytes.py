"""Pieces of a stream as the bytes of records, one record after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapekit.segments import Extent, piece_length, pread_exactly, slice_piece

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tapekit.segments import Piece

__all__ = ["records_of"]


def records_of(pieces: Sequence[Piece], record_size: int) -> Iterator[bytes]:
    """The records in pieces, which are a whole number of them; what an extent
    lacks is zeros.

    :raises ValueError: the pieces are no whole records.
    :raises OSError: the file of an extent cannot be read.
    """
    length = sum(map(piece_length, pieces))
    if length % record_size:
        raise ValueError(f"{length} bytes are no whole records of {record_size}")
    record = memoryview(bytearray(record_size))
    filled = 0
    for piece in pieces:
        start, stop = 0, piece_length(piece)
        while start < stop:
            count = min(record_size - filled, stop - start)
            _copy(slice_piece(piece, start, start + count), record[filled : filled + count])
            start, filled = start + count, filled + count
            if filled == record_size:
                yield bytes(record)
                filled = 0


def _copy(piece: Piece, into: memoryview) -> None:
    if isinstance(piece, Extent):
        pread_exactly(piece, into)
    else:
        into[:] = piece
