"""Locks that end with their holder.

A lock is a lock of the operating system on a file of its own, so it holds
between threads and between processes, and a crash lets go of it. Whoever
has a file alone removes it on release. The one rule: a lock counts only if
the file that was locked still has its name.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FileLock", "lock_path"]

_MODE: Final = {False: fcntl.LOCK_EX, True: fcntl.LOCK_SH}
_OPEN: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


def lock_path(folder: Path, name: str) -> Path:
    """The file whose lock is that of the Snapshot copy ``name`` in a folder."""
    return folder / ".locks" / name


@final
class FileLock:
    """A lock that is held until :meth:`release`."""

    def __init__(self, path: Path, descriptor: int, *, shared: bool) -> None:
        self._path: Final = path
        self._descriptor = descriptor
        self._shared: Final = shared

    @classmethod
    def attempt(cls, path: Path, *, shared: bool = False) -> FileLock | None:
        """Take a lock now, or ``None`` if somebody holds it.

        :param shared: let others share it, rather than have it alone.
        :raises OSError: the file cannot be made.
        """
        while True:
            with contextlib.ExitStack() as undo:
                descriptor = os.open(path, _OPEN, 0o600)
                undo.callback(os.close, descriptor)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_NB | _MODE[shared])
                except BlockingIOError:
                    return None
                if _is_at(descriptor, path):
                    undo.pop_all()
                    return cls(path, descriptor, shared=shared)

    def release(self) -> None:
        """Let go; later calls do nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        try:
            if not self._shared:
                self._path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one that has the name."""
    try:
        named = path.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(descriptor))
