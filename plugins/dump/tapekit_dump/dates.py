"""Dates of dumps by path, as the state store remembers them.

A date names a dump in its stream and in those that build on it, so no path
gets the same date twice, even from two backups in one second. Dates of
successful backups are kept by level. The one rule: a date is durable before
the backup that bears it begins.
"""

from __future__ import annotations

import threading  # noqa: TID251 - two sessions may prepare backups of one path at once
from typing import TYPE_CHECKING, Final, final

import msgspec

if TYPE_CHECKING:
    from tapekit.hookspecs.state import StateStore

__all__ = ["NAMESPACE", "DumpDates", "PathDates"]

NAMESPACE: Final = "dump.dates"


class PathDates(msgspec.Struct, frozen=True):
    """What is remembered of one path; the state store has it as JSON."""

    last: int = 0
    """The latest date given out, seconds since 1970."""
    levels: dict[int, int] = {}
    """The date of the last successful backup of each level."""


@final
class DumpDates:
    """Gives dates out and remembers them; callable from any thread."""

    def __init__(self, state: StateStore) -> None:
        self._state: Final = state
        self._lock: Final = threading.Lock()

    def of(self, path: str) -> PathDates:
        """What is remembered of a path."""
        value = self._state.get(NAMESPACE, path)
        return PathDates() if value is None else msgspec.json.decode(value, type=PathDates)

    def give(self, path: str, taken_at_s: int) -> int:
        """A date for a new dump: the time that its data stands for, or the
        first second after it that the path has not had.

        :raises TapekitError: the store cannot be written.
        """
        with self._lock:
            known = self.of(path)
            date = max(taken_at_s, known.last + 1)
            self._keep(path, msgspec.structs.replace(known, last=date))
        return date

    def succeeded(self, path: str, level: int, date: int) -> None:
        """Remember a successful backup for those that will build on it.

        :raises TapekitError: the store cannot be written.
        """
        with self._lock:
            known = self.of(path)
            levels = {**known.levels, level: date}
            self._keep(path, msgspec.structs.replace(known, levels=levels))

    def _keep(self, path: str, dates: PathDates) -> None:
        self._state.change(NAMESPACE, {path: msgspec.json.encode(dates)})
