"""Maps of the dump stream: one bit for each inode number.

CLRI says which numbers are in use, BITS which have a record in this dump;
both have the same size. The bit of inode ``i`` is bit ``(i - 1) & 7`` of
byte ``(i - 1) >> 3``, in every byte order. The one rule: a map is a sequence
of records that nobody has to hold in memory as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit_dump.headers import RECORD_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "BITS_PER_RECORD",
    "ROOT",
    "NumberSet",
    "dense_map",
    "has_bit",
    "map_records",
    "numbers_in",
]

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


@final
class NumberSet:
    """Numbers of one dump, a bit for each up to the highest."""

    def __init__(self) -> None:
        self._bits: Final = bytearray()

    def add(self, number: int) -> None:
        """Take a number in; it may be in already."""
        index = number - 1
        missing = (index >> 3) + 1 - len(self._bits)
        if missing > 0:
            self._bits.extend(bytes(max(missing, RECORD_BYTES)))
        self._bits[index >> 3] |= 1 << (index & 7)

    def extend(self, data: bytes | memoryview) -> None:
        """Take in the next bytes of a map, read from its beginning on."""
        self._bits.extend(data)

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and has_bit(self._bits, number)

    def __iter__(self) -> Iterator[int]:
        """The numbers, ascending."""
        return numbers_in(self._bits)

    def __len__(self) -> int:
        return int.from_bytes(self._bits, "little").bit_count()

    def records(self, highest: int) -> Iterator[bytes]:
        """The records of a map whose highest number is ``highest``."""
        for index in range(map_records(highest)):
            here = self._bits[index * RECORD_BYTES : (index + 1) * RECORD_BYTES]
            yield bytes(here).ljust(RECORD_BYTES, b"\0")
