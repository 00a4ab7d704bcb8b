"""Pieces of a stream as the bytes of records, and how long a record may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekit.scsi.malformed import at_least, number
from tapekit.segments import Extent, piece_length, pread_exactly, slice_piece

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tapekit.segments import Piece

__all__ = ["LIMITS_BYTES", "longest_record", "records_of"]

LIMITS_BYTES: Final = 6
"""What READ BLOCK LIMITS answers (SSC)."""

_LONGEST_TRANSFER: Final = 0xFF_FFFF


def longest_record(limits: bytes) -> int:
    """Bytes of the longest record that a drive takes (SSC, READ BLOCK LIMITS).

    :raises Malformed: the answer is too short.
    """
    at_least(limits, LIMITS_BYTES, "READ BLOCK LIMITS data")
    return number(limits, 1, 3) or _LONGEST_TRANSFER


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
