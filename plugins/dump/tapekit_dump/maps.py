"""Maps of the dump stream: one bit for each inode number.

CLRI says which numbers are in use, BITS which have a record in this dump;
both have the same size. The bit of inode ``i`` is bit ``(i - 1) & 7`` of
byte ``(i - 1) >> 3``, in every byte order. The one rule: a map is a sequence
of records that nobody has to hold in memory as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekit_dump.headers import RECORD_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BITS_PER_RECORD", "ROOT", "dense_map", "has_bit", "map_records", "numbers_in"]

ROOT: Final = 2
"""The number of the root directory; 1 is never used."""

BITS_PER_RECORD: Final = RECORD_BYTES * 8


def map_records(highest: int) -> int:
    """Records that a map needs whose highest number is ``highest``."""
    return -(-highest // BITS_PER_RECORD)


def dense_map(highest: int) -> Iterator[bytes]:
    """The records of a map with every bit from 2 to ``highest`` set."""
    full = b"\xff" * RECORD_BYTES
    for index in range(map_records(highest)):
        here = min(highest - index * BITS_PER_RECORD, BITS_PER_RECORD)
        record = full if here == BITS_PER_RECORD else _ones(here)
        # Number 1 is never used.
        yield record if index else bytes((record[0] & 0xFE,)) + record[1:]


def _ones(count: int) -> bytes:
    return ((1 << count) - 1).to_bytes(RECORD_BYTES, "little")


def has_bit(bitmap: bytes | bytearray | memoryview, number: int) -> bool:
    """Whether the bit of ``number`` is set; beyond the map, none is."""
    index = number - 1
    if index < 0 or index >> 3 >= len(bitmap):
        return False
    return bool(bitmap[index >> 3] >> (index & 7) & 1)


def numbers_in(bitmap: bytes | bytearray | memoryview) -> Iterator[int]:
    """The numbers whose bits are set, ascending."""
    for index, byte in enumerate(bitmap):
        if byte:
            first = (index << 3) + 1
            yield from (first + bit for bit in range(8) if byte >> bit & 1)
