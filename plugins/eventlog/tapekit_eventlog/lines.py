"""Events as lines of the backup log.

A row of the table says for each event of the stack which line it becomes.
Jobs are told apart by who holds them: a dump gets a number when it starts,
and the lines of a tape are those of the job that runs over it. The one rule:
a line is one line, whatever is in a fact.
"""

from __future__ import annotations

import string
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tapekit.hookspecs.events import Event

__all__ = ["NOTES", "ROWS", "Lines", "Row", "timestamp"]


class Row(NamedTuple):
    """What becomes of one kind of event."""

    event: str
    """Its name in the stack."""
    kind: str
    """``dmp`` or ``rst``; ``job`` for that of the job that runs, and ``log``
    for what belongs to none."""
    name: str
    """Its name in the log."""
    info: str
    """What stands in parentheses, with facts of the event; ``:kb`` are bytes
    as kilobytes, ``:time`` seconds since 1970 as in the line's own time."""


ROWS: Final = (
    Row("dump.backup-started", "dmp", "Start", "Level {level}, NDMP"),
    Row("dump.backup-options", "dmp", "Options", "{options}"),
    Row("dump.snapshot-located", "dmp", "Snapshot", "{snapshot}, {taken_at_s:time}"),
    Row("dump.base-located", "dmp", "Base_dump", "Level {base_level}, {base_date_s:time}"),
    Row("dump.phase-started", "dmp", "Phase-change", "{phase}"),
    Row("dump.backup-finished", "dmp", "End", "{bytes:kb}"),
    Row("dump.backup-failed", "dmp", "Error", "{reason}"),
    Row("dump.backup-failed", "dmp", "Abort", "{bytes:kb}"),
    Row("dump.restore-started", "rst", "Start", "Level {level}, NDMP"),
    Row("dump.restore-options", "rst", "Options", "{options}"),
    Row("dump.restore-phase-started", "rst", "Phase-change", "{phase}"),
    Row("dump.restore-error", "rst", "Error", "{reason}"),
    Row("dump.restore-finished", "rst", "End", "{objects} files, {bytes:kb}"),
    Row("dump.restore-aborted", "rst", "Abort", "{objects} files, {bytes:kb}"),
    Row("smtape.backup-started", "dmp", "Start", "SMTape {kind}, NDMP"),
    Row("smtape.backup-options", "dmp", "Options", "{options}"),
    Row("smtape.snapshot-located", "dmp", "Snapshot", "{snapshot}, {taken_at_s:time}"),
    Row("smtape.base-located", "dmp", "Base_dump", "{snapshot}, {taken_at_s:time}"),
    Row("smtape.copy-sent", "dmp", "Phase-change", "{snapshot}"),
    Row("smtape.backup-finished", "dmp", "End", "{bytes:kb}"),
    Row("smtape.backup-failed", "dmp", "Error", "{reason}"),
    Row("smtape.backup-failed", "dmp", "Abort", "{bytes:kb}"),
    Row("smtape.restore-started", "rst", "Start", "SMTape, NDMP"),
    Row("smtape.restore-options", "rst", "Options", "{options}"),
    Row("smtape.copy-restored", "rst", "Phase-change", "{snapshot}"),
    Row("smtape.restore-error", "rst", "Error", "{reason}"),
    Row("smtape.restore-finished", "rst", "End", "{bytes:kb}"),
    Row("smtape.restore-aborted", "rst", "Abort", "{bytes:kb}"),
    Row("ndmp_v4.tape-opened", "job", "Tape_open", "{device}"),
    Row("ndmp_v4.tape-closed", "job", "Tape_close", "{device}"),
    Row("auth.user-added", "log", "Account_added", "{user}, {roles}, SVMs {svms}, by {by}"),
    Row("auth.user-changed", "log", "Account_changed", "{user}, {roles}, SVMs {svms}, by {by}"),
    Row("auth.user-removed", "log", "Account_removed", "{user}, by {by}"),
    Row("auth.password-made", "log", "Password_made", "{user}, by {by}"),
)

NOTES: Final = frozenset(row.event for row in ROWS if row.kind == "log")
"""Events that commands announce, in processes of their own."""

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)

