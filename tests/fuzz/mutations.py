"""Damage to bytes, the same for the same seed; used where no fuzzer is installed."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

__all__ = ["cases"]

NUMBERS: Final = (0, 1, 2, 0xFF, 0x7FFF, 1 << 20, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)


def cases(seeds: list[bytes], count: int, chance: random.Random) -> Iterator[bytes]:
    """The seeds themselves, then damaged and joined ones, then mere noise."""
    yield from seeds
    for number in range(count):
        if number % 20 == 0:
            yield chance.randbytes(chance.randint(0, 200))
        else:
            yield damaged(chance.choice(seeds), chance.choice(seeds), chance)


def damaged(data: bytes, other: bytes, chance: random.Random) -> bytes:
    """Cut, flip, insert, repeat, swap, or put an absurd number somewhere."""
    bad = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        at = chance.randrange(len(bad) + 1)
        # Formats are made of words and blocks: damage likes their borders.
        at -= at % chance.choice((1, 4, 1024))
        match chance.randrange(7):
            case 0:
                del bad[at:]
            case 1 if bad:
                bad[at % len(bad)] ^= 1 << chance.randrange(8)
            case 2:
                bad[at:at] = chance.randbytes(chance.choice((1, 4, 1024)))
            case 3:
                del bad[at : at + chance.choice((1, 4, 8, 1024, 3000))]
            case 4:
                order = chance.choice("<>")
                bad[at : at + 4] = struct.pack(f"{order}I", chance.choice(NUMBERS))
            case 5:
                bad[at:at] = bad[at : at + chance.choice((4, 64, 1024, 2048))]
            case 6:
                start = chance.randrange(len(other) + 1)
                length = chance.choice((4, 64, 1024, 4096))
                bad[at : at + length] = other[start : start + length]
    return bytes(bad)
