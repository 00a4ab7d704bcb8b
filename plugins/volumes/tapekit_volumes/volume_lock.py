"""Locks on whole volumes: used by several, or changed by one.

The lock is a lock of the operating system on a file in the folder of the
volume's Snapshot copies, which only the user of tapekit may enter, and of a
volume without such a folder on its directory, which anybody can lock who can
open it. It holds between processes, and a crash lets go of it. The one rule:
whoever uses a volume has its lock before it looks at the volume's state, and
whoever changes the state has it alone.
"""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING, Final, final

from tapekit_volumes.errors import CATALOGUE
from tapekit_volumes.file_lock import lock_path

if TYPE_CHECKING:
    from pathlib import Path

    from tapekit.errors import TapekitError

__all__ = ["VolumeLock", "unreachable"]

_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OPEN_FILE: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = ".volume"
"""No Snapshot copy has this name."""
_AWAY: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE})
"""What the place of a volume answers when the volume is not there."""


@final
class VolumeLock:
    """A lock that is held until :meth:`release`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def attempt(cls, directory: Path, *, shared: bool) -> VolumeLock | None:
        """Take a lock now, or ``None`` if somebody is in the way.

        :param shared: let others share it, rather than have it alone.
        :raises OSError: there is no such directory, or it cannot be locked.
        """
        return cls._of(os.open(directory, _OPEN), shared=shared)

    @classmethod
    def attempt_in(cls, folder: Path, *, shared: bool) -> VolumeLock | None:
        """Take the lock that is in a folder of Snapshot copies, which is made
        if need be; see :meth:`attempt`.

        :raises OSError: the folder cannot be made or entered.
        """
        path = lock_path(folder, _FILE)
        folder.mkdir(mode=0o700, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        return cls._of(os.open(path, _OPEN_FILE, 0o600), shared=shared)

    @classmethod
    def _of(cls, descriptor: int, *, shared: bool) -> VolumeLock | None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_NB | (fcntl.LOCK_SH if shared else fcntl.LOCK_EX))
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor)

    def release(self) -> None:
        """Let go; later calls do nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def unreachable(volume: str, error: OSError) -> TapekitError:
    """Why the directory of a volume could not be opened."""
    if error.errno in _AWAY:
        return CATALOGUE.error("volume-in-transitional-state", volume=volume)
    reason = error.strerror or str(error)
    return CATALOGUE.error("could-not-obtain-vol-ref", volume_name=volume, reason=reason)
