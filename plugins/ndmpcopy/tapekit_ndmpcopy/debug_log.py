"""The debug log of the option ``-d``: ``ndmpcopy.yyyymmdd``.

One file a day, to which every copy appends: each message of both sessions as
a line of JSON with its time and side, without secrets. The one rule: a log
that cannot be written any more never ends a copy.
"""

from __future__ import annotations

import datetime as dt
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final, final

from tapekit_ndmp_v4.trace import tracer
from tapekit_ndmpcopy.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tapekit.errors import TapekitError
    from tapekit_ndmp_v4.connection import Watcher

__all__ = ["DebugLog", "open_debug_log"]

_APPENDING: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


@final
class DebugLog:
    """An open log; lines are on their way to the disk when a call returns."""

    def __init__(self, file: Path, opened: BinaryIO, clock: Callable[[], float]) -> None:
        self.file: Final = file
        self.problem: TapekitError | None = None
        """Why the log is not complete, if so."""
        self._opened: Final = opened
        self._clock: Final = clock

    def say(self, who: str, text: str) -> None:
        """Write a line."""
        self._write(who, text.encode("utf-8", "backslashreplace"))

    def watcher(self, side: str) -> Watcher:
        """What writes every message of a session."""
        return tracer(lambda line: self._write(side, line.rstrip(b"\n")), self._clock)

    def _write(self, who: str, line: bytes) -> None:
        if self.problem is not None:
            return
        stamp = _local(self._clock()).isoformat(timespec="milliseconds")
        try:
            self._opened.write(f"{stamp} {who} ".encode() + line + b"\n")
        except OSError as error:
            self.problem = _unwritable(self.file, error)


@contextmanager
def open_debug_log(directory: Path, clock: Callable[[], float]) -> Iterator[DebugLog]:
    """The log of today in a folder, made if need be, for its owner only.

    :param clock: seconds since 1970.
    :raises TapekitError: it cannot be opened.
    """
    file = directory / f"ndmpcopy.{_local(clock()):%Y%m%d}"
    try:
        descriptor = os.open(file, _APPENDING, 0o600)
    except OSError as error:
        raise _unwritable(file, error) from error
    with open(descriptor, "wb", buffering=0) as opened:  # noqa: PTH123 - a descriptor
        yield DebugLog(file, opened, clock)


def _unwritable(file: Path, error: OSError) -> TapekitError:
    return CATALOGUE.error("debug-log-unwritable", file=file, reason=error.strerror)


def _local(time_s: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(time_s, dt.UTC).astimezone()
