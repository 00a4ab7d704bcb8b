"""Traces of sessions on their way to whoever reads them.

A session's connection is watched only while somebody reads; otherwise a
message costs one comparison. Lines wait in a queue of limited size, and are
dropped and counted when it is full. The one rule: no reader, however slow,
makes a session wait.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, final

import trio

from tapekit_ndmp_v4.connection import Direction
from tapekit_ndmp_v4.trace import MANY, notice_line, trace_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tapekit_ndmp_v4.connection import NdmpConnection
    from tapekit_ndmp_v4.exchanges import Exchange
    from tapekit_ndmp_v4.messages import Header
    from tapekit_ndmp_v4.wire import Message

__all__ = ["SessionTracing", "TraceHub", "TraceQueue"]


@final
class TraceQueue:
    """Lines for one reader, in the order of the messages."""

    def __init__(
        self, limit_bytes: int, clock: Callable[[], float], *, is_replayable: bool = False
    ) -> None:
        """:param limit_bytes: how much may wait before messages are dropped.
        :param clock: seconds since 1970.
        :param is_replayable: keep whole what clients send, as a replay needs.
        """
        self.is_replayable: Final = is_replayable
        self._limit: Final = limit_bytes
        self._clock: Final = clock
        self._lines: list[bytes] = []
        self._size = 0
        self._dropped = 0
        self._filled = trio.Event()
        self._is_open = True

    def put(self, line: bytes) -> None:
        """Take a line, or count it if too much waits."""
        if self._is_open:
            if self._size + len(line) > self._limit:
                self._dropped += 1
            else:
                self._lines.append(line)
                self._size += len(line)
            self._filled.set()

    async def take(self) -> list[bytes]:
        """The lines since the last call, waiting for one; none at the end.

        Where lines were dropped, a line says how many.
        """
        await self._filled.wait()
        lines, self._lines, self._size = self._lines, [], 0
        if self._dropped:
            lines.append(notice_line("dropped", self._clock(), messages=self._dropped))
            self._dropped = 0
        if self._is_open:
            self._filled = trio.Event()
        return lines

    def close(self) -> None:
        """Take nothing more; :meth:`take` gives the rest."""
        self._is_open = False
        self._filled.set()


@final
class SessionTracing:
    """The readers of one session's messages."""

    def __init__(self, number: int, wire: NdmpConnection, clock: Callable[[], float]) -> None:
        self._number: Final = number
        self._wire: Final = wire
        self._clock: Final = clock
        self._queues: tuple[TraceQueue, ...] = ()

    def add(self, queue: TraceQueue) -> None:
        """Give a reader all messages from now on."""
        self._set((*self._queues, queue))

    def remove(self, queue: TraceQueue) -> None:
        """Give a reader nothing more; one that got nothing is no error."""
        self._set(tuple(each for each in self._queues if each is not queue))

    def _set(self, queues: tuple[TraceQueue, ...]) -> None:
        self._queues = queues
        self._wire.watch = self._watch if queues else None

    def _watch(
        self, direction: Direction, header: Header, exchange: Exchange | None, body: Message | None
    ) -> None:
        time_s = self._clock()
        lines: dict[int | None, bytes] = {}
        for queue in self._queues:
            whole = queue.is_replayable and direction is Direction.RECEIVED
            longest = None if whole else MANY
            if longest not in lines:
                lines[longest] = trace_line(
                    direction,
                    header,
                    exchange,
                    body,
                    time_s=time_s,
                    longest=longest,
                    session=self._number,
                )
            queue.put(lines[longest])


@final
class TraceHub:
    """Who reads which session; sessions come and go while they read."""

    def __init__(self) -> None:
        self._sessions: Final[dict[int, SessionTracing]] = {}
        self._of_one: Final[dict[TraceQueue, int]] = {}
        self._of_all: Final[list[TraceQueue]] = []

    @contextmanager
    def session(self, number: int, tracing: SessionTracing) -> Iterator[None]:
        """Have a session while the context lasts; at its end, the queues
        that read it alone are closed.
        """
        self._sessions[number] = tracing
        for queue in self._of_all:
            tracing.add(queue)
        try:
            yield
        finally:
            del self._sessions[number]
            for queue, session in self._of_one.items():
                if session == number:
                    queue.close()

    @contextmanager
    def reading(self, queue: TraceQueue, session: int | None) -> Iterator[None]:
        """Fill a queue while the context lasts.

        :param session: one session, whose end closes the queue, or ``None``
            for all, those to come included.
        """
        if session is None:
            self._of_all.append(queue)
            followed = list(self._sessions.values())
        else:
            self._of_one[queue] = session
            followed = [self._sessions[session]] if session in self._sessions else []
            if not followed:
                queue.close()
        for tracing in followed:
            tracing.add(queue)
        try:
            yield
        finally:
            if session is None:
                self._of_all.remove(queue)
            else:
                del self._of_one[queue]
            for tracing in self._sessions.values():
                tracing.remove(queue)
