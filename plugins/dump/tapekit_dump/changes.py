"""What has changed since the base of an incremental dump.

A change of anything moves an object's change time, so that alone decides;
with IGNORE_CTIME files go by their modification time. An inode number may
have gone from a removed object to a new one, which brings an old time along
if a copying program set it: the time of birth tells, where the tree is the
volume itself. The one rule: in doubt an object has changed.
"""

from __future__ import annotations

import ctypes
import functools
import stat
import struct
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    import os

__all__ = ["Changes", "birth_time_ns"]

_SECOND_NS: Final = 1_000_000_000

_STATX_BYTES: Final = 256
_BIRTH: Final = struct.Struct("=I76xqI")
"""Mask, seconds and nanoseconds of birth in ``struct statx`` (linux/stat.h)."""
_BIRTH_MASK: Final = 0x800
_NO_FOLLOW: Final = 0x100


@final
class Changes:
    """Judges objects of a tree by their times.

    :param moment_s: the time that the base's data stands for, in seconds
        since 1970; what happened in that second happened after it.
    :param ignore_ctime: whether a change of nothing but the change time
        leaves files out.
    :param has_births: whether the tree tells when objects were made; a copy
        of it does not.
    """

    def __init__(self, moment_s: int, *, ignore_ctime: bool, has_births: bool) -> None:
        self._moment_ns: Final = moment_s * _SECOND_NS
        self._ignore_ctime: Final = ignore_ctime
        self._has_births: Final = has_births

    def is_another(self, directory: int, name: bytes, ctime_ns: int) -> bool:
        """Whether an object was made after the base, so that the base's
        object with its inode number was another one.

        :param ctime_ns: the object's change time in the volume.
        """
        if ctime_ns < self._moment_ns or not self._has_births:
            return False
        birth_ns = birth_time_ns(name, directory)
        return birth_ns is not None and birth_ns >= self._moment_ns

    def is_changed(
        self, directory: int, name: bytes, status: os.stat_result, ctime_ns: int
    ) -> bool:
        """Whether an object that was there at the base has changed."""
        if ctime_ns < self._moment_ns:
            return False
        if (
            not self._ignore_ctime
            or status.st_mtime_ns >= self._moment_ns
            or stat.S_ISDIR(status.st_mode)
        ):
            return True
        # Without a time of birth it may be another object with an old time.
        return not self._has_births or birth_time_ns(name, directory) is None


def birth_time_ns(name: bytes, directory: int) -> int | None:
    """When an object was made, in nanoseconds since 1970; ``None`` if its
    file system does not tell, or there is no such object.
    """
    found = ctypes.create_string_buffer(_STATX_BYTES)
    if _libc().statx(directory, name, _NO_FOLLOW, _BIRTH_MASK, found):
        return None
    mask, seconds, nanoseconds = _BIRTH.unpack_from(found.raw)
    return seconds * _SECOND_NS + nanoseconds if mask & _BIRTH_MASK else None


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
