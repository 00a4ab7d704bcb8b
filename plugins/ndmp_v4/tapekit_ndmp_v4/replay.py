"""Plays the client's side of a recorded session against a server.

Requests are sent in their order, each after the reply to the one before and
after the posts that had come by then. The one rule: the first difference
ends the replay, because everything after it may be its consequence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, final

import msgspec
import trio

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import NdmpClient
from tapekit_ndmp_v4.digest import challenge_digest
from tapekit_ndmp_v4.errors import CATALOGUE, ConnectionLost, NdmpReplyError, RemoteProtocolError
from tapekit_ndmp_v4.exchanges import EXCHANGES
from tapekit_ndmp_v4.replay_rules import Judge
from tapekit_ndmp_v4.trace import trace_line
from tapekit_ndmp_v4.trace_reading import CutField, TraceRow, message_of, rows_of
from tapekit_ndmp_v4.wire import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tapekit_ndmp_v4.connection import Direction
    from tapekit_ndmp_v4.exchanges import Exchange
    from tapekit_ndmp_v4.messages import Header
    from tapekit_ndmp_v4.replay_rules import Difference

__all__ = ["Login", "ReplayResult", "Target", "read_trace", "replay"]


class Target(NamedTuple):
    """The server to play against."""

    host: str
    port: int
    timeout_s: float
    """How long each reply or post may take."""


class Login(NamedTuple):
    """What the trace does not have."""

    user: str | None
    """Another user than the recorded one."""
    password: bytes | None


class ReplayResult(NamedTuple):
    """How a replay ended."""

    requests: int
    compared: int
    """Replies and posts that were as recorded, or the first that was not."""
    difference: Difference | None


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
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
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
    file: Path,
    rows: Sequence[TraceRow],
    target: Target,
    login: Login,
    clock: Callable[[], float],
) -> ReplayResult:
    """Play a session.

    :param file: where the rows are from, for messages.
    :raises TapekitError: it cannot be played, or the server does not answer.
    """
    judge = Judge(rows)
    player = _Player(file, judge, login)
    async with NdmpClient.connect(
        target.host, target.port, clock=clock, timeout_s=target.timeout_s, watch=player.watch
    ) as client:
        for row in rows:
            if row.kind == "request":
                await _await_posts(client, judge, row.line, target.timeout_s)
                if not judge.differs():
                    await player.play(client, row, target.timeout_s)
        await _await_posts(client, judge, rows[-1].line + 1 if rows else 0, target.timeout_s)
        # What the server says to our own goodbye was never recorded.
        return ReplayResult(player.played, judge.compared, judge.difference)


async def _await_posts(client: NdmpClient, judge: Judge, line: int, timeout_s: float) -> None:
    """Wait for the posts that were recorded before a line."""
    while not judge.differs() and (missing := judge.missing(line)) is not None:
        try:
            with trio.fail_after(timeout_s):
                await client.wait_for(Message)
        except ConnectionLost:
            if not judge.differs():
                raise
        except trio.TooSlowError as error:
            raise CATALOGUE.error(
                "replay-timed-out", line=missing.line, message=missing.message, timeout_s=timeout_s
            ) from error


@final
class _Player:
    """Sends recorded requests, and puts into them what differs each time."""

    def __init__(self, file: Path, judge: Judge, login: Login) -> None:
        self._file: Final = file
        self._judge: Final = judge
        self._login: Final = login
        self._challenge = b""
        self._addresses: Final[dict[bytes, m.Addr]] = {}
        self.played = 0

    async def play(self, client: NdmpClient, row: TraceRow, timeout_s: float) -> None:
        """Send one request, and wait for its reply."""
        request = self._request(row)
        self.played += 1
        if isinstance(request, m.ConnectCloseRequest):
            await client.close(timeout_s)
            return
        try:
            with trio.fail_after(timeout_s):
                await client.call(request)  # type: ignore[arg-type]  # any request of the table
        except (NdmpReplyError, RemoteProtocolError):
            # What came has been judged as it came.
            return
        except ConnectionLost:
            if not self._judge.differs():
                raise
        except trio.TooSlowError as error:
            raise CATALOGUE.error(
                "replay-timed-out",
                line=row.line,
                message=f"the reply to {row.message}",
                timeout_s=timeout_s,
            ) from error

    def watch(
        self, direction: Direction, header: Header, exchange: Exchange | None, body: Message | None
    ) -> None:
        """See a message go or come."""
        if isinstance(body, m.ConfigGetAuthAttrReply):
            attr = body.server_attr
            self._challenge = attr.challenge if isinstance(attr, m.AuthAttrMd5) else b""
        line = trace_line(direction, header, exchange, body, time_s=0.0)
        (row,) = rows_of([line])
        recorded = self._judge.see(row)
        if (
            recorded is not None
            and recorded.body is not None
            and isinstance(body, m.DataListenReply | m.MoverListenReply)
        ):
            listened = recorded.body.get("connect_addr")
            self._addresses[msgspec.json.encode(listened)] = body.connect_addr

    def _request(self, row: TraceRow) -> Message:
        if row.message is None or row.body is None:
            raise self._not_replayable(row, "it could not be read when it came")
        exchange = next((one for one in EXCHANGES if one.name == row.message), None)
        if exchange is None:
            raise self._not_replayable(row, "it is a message of an extension, which no replay has")
        try:
            request = message_of(exchange.request, self._unmasked(row, row.body))
        except CutField:
            raise self._not_replayable(row, "a field was cut") from None
        except (KeyError, TypeError, ValueError) as error:
            raise self._not_replayable(row, f"{type(error).__name__}: {error}") from None
        if isinstance(request, m.DataConnectRequest | m.MoverConnectRequest):
            given = self._addresses.get(msgspec.json.encode(row.body["addr"]))
            return request if given is None else msgspec.structs.replace(request, addr=given)
        return request

    def _unmasked(self, row: TraceRow, body: dict[str, object]) -> dict[str, object]:
        """The fields with what is in no trace."""
        auth = body.get("auth_data")
        if row.message != "CONNECT_CLIENT_AUTH" or not isinstance(auth, dict) or len(auth) == 1:
            return body
        recorded = str(auth["auth_id"])
        password = self._login.password
        if password is None:
            raise CATALOGUE.error("replay-needs-password", user=recorded)
        user = self._login.user or recorded
        digest = challenge_digest(self._challenge, password) if self._challenge else bytes(16)
        text = password.decode("utf-8", "surrogateescape")
        proof = {"auth_password": text, "auth_digest": digest.hex()}
        return {"auth_data": {**auth, **proof, "auth_id": user}}

    def _not_replayable(self, row: TraceRow, reason: str) -> Exception:
        return CATALOGUE.error(
            "trace-not-replayable",
            file=self._file,
            line=row.line,
            message=row.message or "a message without name",
            reason=reason,
        )
