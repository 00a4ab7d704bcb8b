"""What has changed since the base of an incremental dump.

A change of anything moves an object's change time, so that alone decides;
with IGNORE_CTIME files go by their modification time. An inode number may
have gone from a removed object to a new one, which brings an old time along
if a copying program set it: the time of birth tells, where there is one. The
one rule: in doubt an object has changed.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

__all__ = ["Changes"]

_SECOND_NS: Final = 1_000_000_000


@final
class Changes:
    """Judges objects of a tree by their times.

    :param moment_s: the time that the base's data stands for, in seconds
        since 1970; what happened in that second happened after it.
    :param ignore_ctime: whether a change of nothing but the change time
        leaves files out.
    :param birth_ns: tells when an object was made, by its open directory and
        its name; see ``tapekit.hookspecs.storage.BackupTree.birth_ns``.
    """

    def __init__(
        self,
        moment_s: int,
        *,
        ignore_ctime: bool,
        birth_ns: Callable[[int, bytes], int | None],
    ) -> None:
        self._moment_ns: Final = moment_s * _SECOND_NS
        self._ignore_ctime: Final = ignore_ctime
        self._birth_ns: Final = birth_ns

    def is_another(self, directory: int, name: bytes, ctime_ns: int) -> bool:
        """Whether an object was made after the base, so that the base's
        object with its inode number was another one.

        :param ctime_ns: the object's change time in the volume.
        """
        if ctime_ns < self._moment_ns:
            return False
        birth_ns = self._birth_ns(directory, name)
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
        return self._birth_ns(directory, name) is None