_STARTS: Final = {
    "dump.backup-started": "dmp",
    "dump.restore-started": "rst",
    "smtape.backup-started": "dmp",
    "smtape.restore-started": "rst",
}
_ENDS: Final = frozenset(
    {
        "dump.backup-finished",
        "dump.backup-failed",
        "dump.restore-finished",
        "dump.restore-aborted",
        "smtape.backup-finished",
        "smtape.backup-failed",
        "smtape.restore-finished",
        "smtape.restore-aborted",
    }
)
_OPENED: Final = "ndmp_v4.tape-opened"
_CLOSED: Final = "ndmp_v4.tape-closed"


def timestamp(time_s: float, zone: tzinfo) -> str:
    """A time as in ``Sun Nov 22 10:00:00 UTC 2026``."""
    moment = datetime.fromtimestamp(time_s, zone)
    # Not strftime's %a and %b, which follow the locale.
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day} {month} {moment.day:2} {moment:%H:%M:%S} {moment.tzname()} {moment.year}"


class _Job(NamedTuple):
    """A dump or restore that runs."""

    kind: str
    identifier: str


@final
class Lines:
    """Turns events into lines; for one thread."""

    def __init__(self, zone: tzinfo, next_dump: Callable[[], int]) -> None:
        """:param next_dump: gives each dump its number."""
        self._zone: Final = zone
        self._next_dump: Final = next_dump
        self._info: Final = _Info(zone)
        self._jobs: Final[dict[str, _Job]] = {}
        self._closing: Final[dict[str, _Job]] = {}
        """Jobs that have ended while their tapes were open."""
        self._tapes: Final[dict[str, Event]] = {}

    def of(self, event: Event) -> Iterator[str]:
        """The lines of an event, none for most; a tape that was opened before
        its job is told when the job starts, and one that is closed after its
        job belongs to it still.
        """
        holder = str(event.facts.get("holder", ""))
        kind = _STARTS.get(event.name)
        if kind is not None:
            self._jobs[holder] = _Job(kind, self._identifier(kind, event))
        job = self._jobs.get(holder)
        if event.name == _CLOSED:
            self._tapes.pop(holder, None)
            job = job or self._closing.pop(holder, None)
        elif event.name == _OPENED:
            self._tapes[holder] = event
            self._closing.pop(holder, None)
        yield from self._lines(event, job)
        if kind is not None and holder in self._tapes:
            yield from self._lines(self._tapes[holder], job, event.time_s)
        if event.name in _ENDS:
            self._end(holder)

    def _end(self, holder: str) -> None:
        job = self._jobs.pop(holder, None)
        if job is not None and holder in self._tapes:
            self._closing[holder] = job

    def switched(self, time_s: float, *, on: bool) -> str:
        """The line that tells that logging begins or ends."""
        return f"log {timestamp(time_s, self._zone)} {'Start' if on else 'Stop'}_Logging"

    def _identifier(self, kind: str, event: Event) -> str:
        path = _one_line(str(event.facts.get("path", "")))
        return f"{path}({self._next_dump()})" if kind == "dmp" else path

    def _lines(self, event: Event, job: _Job | None, time_s: float | None = None) -> Iterator[str]:
        if event.name in NOTES:
            heading, kinds = "log", {"log"}
        elif job is not None:
            heading, kinds = job.kind, {job.kind, "job"}
        else:
            return
        time = timestamp(event.time_s if time_s is None else time_s, self._zone)
        subject = "" if job is None or heading == "log" else f"{job.identifier} "
        for row in ROWS:
            if row.event == event.name and row.kind in kinds:
                info = _one_line(self._info.vformat(row.info, (), event.facts))
                yield f"{heading} {time} {subject}{row.name} ({info})"


@final
class _Info(string.Formatter):
    """Fills in what stands in parentheses."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone: Final = zone

    def get_value(self, key: int | str, args: Any, kwargs: Mapping[str, Any]) -> Any:
        """A fact, or ``-`` for one that the event lacks."""
        del args
        return kwargs.get(str(key), "-")

    def format_field(self, value: Any, format_spec: str) -> str:
        """A fact as the row wants it."""
        if value == "-" or not format_spec:
            return str(value)
        if format_spec == "kb":
            return f"{-(-int(value) // 1024)} KB"
        assert format_spec == "time"
        return timestamp(float(value), self._zone)


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    """What stands for a character that cannot be printed: a byte that is not
    UTF-8 as such, so that every path can be told from others.
    """
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return ascii(character)[1:-1]
