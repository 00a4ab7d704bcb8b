"""From events in any thread to lines in the file, in order, by one thread.

Whoever announces an event only puts it into a queue. The one rule: a log
that cannot be written stops no job; the first failure of a series is told.
"""

from __future__ import annotations

import logging
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, TypeAlias, final

from tapekit.errors import TapekitError
from tapekit_eventlog.lines import NOTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tapekit.hookspecs.events import Event
    from tapekit.hookspecs.state import StateStore
    from tapekit_eventlog.lines import Lines
    from tapekit_eventlog.log_file import LogFile

__all__ = ["NAMESPACE", "Recorder", "is_on", "next_dump"]

_LOG: Final = logging.getLogger("tapekit.eventlog")

NAMESPACE: Final = "eventlog"
_SWITCH: Final = "backup.log.enable"
_LAST_DUMP: Final = "last-dump"


def is_on(state: StateStore) -> bool:
    """Whether events are logged; they are unless somebody has turned that off."""
    return state.get(NAMESPACE, _SWITCH) != b"off"


def next_dump(state: StateStore) -> int:
    """A number that no dump has had.

    :raises TapekitError: the state cannot be written.
    """
    number = int(state.get(NAMESPACE, _LAST_DUMP) or b"-1") + 1
    state.change(NAMESPACE, {_LAST_DUMP: b"%d" % number})
    return number


_Done: TypeAlias = "Callable[[TapekitError | None], None]"


class _Switch:
    """Somebody turns logging on or off."""

    def __init__(self, *, on: bool, done: _Done) -> None:
        self.on: Final = on
        self.done: Final = done


@final
class Recorder:
    """Writes the log."""

    def __init__(
        self, lines: Lines, file: LogFile, state: StateStore, clock: Callable[[], float]
    ) -> None:
        self._lines: Final = lines
        self._file: Final = file
        self._state: Final = state
        self._clock: Final = clock
        self._queue: Final[SimpleQueue[Event | _Switch | None]] = SimpleQueue()
        self._is_failing = False
        self._has_begun = False

    def take(self, event: Event) -> None:
        """Queue an event; returns at once, callable from any thread. In a
        process where nobody runs :meth:`run`, which is that of a command, what
        is to be noted is written now.
        """
        if not self._has_begun and event.name in NOTES:
            self._note(event)
        else:
            self._queue.put(event)

    def _note(self, event: Event) -> None:
        """Write the lines of an event beside a server that may run."""
        if not is_on(self._state):
            return
        try:
            for line in self._lines_of(event):
                self._file.note(line, event.time_s)
        except TapekitError as error:
            _LOG.error("%s", error.advice)

    def switch(self, *, on: bool, done: _Done) -> None:
        """Turn logging on or off; ``done`` is called in the recorder's thread
        once the switch has been remembered, or with why it has not.
        """
        self._queue.put(_Switch(on=on, done=done))

    def stop(self) -> None:
        """Let :meth:`run` return after what is queued."""
        self._queue.put(None)

    def run(self) -> None:
        """Write until :meth:`stop`; blocking."""
        self._has_begun = True
        logs = is_on(self._state)
        if logs:
            self._write((self._lines.switched(self._clock(), on=True),), self._clock())
        while (taken := self._queue.get()) is not None:
            if isinstance(taken, _Switch):
                logs = self._turn(taken, logs)
                continue
            # Lines are made in any case: they follow which job has which tape.
            lines = self._lines_of(taken)
            if logs:
                self._write(lines, taken.time_s)

    def _turn(self, switch: _Switch, logs: bool) -> bool:
        """Turn logging on or off, which is told once."""
        try:
            self._state.change(NAMESPACE, {_SWITCH: b"on" if switch.on else b"off"})
        except TapekitError as error:
            switch.done(error)
            return logs
        if switch.on != logs:
            now = self._clock()
            self._write((self._lines.switched(now, on=switch.on),), now)
        switch.done(None)
        return switch.on

    def _lines_of(self, event: Event) -> Iterable[str]:
        try:
            return tuple(self._lines.of(event))
        except TapekitError as error:
            _LOG.error("%s", error.advice)
            return ()

    def _write(self, lines: Iterable[str], time_s: float) -> None:
        try:
            for line in lines:
                self._file.append(line, time_s)
        except TapekitError as error:
            if not self._is_failing:
                _LOG.error("%s", error.advice)
            self._is_failing = True
        else:
            self._is_failing = False
