"""A drive that one process has and no other can have.

A lock of the host's file system, so that it ends with the process however
that ends; the process's number in the file is only for messages.
"""

from __future__ import annotations

import contextlib
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
            self._fd: Final = _locked(path)
        except BlockingIOError:
            raise CATALOGUE.raised_as(
                TapeError,
                "drive-in-use",
                condition=Condition.BUSY,
                drive=name,
                process=path.read_text("ascii", "replace").strip() or "(unknown)",
            ) from None
        except OSError as error:
            raise CATALOGUE.raised_as(
                TapeError,
                "drive-unusable",
                condition=Condition.HARDWARE_ERROR,
                drive=name,
                path=str(path),
                reason=error.strerror or str(error),
            ) from error

    def release(self) -> None:
        """Let others have the drive."""
        os.close(self._fd)


def _locked(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with contextlib.suppress(OSError):
            # A tape can be read also where the disk is full; the number is for messages.
            os.ftruncate(fd, 0)
            os.pwrite(fd, b"%d\n" % os.getpid(), 0)
    except BaseException:
        os.close(fd)
        raise
    return fd
