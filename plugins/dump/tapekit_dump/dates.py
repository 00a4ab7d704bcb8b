"""Dates of dumps by path, as the state store remembers them.

A date names a dump in its stream and in those that build on it, so no path
gets the same date twice, even from two backups in one second. Of each
successful backup that others may build on, date, time of the data and the
numbers of its objects are kept: by level, or by date for backups that go by
tokens. The one rule: a date is durable before the backup that bears it begins.
"""

from __future__ import annotations

import contextlib
import threading  # noqa: TID251 - two sessions may prepare backups of one path at once
from typing import TYPE_CHECKING, Final, final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tapekit.hookspecs.state import StateStore

__all__ = ["NAMESPACE", "NUMBERS_NAMESPACE", "TOKENS_KEPT", "Dump", "DumpDates", "PathDates"]

NAMESPACE: Final = "dump.dates"
NUMBERS_NAMESPACE: Final = "dump.numbers"

TOKENS_KEPT: Final = 32
"""Backups by token that are remembered of a path: more than the 31 levels of
a sequence, so that its first one is known as long as it can go on."""


class Dump(msgspec.Struct, frozen=True, omit_defaults=True):
    """A successful backup that others may build on."""

    date: int
    """What names it, seconds since 1970."""
    level: int
    taken_at_s: int
    """The time that its data stands for; earlier than the date if that was
    taken already."""
    pages: int
    """How many pages its numbers have in the store."""
    hidden: tuple[int, ...] = ()
    """Numbers of directories that could not be read, of which it knows
    nothing that was in them."""
    limits: str | None = None
    """What tells what it had left out; empty if that was nothing, ``None``
    if a release wrote it that kept no note of that."""
    type_changes: int = 0
    """How often the volume's type had changed."""
    moves: int = 0
    """How often the volume had moved to another place."""


class PathDates(msgspec.Struct, frozen=True):
    """What is remembered of one path; the state store has it as JSON."""

    last: int = 0
    """The latest date given out, seconds since 1970."""
    levels: dict[int, Dump] = {}
    """The last successful backup of each level."""
    tokens: tuple[Dump, ...] = ()
    """Backups whose DUMP_DATE was given out, the latest last."""
    written: dict[int, int] = {}
    """How many pages of numbers may be in the store, by date: of the dumps
    above, and of those that were about to be remembered."""


@final
class DumpDates:
    """Gives dates out and remembers backups; callable from any thread."""

    def __init__(self, state: StateStore) -> None:
        self._state: Final = state
        self._lock: Final = threading.Lock()
        self._under_way: Final[set[tuple[str, int]]] = set()
        """Paths and dates of dumps whose numbers are being written."""

    def of(self, path: str) -> PathDates:
        """What is remembered of a path."""
        value = self._state.get(NAMESPACE, path)
        return PathDates() if value is None else _decode(value)

    def all(self) -> Mapping[str, PathDates]:
        """What is remembered of every path."""
        return {path: _decode(value) for path, value in self._state.items(NAMESPACE).items()}

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

    def base_of(self, path: str, level: int) -> Dump | None:
        """What a backup of a level builds on: the most recent one of a lower
        level; ``None`` if there is none.
        """
        lower = [dump for known, dump in self.of(path).levels.items() if known < level]
        return max(lower, key=lambda dump: dump.date, default=None)

    def token(self, path: str, date: int) -> Dump | None:
        """The backup by token that has a date, if it is remembered."""
        return next((dump for dump in self.of(path).tokens if dump.date == date), None)

    def pages_of(self, path: str, dump: Dump) -> Iterable[bytes | None]:
        """The pages of a dump's numbers; ``None`` for one that is not there.

        :raises TapekitError: the store cannot be read.
        """
        for index in range(dump.pages):
            yield self._state.get(NUMBERS_NAMESPACE, _page(path, dump.date, index))

    def succeeded(self, path: str, dump: Dump, pages: Iterable[bytes]) -> None:
        """Remember a successful backup by its level, with its numbers.

        :raises TapekitError: the store cannot be written.
        """
        with self._written(path, dump, pages), self._lock:
            known = self.of(path)
            before = known.levels.get(dump.level)
            # Of two at once the one with the later data may have ended first.
            latest = dump if before is None or before.date < dump.date else before
            levels = {**known.levels, dump.level: latest}
            self._settle(path, msgspec.structs.replace(known, levels=levels))

    def gave_token(self, path: str, dump: Dump, pages: Iterable[bytes]) -> None:
        """Remember a successful backup that later ones name by its DUMP_DATE.

        :raises TapekitError: the store cannot be written.
        """
        with self._written(path, dump, pages), self._lock:
            known = self.of(path)
            tokens = (*known.tokens, dump)[-TOKENS_KEPT:]
            self._settle(path, msgspec.structs.replace(known, tokens=tokens))

    @contextlib.contextmanager
    def _written(self, path: str, dump: Dump, pages: Iterable[bytes]) -> Iterator[None]:
        """Put the pages into the store; they are found again even if what
        they belong to is never remembered, and nobody drops them before.
        """
        key = path, dump.date
        with self._lock:
            known = self.of(path)
            written = {**known.written, dump.date: dump.pages}
            self._keep(path, msgspec.structs.replace(known, written=written))
            self._under_way.add(key)
        try:
            for index, page in enumerate(pages):
                self._state.change(NUMBERS_NAMESPACE, {_page(path, dump.date, index): page})
            yield
        finally:
            with self._lock:
                self._under_way.discard(key)

    def _settle(self, path: str, known: PathDates) -> None:
        """Keep what is known, and drop numbers that nothing builds on."""
        self._keep(path, known)
        current = {dump.date for dump in (*_bases(known.levels), *known.tokens)}
        # Another backup may have ended while this one's pages were written.
        current |= {date for other, date in self._under_way if other == path}
        stale = {date: pages for date, pages in known.written.items() if date not in current}
        if not stale:
            return
        for date, pages in stale.items():
            keys = (_page(path, date, index) for index in range(pages))
            self._state.change(NUMBERS_NAMESPACE, dict.fromkeys(keys))
        written = {date: pages for date, pages in known.written.items() if date not in stale}
        self._keep(path, msgspec.structs.replace(known, written=written))

    def _keep(self, path: str, dates: PathDates) -> None:
        self._state.change(NAMESPACE, {path: msgspec.json.encode(dates)})


class _WithoutNumbers(msgspec.Struct, frozen=True):
    """A value of version 0.1.0, whose dumps are nobody's base."""

    last: int


def _decode(value: bytes) -> PathDates:
    try:
        return msgspec.json.decode(value, type=PathDates)
    except msgspec.ValidationError:
        return PathDates(last=msgspec.json.decode(value, type=_WithoutNumbers).last)


def _bases(levels: Mapping[int, Dump]) -> Iterable[Dump]:
    """The backups that some level may still build on: those that no later
    one of a lower level has taken the place of.
    """
    latest = 0
    for level in sorted(levels):
        if levels[level].date > latest:
            latest = levels[level].date
            yield levels[level]


def _page(path: str, date: int, index: int) -> str:
    return f"{path}\n{date}/{index}"
