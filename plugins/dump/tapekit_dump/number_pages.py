"""Which object of the tree has which number, as pages for the state store.

A number stays with its object from one level to the next, so what a dump
numbered is kept until nothing builds on it: the inode number of each number,
in order. Bytes of equal weight stand together in a page, which lets it
shrink to a byte or two for an object. The one rule: 0 stands for
an object that must not be found again.
"""

from __future__ import annotations

import array
import sys
import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["NUMBERS_PER_PAGE", "BadPage", "pack_page", "unpack_page"]

NUMBERS_PER_PAGE: Final = 1 << 16

_WIDTH: Final = 8
_QUICK: Final = 1


class BadPage(ValueError):
    """A page is missing or was not written by this engine."""


def pack_page(inodes: Iterable[int]) -> bytes:
    """A page of inode numbers."""
    raw = _little_endian(array.array("Q", inodes)).tobytes()
    return zlib.compress(b"".join(raw[weight::_WIDTH] for weight in range(_WIDTH)), _QUICK)


def unpack_page(page: bytes | None) -> array.array[int]:
    """The inode numbers of a page.

    :raises BadPage: it is missing or damaged.
    """
    if page is None:
        raise BadPage("missing")
    try:
        planes = zlib.decompress(page)
    except zlib.error as error:
        raise BadPage(str(error)) from error
    count, rest = divmod(len(planes), _WIDTH)
    if rest or count > NUMBERS_PER_PAGE:
        raise BadPage(f"{len(planes)} bytes")
    raw = bytearray(len(planes))
    for weight in range(_WIDTH):
        raw[weight::_WIDTH] = planes[weight * count : (weight + 1) * count]
    inodes = array.array("Q")
    inodes.frombytes(raw)
    return _little_endian(inodes)


def _little_endian(inodes: array.array[int]) -> array.array[int]:
    """To or from the byte order of pages."""
    if sys.byteorder == "big":
        inodes.byteswap()
    return inodes
