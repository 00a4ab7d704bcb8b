"""The file ``backup`` and its predecessors ``backup.0`` to ``backup.5``.

Lines are appended, each in one write, so that a reader never sees half of
one. The first line of a new week, which begins on Sunday, moves every file on
by one number; the server's does, and never that of a command. The one rule:
nothing but the oldest file is ever removed.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Final, final

from tapekit_eventlog.errors import CATALOGUE

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from tapekit.errors import TapekitError

__all__ = ["KEPT", "LogFile"]

KEPT: Final = 6
"""Weeks that are kept besides the present one."""

_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


@final
class LogFile:
    """The backup log in one folder; for one thread."""

    def __init__(self, directory: Path, zone: tzinfo) -> None:
        self.path: Final = directory / "backup"
        self._zone: Final = zone

    def append(self, line: str, time_s: float) -> None:
        """Append a line, in a new file if a week has begun since the last one.

        :raises TapekitError: the folder cannot be written.
        """
        try:
            self._make_folder()
            self._rotate(time_s)
            self._write(line, time_s)
        except OSError as error:
            raise self._unwritable(error) from error

    def note(self, line: str, time_s: float) -> None:
        """Append a line to the present file, whoever writes there meanwhile.

        :raises TapekitError: the folder cannot be written.
        """
        try:
            self._make_folder()
            self._write(line, time_s, keeps_week=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def _make_folder(self) -> None:
        self.path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)

    def _unwritable(self, error: OSError) -> TapekitError:
        reason = error.strerror or str(error)
        return CATALOGUE.error("log-unwritable", path=self.path, reason=reason)

    def _write(self, line: str, time_s: float, *, keeps_week: bool = False) -> None:
        """Append a line; the week of a file with others may have to stay."""
        fd = self._opened()
        try:
            before = os.fstat(fd)
            # What a machine's fall left of a last line gets an end.
            end = before.st_size
            cut = b"\n" if end and _last_byte(self.path, end) != b"\n" else b""
            os.write(fd, cut + line.encode(errors="surrogateescape") + b"\n")
            written_s = before.st_mtime if keeps_week and end else time_s
            os.utime(fd, (written_s, written_s))
        finally:
            os.close(fd)

    def _opened(self) -> int:
        try:
            return os.open(self.path, _FLAGS)
        except FileNotFoundError:
            return self._made()

    def _made(self) -> int:
        """Make the file. If root's command does, it becomes the server's, which
        has the folder; so nothing but a new file may be given away.
        """
        try:
            fd = os.open(self.path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o640)
        except FileExistsError:
            return os.open(self.path, _FLAGS)
        owner = self.path.parent.stat()
        if os.geteuid() == 0 and owner.st_uid:
            os.fchown(fd, owner.st_uid, owner.st_gid)
        return fd

    def _rotate(self, time_s: float) -> None:
        try:
            written_s = self.path.stat().st_mtime
        except FileNotFoundError:
            return
        if self._week(written_s) >= self._week(time_s):
            return
        for number in range(KEPT - 1, 0, -1):
            older = self._numbered(number - 1)
            if older.exists():
                older.replace(self._numbered(number))
        self.path.replace(self._numbered(0))

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _week(self, time_s: float) -> date:
        """The Sunday with which the week of a moment begins."""
        day = datetime.fromtimestamp(time_s, self._zone).date()
        return day - timedelta(days=(day.weekday() + 1) % 7)


def _last_byte(path: Path, end: int) -> bytes:
    with path.open("rb") as file:
        file.seek(end - 1)
        return file.read(1)
