"""When an object of a file system was made.

A modification time can be set, and a change time moves with everything; the
time of birth stays, so that it tells a new object from an old one whose inode
number it got. The one rule: what is not told is unknown, never made up.
"""

from __future__ import annotations

import ctypes
import functools
import struct
from typing import Final

__all__ = ["birth_time_ns", "birth_time_of_open_ns"]

_SECOND_NS: Final = 1_000_000_000
_STATX_BYTES: Final = 256
_BIRTH: Final = struct.Struct("=I76xqI")
"""Mask, seconds and nanoseconds of birth in ``struct statx`` (linux/stat.h)."""
_BIRTH_MASK: Final = 0x800
_NO_FOLLOW: Final = 0x100
_EMPTY_PATH: Final = 0x1000


def birth_time_ns(name: bytes, directory: int) -> int | None:
    """When an object was made, in nanoseconds since 1970; ``None`` if its
    file system does not tell, or there is no such object.

    :param directory: the open directory that the name is in.
    """
    return _born(directory, name, _NO_FOLLOW)


def birth_time_of_open_ns(descriptor: int) -> int | None:
    """The same of an open object."""
    return _born(descriptor, b"", _EMPTY_PATH)


def _born(directory: int, name: bytes, flags: int) -> int | None:
    found = ctypes.create_string_buffer(_STATX_BYTES)
    if _libc().statx(directory, name, flags, _BIRTH_MASK, found):
        return None
    mask, seconds, nanoseconds = _BIRTH.unpack_from(found.raw)
    return seconds * _SECOND_NS + nanoseconds if mask & _BIRTH_MASK else None


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
