"""A drive that one process has and no other can have.

A lock of the host's file system, so that it ends with the process however
that ends; the process's number in the file is only for messages.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit_vtape.errors import CATALOGUE

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DriveLock"]


@final
class DriveLock:
    """The right to use a drive, until it is released."""

    def __init__(self, directory: Path, drive: int, name: str) -> None:
        """Take drive ``drive`` of the library in ``directory``.

        :param name: the drive's name in messages.
        :raises TapeError: ``BUSY``, naming the process; ``HARDWARE_ERROR``.
        """
        path = directory / f"drive-{drive}.lock"
        try:
            self._fd: Final = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CATALOGUE.raised_as(
                TapeError,
                "drive-unusable",
                condition=Condition.HARDWARE_ERROR,
                drive=name,
                path=str(path),
                reason=error.strerror or str(error),
            ) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            process = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip()
            os.close(self._fd)
            raise CATALOGUE.raised_as(
                TapeError,
                "drive-in-use",
                condition=Condition.BUSY,
                drive=name,
                process=process or "(unknown)",
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Let others have the drive."""
        os.close(self._fd)
