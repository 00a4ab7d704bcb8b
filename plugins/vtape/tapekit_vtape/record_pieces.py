"""Bytes of records as pieces: the first of them, and a short one behind others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapekit.segments import Extent, piece_length, slice_piece

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.segments import Piece
    from tapekit_vtape.cartridge import Cartridge

__all__ = ["first_bytes", "with_shorter"]


def with_shorter(cartridge: Cartridge, position: int, count: int, most: int) -> tuple[Piece, int]:
    """So many records of a run, and how many it became: one more of another
    length may end what is read, if it has no more than ``most`` bytes. More
    than one would not be told apart.
    """
    piece = cartridge.records(position, count)
    following = cartridge.tape.run_at(position + count)
    if not isinstance(piece, Extent) or following is None or following.packed:
        return piece, count
    if 0 < following.length <= most:
        return Extent(piece.fd, piece.offset, piece.length + following.length), count + 1
    return piece, count


def first_bytes(pieces: Sequence[Piece], count: int) -> list[Piece]:
    """The first ``count`` bytes of pieces."""
    taken: list[Piece] = []
    for piece in pieces:
        length = min(count, piece_length(piece))
        taken.append(slice_piece(piece, 0, length))
        count -= length
        if not count:
            break
    return taken
