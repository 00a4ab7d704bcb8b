"""Plays the client's side of recorded sessions against servers.

Requests are sent in their order, each after the reply to the one before and
after the posts that had come by then. Of a three-way session both sides are
played, or a stand-in takes the place of the one that was not recorded. The
one rule: the first difference ends the replay, because everything after it
may be its consequence.
"""

from __future__ import annotations

import heapq
import os
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple, final

import msgspec
import trio

from tapekit.errors import TapekitError
from tapekit_ndmp_v4.client import NdmpClient
from tapekit_ndmp_v4.errors import CATALOGUE
from tapekit_ndmp_v4.replay_joins import Joins
from tapekit_ndmp_v4.replay_session import PlayedSession, Shared
from tapekit_ndmp_v4.replay_stand_in import StandIn
from tapekit_ndmp_v4.trace_reading import TraceRow, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tapekit_ndmp_v4.hookspecs import Extension
    from tapekit_ndmp_v4.replay_rules import Difference
    from tapekit_ndmp_v4.replay_session import Login, Target

__all__ = ["Part", "ReplayResult", "read_trace", "replay"]


class Part(NamedTuple):
    """One session to play, and its server."""

    file: Path
    """Where the rows are from, for messages."""
    rows: Sequence[TraceRow]
    target: Target


class ReplayResult(NamedTuple):
    """How a replay ended."""

    requests: int
    compared: int
    """Replies and posts that were as recorded, or the first that was not."""
    difference: Difference | None
    file: str | None = None
    """The trace in which the difference is."""


def read_trace(file: Path, session: int | None) -> list[TraceRow]:
    """One session of a trace; blocks.

    :param session: which one, where the trace has several.
    :raises TapekitError: the file is no trace, or the choice is not clear.
    """
    try:
        with file.open("rb") as lines:
            rows = list(rows_of(lines))
    except OSError as error:
        raise CATALOGUE.error("trace-unreadable", file=file, reason=error.strerror) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CATALOGUE.error("trace-unreadable", file=file, reason=error) from None
    return _of_session(file, rows, session)


def _of_session(file: Path, rows: list[TraceRow], session: int | None) -> list[TraceRow]:
    numbers = list(dict.fromkeys(row.session for row in rows if row.kind))
    known = ", ".join(map(str, numbers)) or "none"
    if session is None:
        if len(numbers) > 1:
            raise CATALOGUE.error("trace-with-several-sessions", file=file, known=known)
        session = numbers[0] if numbers else None
    elif session not in numbers:
        raise CATALOGUE.error("trace-without-session", file=file, session=session, known=known)
    lost = next((row for row in rows if row.notice is not None), None)
    if lost is not None:
        raise CATALOGUE.error(
            "trace-not-replayable",
            file=file,
            line=lost.line,
            message="the session",
            reason=f"messages are missing ({lost.notice})",
        )
    return [row for row in rows if row.session == session]


async def replay(
    parts: Sequence[Part],
    login: Login,
    clock: Callable[[], float],
    *,
    extensions: Sequence[Extension] = (),
    stream: Path | None = None,
) -> ReplayResult:
    """Play one session, or the two of a three-way one.

    :param extensions: the classes whose messages can be said.
    :param stream: what a stand-in sends in place of a server whose session
        is not played.
    :raises TapekitError: it cannot be played, or a server does not answer.
    """
    shared = Shared(login, extensions, Joins([part.rows for part in parts]))
    with _opened(stream) as file:
        return await _played(parts, shared, file, clock)


@contextmanager
def _opened(stream: Path | None) -> Iterator[int | None]:
    """The descriptor of the file that a stand-in sends."""
    if stream is None:
        yield None
        return
    try:
        file = os.open(stream, os.O_RDONLY)
    except OSError as error:
        raise CATALOGUE.error("stream-unreadable", file=stream, reason=error.strerror) from error
    try:
        yield file
    finally:
        os.close(file)


async def _played(
    parts: Sequence[Part], shared: Shared, stream: int | None, clock: Callable[[], float]
) -> ReplayResult:
    """Play inside a nursery, out of which errors come as they are."""
    async with trio.open_nursery() as nursery:
        stand_in = StandIn(nursery, stream)
        sessions = [PlayedSession(part.file, part.rows, shared, stand_in) for part in parts]
        try:
            result = await _with_clients(parts, sessions, nursery, clock)
        except TapekitError as error:
            result = error
        nursery.cancel_scope.cancel()
    if isinstance(result, TapekitError):
        raise result
    return result


async def _with_clients(
    parts: Sequence[Part],
    sessions: Sequence[PlayedSession],
    nursery: trio.Nursery,
    clock: Callable[[], float],
) -> ReplayResult | TapekitError:
    async with AsyncExitStack() as clients:
        for part, session in zip(parts, sessions, strict=True):
            client = await clients.enter_async_context(
                NdmpClient.connect(
                    part.target.host,
                    part.target.port,
                    clock=clock,
                    timeout_s=part.target.timeout_s,
                    watch=session.watch,
                )
            )
            session.begin(client, part.target, nursery)
        return await _Replay(sessions).run(list(_in_order(parts)))


def _in_order(parts: Sequence[Part]) -> Iterator[tuple[int, TraceRow]]:
    """All rows with the numbers of their parts: those of one file in its
    order, those of several by the time at which they were written.
    """
    is_one_file = len({part.file for part in parts}) == 1
    numbered = [[(number, row) for row in part.rows] for number, part in enumerate(parts)]
    return heapq.merge(*numbered, key=lambda turn: turn[1].line if is_one_file else turn[1].time)


@final
class _Replay:
    """All sessions, in step."""

    def __init__(self, sessions: Sequence[PlayedSession]) -> None:
        self._sessions: Final = sessions

    async def run(self, turns: Sequence[tuple[int, TraceRow]]) -> ReplayResult:
        for number, row in turns:
            session = self._sessions[number]
            await session.join(row.line)
            if row.kind == "request":
                await self._settle()
                if self._differing() is not None:
                    break
                await session.play(row)
            session.reached = row.line + 1
        await self._settle()
        # What servers say to our own goodbye was never recorded.
        return self._result()

    async def _settle(self) -> None:
        """Wait until all posts that were recorded up to here have come."""
        for session in self._sessions:
            while self._differing() is None and not await session.has_settled():
                pass

    def _differing(self) -> PlayedSession | None:
        return next((one for one in self._sessions if one.judge.differs()), None)

    def _result(self) -> ReplayResult:
        differing = self._differing()
        return ReplayResult(
            requests=sum(session.played for session in self._sessions),
            compared=sum(session.judge.compared for session in self._sessions),
            difference=None if differing is None else differing.judge.difference,
            file=None if differing is None else str(differing.file),
        )
