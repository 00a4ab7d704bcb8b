"""One session of a replay: its requests, and what differs in them each time.

What no trace has is put in again: passwords, and the addresses at which
servers listen this time. What comes is judged as it comes, by whichever task
reads. The one rule: what we ask on our own account is neither judged nor
counted.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final, NamedTuple, final

import msgspec
import trio

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.addresses import credentials_of, of_endpoints, to_endpoint
from tapekit_ndmp_v4.digest import challenge_digest
from tapekit_ndmp_v4.errors import CATALOGUE, ConnectionLost, NdmpReplyError, RemoteProtocolError
from tapekit_ndmp_v4.exchanges import EXCHANGES
from tapekit_ndmp_v4.numbers import UNLIMITED, DataState, MoverMode, MoverState
from tapekit_ndmp_v4.replay_joins import endpoint_in
from tapekit_ndmp_v4.replay_rules import Judge
from tapekit_ndmp_v4.trace import trace_line
from tapekit_ndmp_v4.trace_reading import CutField, TraceRow, message_of, rows_of
from tapekit_ndmp_v4.wire import Message

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tapekit.hookspecs.transport import Endpoint
    from tapekit_ndmp_v4.client import NdmpClient
    from tapekit_ndmp_v4.connection import Direction
    from tapekit_ndmp_v4.exchanges import Exchange
    from tapekit_ndmp_v4.hookspecs import Extension
    from tapekit_ndmp_v4.messages import Header
    from tapekit_ndmp_v4.replay_joins import Join, Joins
    from tapekit_ndmp_v4.replay_stand_in import Line, StandIn

__all__ = ["Login", "PlayedSession", "Shared", "Target"]

_POLL_S: Final = 0.02
_FIRST_EXTENSION_CODE: Final = 0x10000

_OWN_ANSWERS: Final = (m.DataGetStateReply, m.MoverGetStateReply)

_PRIVATE: Final = (
    "its data connection is private; play the session of the other side with it (--peer)"
)


class Target(NamedTuple):
    """A server to play against."""

    host: str
    port: int
    timeout_s: float
    """How long each reply or post may take."""


class Login(NamedTuple):
    """What the trace does not have."""

    user: str | None
    """Another user than the recorded one."""
    password: bytes | None


class _Listening(NamedTuple):
    """A server that listens this time where it listened at another place then."""

    session: PlayedSession
    addr: m.Addr
    is_data: bool
    """Whether it is the data server; otherwise it is the mover."""


@final
class Shared:
    """What the sessions of a replay have in common."""

    def __init__(self, login: Login, extensions: Sequence[Extension], joins: Joins) -> None:
        self.login: Final = login
        self.joins: Final = joins
        self.extensions: Final = {each.class_id: each.exchanges for each in extensions}
        rows = [row for each in extensions for row in each.exchanges]
        self.exchanges: Final = {row.name: row for row in EXCHANGES.extended(rows)}
        self.posts: Final = {row.name for row in rows if row.is_post}
        """The posts of extensions."""
        self.listening: Final[dict[Endpoint, _Listening]] = {}
        """By where they listened when they were recorded."""
        self.news = trio.Event()

    def tell(self) -> None:
        """Wake whoever waits for something to come."""
        self.news.set()
        self.news = trio.Event()


@final
class PlayedSession:
    """A recorded client at work."""

    def __init__(
        self, file: Path, rows: Sequence[TraceRow], shared: Shared, stand_in: StandIn
    ) -> None:
        self.file: Final = file
        self.judge: Final = Judge(rows, more_lanes=shared.posts)
        self.played = 0
        self.reached = 0
        """The line of its trace up to which everything should have come."""
        self._shared: Final = shared
        self._stand_in: Final = stand_in
        self._joins: Final[list[Join]] = list(shared.joins.unrecorded(rows))
        self._challenge = b""
        self._mover_reads = False
        self._is_on_our_account = False
        self._line: Line | None = None
        """The data connection to the stand-in."""
        self._lost: ConnectionLost | None = None
        self._client: NdmpClient
        self._target: Target

    def begin(self, client: NdmpClient, target: Target, nursery: trio.Nursery) -> None:
        """Have a connection to a server, and hear all that it says."""
        self._client, self._target = client, target
        nursery.start_soon(self._listen)

    async def _listen(self) -> None:
        """Have the connection read, whoever else waits for what; what comes
        is seen by :meth:`watch`.
        """
        try:
            while True:
                await self._client.wait_for(Message)
        except ConnectionLost as lost:
            self._lost = lost
            self._shared.tell()

    async def has_settled(self) -> bool:
        """Whether all posts that were recorded up to here have come; waits
        for something to come if not.

        :raises TapekitError: nothing comes.
        """
        news, missing = self._shared.news, self.judge.missing(self.reached)
        if missing is None:
            return True
        if self._lost is not None:
            raise self._lost
        try:
            with trio.fail_after(self._target.timeout_s):
                await news.wait()
        except trio.TooSlowError as error:
            raise self._timed_out(missing.line, str(missing.message)) from error
        return False

    # Requests.

    async def play(self, row: TraceRow) -> None:
        """Send one request, and wait for its reply."""
        request = self._request(row)
        self.played += 1
        if isinstance(request, m.ConnectCloseRequest):
            await self._client.close(self._target.timeout_s)
            return
        request = await self._redirected(row, request)
        try:
            with trio.fail_after(self._target.timeout_s):
                await self._client.call(request)  # type: ignore[arg-type]  # any request of the table
        except (NdmpReplyError, RemoteProtocolError):
            # What came has been judged as it came.
            return
        except ConnectionLost:
            if not self.judge.differs():
                raise
        except trio.TooSlowError as error:
            raise self._timed_out(row.line, f"the reply to {row.message}") from error
        else:
            await self._granted(row, request)

    async def _granted(self, row: TraceRow, request: Message) -> None:
        """Do what follows from a request that the server has granted."""
        match request:
            case m.ConfigSetExtListRequest(ndmp_selected_ext=chosen):
                classes = [each.ext_class_id for each in chosen]
                rows = [one for each in classes for one in self._shared.extensions.get(each, ())]
                self._client.wire.exchanges = self._client.wire.exchanges.extended(rows)
            case m.DataConnectRequest() | m.MoverConnectRequest():
                endpoint = endpoint_in(row)
                listening = None if endpoint is None else self._shared.listening.get(endpoint)
                if listening is not None:
                    await listening.session.accepted(listening, row.line)

    def _request(self, row: TraceRow) -> Message:
        if row.message is None or row.body is None:
            raise self._not_replayable(row, _why_unread(row))
        exchange = self._shared.exchanges.get(row.message)
        if exchange is None:
            raise self._not_replayable(row, "it belongs to an extension that this stack lacks")
        try:
            return message_of(exchange.request, self._unmasked(row, row.body))
        except CutField:
            raise self._not_replayable(row, "a field was cut") from None
        except (KeyError, TypeError, ValueError) as error:
            raise self._not_replayable(row, f"{type(error).__name__}: {error}") from None

    def _unmasked(self, row: TraceRow, body: dict[str, object]) -> dict[str, object]:
        """The fields with what is in no trace."""
        auth = body.get("auth_data")
        if row.message != "CONNECT_CLIENT_AUTH" or not isinstance(auth, dict) or len(auth) == 1:
            return body
        recorded = str(auth["auth_id"])
        login = self._shared.login
        if login.password is None:
            raise CATALOGUE.error("replay-needs-password", user=recorded)
        is_md5 = bool(self._challenge)
        digest = challenge_digest(self._challenge, login.password) if is_md5 else bytes(16)
        text = login.password.decode("utf-8", "surrogateescape")
        proof = {"auth_password": text, "auth_digest": digest.hex()}
        return {"auth_data": {**auth, **proof, "auth_id": login.user or recorded}}

    # Data connections.

    async def _redirected(self, row: TraceRow, request: Message) -> Message:
        """A request with the addresses of this time; also takes note of what
        the stand-in will have to send.
        """
        match request:
            case m.MoverListenRequest(mode=mode):
                self._mover_reads = mode == MoverMode.READ
            case m.MoverConnectRequest(mode=mode, addr=addr):
                self._mover_reads = mode == MoverMode.READ
                return msgspec.structs.replace(request, addr=await self._addr_now(row, addr))
            case m.DataConnectRequest(addr=addr):
                return msgspec.structs.replace(request, addr=await self._addr_now(row, addr))
            case m.DataStartRecoverRequest() if self._line is not None:
                self._need_stream(row.line)
        return request

    async def _addr_now(self, row: TraceRow, then: m.Addr) -> m.Addr:
        """Where a server is to connect to this time."""
        endpoint = to_endpoint(then)
        if endpoint is None:
            return then
        listening = self._shared.listening.get(endpoint)
        if listening is not None:
            return listening.addr
        if credentials_of(then):
            raise self._not_replayable(row, _PRIVATE)
        ours, self._line = await self._stand_in.listen(await _our_host(self._target))
        if row.message == "MOVER_CONNECT":
            self._feed_mover(row.line)
        return of_endpoints([ours])

    async def join(self, line: int) -> None:
        """Make the connections to this session's servers that the trace
        shows from a line on, and whose other end is not played.
        """
        while self._joins and self._joins[0].line <= line:
            listening = self._shared.listening.get(self._joins.pop(0).endpoint)
            endpoint = None if listening is None else to_endpoint(listening.addr)
            if listening is None or endpoint is None or self.judge.differs():
                continue
            try:
                self._line = await self._stand_in.connect(endpoint)
            except OSError as error:
                raise CATALOGUE.error(
                    "replay-not-joined", line=line, address=str(endpoint), reason=error
                ) from error
            if not listening.is_data:
                self._feed_mover(line)
            await self.accepted(listening, line)

    def _feed_mover(self, line: int) -> None:
        """Send all there is to a mover that writes to tape."""
        if self._mover_reads and self._line is not None:
            self._need_stream(line)
            self._line.send(0, UNLIMITED)

    async def accepted(self, listening: _Listening, line: int) -> None:
        """Wait until a server of this session knows of its connection."""
        self._is_on_our_account = True
        try:
            with trio.fail_after(self._target.timeout_s):
                while True:
                    if not await self._waits(is_data=listening.is_data):
                        return
                    await trio.sleep(_POLL_S)
        except trio.TooSlowError as error:
            raise self._timed_out(line, "a data connection") from error
        finally:
            self._is_on_our_account = False

    async def _waits(self, *, is_data: bool) -> bool:
        """Whether a server still listens."""
        if is_data:
            data = await self._client.call(m.DataGetStateRequest())
            return data.state == DataState.LISTEN
        mover = await self._client.call(m.MoverGetStateRequest())
        return mover.state == MoverState.LISTEN

    def _need_stream(self, line: int) -> None:
        if not self._stand_in.can_send:
            raise CATALOGUE.error("replay-needs-stream", file=self.file, line=line)

    # What comes.

    def watch(
        self, direction: Direction, header: Header, exchange: Exchange | None, body: Message | None
    ) -> None:
        """See a message go or come."""
        if self._is_on_our_account and isinstance(body, _OWN_ANSWERS):
            return
        if isinstance(body, m.ConfigGetAuthAttrReply):
            attr = body.server_attr
            self._challenge = attr.challenge if isinstance(attr, m.AuthAttrMd5) else b""
        if isinstance(body, m.NotifyDataReadPost) and self._line is not None:
            self._line.send(body.offset, body.length)
        line = trace_line(direction, header, exchange, body, time_s=0.0)
        (row,) = rows_of([line])
        recorded = self.judge.see(row)
        if recorded is not None and isinstance(body, m.DataListenReply | m.MoverListenReply):
            self._listens(recorded, body)
        self._shared.tell()

    def _listens(self, recorded: TraceRow, reply: m.DataListenReply | m.MoverListenReply) -> None:
        endpoint = endpoint_in(recorded)
        if endpoint is not None:
            addr = reply.connect_addr
            is_data = isinstance(reply, m.DataListenReply)
            self._shared.listening[endpoint] = _Listening(self, addr, is_data)

    # Failing.

    def _not_replayable(self, row: TraceRow, reason: str) -> Exception:
        return CATALOGUE.error(
            "trace-not-replayable",
            file=self.file,
            line=row.line,
            message=row.message or "a message without name",
            reason=reason,
        )

    def _timed_out(self, line: int, message: str) -> Exception:
        return CATALOGUE.error(
            "replay-timed-out", line=line, message=message, timeout_s=self._target.timeout_s
        )


def _why_unread(row: TraceRow) -> str:
    """Why a line has no message to send."""
    code = int(row.code, 16) if row.code else 0
    if code >= _FIRST_EXTENSION_CODE:
        return f"its class of extensions, {code >> 16:#x}, was not known where it was recorded"
    return "it could not be read when it came"


async def _our_host(target: Target) -> str:
    """Our own address on the way to a server; nothing is sent."""
    with trio.socket.socket(await _family(target), socket.SOCK_DGRAM) as probe:
        await probe.connect((target.host, target.port))
        host: str = probe.getsockname()[0]
        return host


async def _family(target: Target) -> int:
    ((family, *_), *_) = await trio.socket.getaddrinfo(target.host, target.port)
    return family
