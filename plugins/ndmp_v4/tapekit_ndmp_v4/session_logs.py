"""Logs of sessions: their messages in files, as a replay reads them.

A log is a reader of a trace like any other, with a task that writes what it
gets. A file is made anew, for its owner alone, and has a limit, so that a log
that was forgotten fills no disk. The one rule: a log that cannot be written
ends itself, and neither a session nor the stack.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
from contextlib import closing
from typing import TYPE_CHECKING, Final, final

import trio

from tapekit_ndmp_v4.errors import CATALOGUE
from tapekit_ndmp_v4.trace import notice_line
from tapekit_ndmp_v4.tracing import TraceQueue

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tapekit.errors import TapekitError
    from tapekit_ndmp_v4.tracing import TraceHub

__all__ = ["SessionLogs"]

_LOG: Final = logging.getLogger("tapekit.ndmp_v4")

_WAITING_BYTES: Final = 32 << 20
"""What may wait for a slow disk before messages are dropped."""

_LONGEST_BYTES: Final = 1 << 30
"""Where a log ends by itself."""


@final
class SessionLogs:
    """The logs that are being written, by session; ``None`` is the one of all."""

    def __init__(
        self,
        folder: Path,
        hub: TraceHub,
        nursery: trio.Nursery,
        clock: Callable[[], float],
    ) -> None:
        self._folder: Final = folder
        self._hub: Final = hub
        self._nursery: Final = nursery
        self._clock: Final = clock
        self._open: Final[dict[int | None, _Log]] = {}
        self._broken: Final[dict[int | None, TapekitError]] = {}
        """Why logs ended early, until somebody asks."""

    async def start(self, session: int | None) -> Path:
        """Begin a log.

        :param session: a session that is open, or ``None`` for all.
        :raises TapekitError: there is one already, or no file can be made.
        """
        if session in self._open:
            raise CATALOGUE.error("log-runs-already", file=self._open[session].file)
        file = self._folder / self._name(session)
        log = self._open[session] = _Log(file, self._clock)
        try:
            await log.make()
        except BaseException:
            self._end(session, log)
            raise
        self._broken.pop(session, None)
        self._nursery.start_soon(self._run, session, log)
        return file

    async def stop(self, session: int | None) -> Path:
        """End a log, and wait until all of it is in its file.

        :raises TapekitError: there is none, or it ended early because it
            could not be written, which is told once.
        """
        log = self._open.get(session)
        if log is not None:
            log.queue.close()
            await log.is_done.wait()
        if session in self._broken:
            raise self._broken.pop(session)
        if log is None:
            which = "all sessions" if session is None else f"session {session}"
            raise CATALOGUE.error("no-log-runs", which=which)
        return log.file

    async def close(self) -> None:
        """End all of them."""
        for log in tuple(self._open.values()):
            log.queue.close()
            await log.is_done.wait()

    async def _run(self, session: int | None, log: _Log) -> None:
        try:
            with closing(log), self._hub.reading(log.queue, session):
                await log.write()
        except OSError as error:
            broken = CATALOGUE.error("log-broken-off", file=log.file, reason=error.strerror)
            self._broken[session] = broken
            _LOG.error("%s", broken.advice)
        finally:
            self._end(session, log)

    def _end(self, session: int | None, log: _Log) -> None:
        del self._open[session]
        log.is_done.set()

    def _name(self, session: int | None) -> str:
        now = dt.datetime.fromtimestamp(self._clock(), dt.UTC)
        which = "all" if session is None else str(session)
        return f"ndmp-session-{which}-{now:%Y%m%dT%H%M%S.%fZ}.jsonl"


@final
class _Log:
    """One file and what is to be written into it."""

    def __init__(self, file: Path, clock: Callable[[], float]) -> None:
        self.file: Final = file
        self.queue: Final = TraceQueue(_WAITING_BYTES, clock, is_replayable=True)
        self.is_done: Final = trio.Event()
        self._clock: Final = clock
        self._descriptor = -1
        self._left = _LONGEST_BYTES

    async def make(self) -> None:
        """Make the file.

        :raises TapekitError: the operating system refuses.
        """
        try:
            self._descriptor = await trio.to_thread.run_sync(_made, self.file)
        except OSError as error:
            raise CATALOGUE.error("log-not-made", file=self.file, reason=error.strerror) from error

    async def write(self) -> None:
        """Write until the queue ends, or the file has its longest length.

        :raises OSError: the file cannot be written.
        """
        while lines := await self.queue.take():
            data = b"".join(lines)
            self._left -= len(data)
            if self._left < 0:
                data = notice_line("the log has its longest length", self._clock())
                self.queue.close()
            await trio.to_thread.run_sync(_write_all, self._descriptor, data)
            if self._left < 0:
                return

    def close(self) -> None:
        """Close the file.

        :raises OSError: what was written before is not all there.
        """
        os.close(self._descriptor)


def _made(file: Path) -> int:
    file.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
    return os.open(file, flags, 0o600)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
