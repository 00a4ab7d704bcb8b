"""Where the management socket is: its folder, its lock, its file.

A path to a socket may have 107 bytes only, so both ends open the folder and
name the socket below that descriptor. The one rule: the lock beside the
socket is held as long as anybody listens, so whoever has it may take a
socket that was left over by a process that died.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from typing import TYPE_CHECKING, Final, final

from tapekit_admin.errors import CATALOGUE, NotRunning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["ListeningPlace", "connect"]

_BACKLOG: Final = 64
_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700
_LONGEST_LOCK: Final = 64


@final
class ListeningPlace:
    """A socket that listens, and the lock that goes with it.

    :raises TapekitError: another server has it, or it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path: Final = path
        try:
            path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            self._lock: Final = _locked(path)
            try:
                self.socket: Final = _listening(path)
            except BaseException:
                os.close(self._lock)
                raise
        except OSError as error:
            raise CATALOGUE.error("socket-not-made", socket=path, reason=error.strerror) from error

    def close(self) -> None:
        """Remove the socket, then let go of the lock."""
        self.socket.close()
        self._path.unlink(missing_ok=True)
        os.close(self._lock)


def connect(path: Path, directory: Path) -> socket.socket:
    """A connection to whoever listens.

    :param directory: the stack's folder, for messages.
    :raises NotRunning: nobody does.
    :raises TapekitError: the socket cannot be reached.
    """
    connection = socket.socket(socket.AF_UNIX)
    try:
        with _folder(path) as folder:
            connection.connect(f"/proc/self/fd/{folder}/{path.name}")
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        connection.close()
        raise CATALOGUE.raised_as(
            NotRunning, "not-running", socket=path, directory=directory
        ) from None
    except PermissionError:
        connection.close()
        raise CATALOGUE.error("not-permitted", socket=path) from None
    except OSError as error:
        connection.close()
        raise CATALOGUE.error("not-reached", socket=path, reason=error.strerror) from error
    return connection


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[int]:
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield folder
    finally:
        os.close(folder)


def _locked(path: Path) -> int:
    """The lock file of a socket, locked; it holds the process's number."""
    file = path.with_name(path.name + ".lock")
    lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        number = os.pread(lock, _LONGEST_LOCK, 0).decode("ascii", "replace").strip()
        os.close(lock)
        holder = f" (process {number})" if number.isdigit() else ""
        raise CATALOGUE.error("already-served", socket=path, holder=holder) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _listening(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    try:
        path.unlink(missing_ok=True)
        # A socket file gets the mode of the unbound socket: it never stands
        # there with another one.
        os.fchmod(listener.fileno(), _MODE)
        with _folder(path) as folder:
            listener.bind(f"/proc/self/fd/{folder}/{path.name}")
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener
