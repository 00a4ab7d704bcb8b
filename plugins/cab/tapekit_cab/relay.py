"""A session's way to another node: a session of this node there.

Requests go on as they are and come back with that node's replies; its posts
become posts of the client's session, in their order. Bytes of data never come
this way. The one rule: when either session ends, the other node lets go of
everything at once, since its client is gone.
"""

from __future__ import annotations

import enum
import logging
import socket
from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, TypeVar, cast, final

import msgspec
import trio

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import LogLevel
from tapekit_cab import limiting
from tapekit_cab.errors import CATALOGUE
from tapekit_cab.nodes import password_of
from tapekit_ndmp_v4 import cluster_aware
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import NdmpClient, choose_extensions
from tapekit_ndmp_v4.connection import Direction
from tapekit_ndmp_v4.errors import ConnectionLost, NdmpReplyError
from tapekit_ndmp_v4.exchanges import EXCHANGES
from tapekit_ndmp_v4.numbers import (
    AuthType,
    DataHaltReason,
    DataState,
    DataUnsupported,
    MessageType,
    MoverHaltReason,
    MoverState,
    NdmpError,
)
from tapekit_ndmp_v4.refusal import Refused
from tapekit_ndmp_v4.storage_paths import svm_of
from tapekit_ndmp_v4.wire import Message
from tapekit_ndmp_v4.xdr import zero

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tapekit_cab.nodes import Node
    from tapekit_ndmp_v4.exchanges import Exchange
    from tapekit_ndmp_v4.hookspecs import ExtendedSession
    from tapekit_ndmp_v4.link import SessionLink
    from tapekit_ndmp_v4.messages import Header
    from tapekit_ndmp_v4.wire import RequestBody

__all__ = ["Part", "Relay"]

R = TypeVar("R", bound=Message)

_LOG: Final = logging.getLogger("tapekit.cab")

_OPEN_S: Final = 10.0
"""How long a node may take to let this one in."""

_KEEPALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 6),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 120_000),
)
"""Finds a machine that went without a word, or cannot be reached any more,
within two minutes, whether something was sent to it meanwhile or not."""


class Part(enum.Enum):
    """What a session may have of another node."""

    DATA = enum.auto()
    """Its data server is not idle."""
    MOVER = enum.auto()
    TAPE = enum.auto()
    SCSI = enum.auto()


_TAKEN_BY: Final[Mapping[type[Message], Part]] = {
    m.DataListenRequest: Part.DATA,
    m.DataConnectRequest: Part.DATA,
    m.MoverListenRequest: Part.MOVER,
    m.MoverConnectRequest: Part.MOVER,
    m.TapeOpenRequest: Part.TAPE,
    m.ScsiOpenRequest: Part.SCSI,
}
_LEFT_BY: Final[Mapping[type[Message], Part]] = {
    m.DataStopRequest: Part.DATA,
    m.MoverStopRequest: Part.MOVER,
    m.TapeCloseRequest: Part.TAPE,
    m.ScsiCloseRequest: Part.SCSI,
}
_BEGUN_BY: Final[Mapping[type[Message], Part]] = {
    m.DataStartBackupRequest: Part.DATA,
    m.DataStartRecoverRequest: Part.DATA,
    m.MoverListenRequest: Part.MOVER,
    m.MoverConnectRequest: Part.MOVER,
}
_LIMITED: Final = frozenset(
    {m.ConfigGetFsInfoRequest, m.DataStartBackupRequest, m.DataStartRecoverRequest}
)
"""What the other node judges by the limits of the user who logged in first."""
_ENDED_BY: Final[Mapping[type[Message], Part]] = {
    m.NotifyDataHaltedPost: Part.DATA,
    m.NotifyMoverHaltedPost: Part.MOVER,
}
_POSTS: Final[tuple[type[Message], ...]] = (
    *_ENDED_BY,
    m.NotifyDataReadPost,
    m.NotifyMoverPausedPost,
    m.LogMessagePost,
    m.LogFilePost,
    m.FhAddDirPost,
    m.FhAddFilePost,
    m.FhAddNodePost,
)


_HALTED: Final[Mapping[Part, Message]] = {
    Part.DATA: m.NotifyDataHaltedPost(reason=DataHaltReason.INTERNAL_ERROR),
    Part.MOVER: m.NotifyMoverHaltedPost(reason=MoverHaltReason.INTERNAL_ERROR),
}
"""What a client hears of servers that stood on a node that is lost."""


class _Never(Message):
    """What no server says: waiting for it is taking in all else."""


@final
class _Paced(trio.abc.Stream):
    """The connection to the node, which is read only while the client takes
    what has come before; so the back pressure reaches the node's engine.
    """

    def __init__(self, stream: trio.SocketStream, link: SessionLink) -> None:
        self._stream: Final = stream
        self._link: Final = link

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await self._link.room_for_posts()
        return await self._stream.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


@final
class Relay:
    """What a client's session has at another node."""

    def __init__(self, session: ExtendedSession, node: Node, answer_timeout_s: float) -> None:
        """:param answer_timeout_s: how long a request may be without an answer
        until the node has to greet.
        """
        self.node: Final = node
        self.parts: Final[set[Part]] = set()
        """What the session has there; what of it was lost stays, until the
        client lets go of it."""
        self._standing: Final[set[Part]] = set()
        """Servers that are neither idle nor halted."""
        self.lacking: frozenset[int] = frozenset()
        """Classes that the session has chosen and the node has not."""
        self._working: Final[set[Part]] = set()
        self._session: Final = session
        self._svms: Final = session.svms
        self._client: NdmpClient | None = None
        self._failure: TapekitError | None = None
        self._held: Final[deque[Message]] = deque()
        self._is_holding = False
        self._is_over = False
        self._patience_s: Final = answer_timeout_s
        self._asked_s: float | None = None
        """Since when a request waits for its reply."""
        self._connection: Final = trio.CancelScope()
        self._opened: Final = trio.Event()
        """The session there can be used, or cannot be had."""

    @property
    def is_lost(self) -> bool:
        """Whether the other node can do nothing more for the session."""
        return self._client is None

    @property
    def has_job(self) -> bool:
        """Whether a job or a mover is at work there."""
        return bool(self._working)

    async def open(self) -> None:
        """Log in at the other node.

        :raises TapekitError: it cannot be reached, or does not take the work.
        """
        self._session.link.start(self._hold, f"relay to {self.node.name}")
        await self._opened.wait()
        if self._failure is not None:
            raise self._failure

    async def _hold(self) -> None:
        """Log in and take in what comes, until the session here or there ends."""
        try:
            with trio.fail_after(_OPEN_S):
                stream = await trio.open_tcp_stream(self.node.host, self.node.port)
            async with aclosing(stream):
                for option in _KEEPALIVE:
                    stream.setsockopt(*option)
                with self._connection:
                    await self._converse(stream)
                # Before whoever waits for an answer meets a closed connection.
                self._ended(f"it hangs: no answer within {self._patience_s:g} s, and no greeting")
        except trio.TooSlowError:
            self._ended(f"no answer within {_OPEN_S:g} s")
        except (OSError, TapekitError) as error:
            self._ended(str(error))
        finally:
            self._client = None
            self._opened.set()

    async def _converse(self, stream: trio.SocketStream) -> None:
        """Log in, and take in what comes until the connection is lost.

        :raises TapekitError: always.
        """
        client = NdmpClient(
            _Paced(stream, self._session.link),
            address=self.node.address,
            clock=self._session.kernel.clock,
            watch=self._watch,
        )
        with trio.fail_after(_OPEN_S):
            can_limit = await self._log_in(client)
        self._client = client
        self._session.link.start(self._look_after, f"watch over {self.node.name}")
        await self._limit_there(client, can_limit=can_limit)
        for kind in _POSTS:
            client.on_post(kind, self._posted)
        self._opened.set()
        await client.wait_for(_Never)

    async def _look_after(self) -> None:
        """Break the connection off if a request waits for a node that hangs."""
        while not self.is_lost:
            await trio.sleep(self._patience_s)
            asked_s = self._asked_s
            if asked_s is None or trio.current_time() - asked_s < self._patience_s:
                continue
            if await self._is_silent() and self._asked_s == asked_s:
                self._connection.cancel()
                return

    async def _is_silent(self) -> bool:
        """Whether the node leaves a new connection without a word, as one that
        hangs does. One that is refused or cut off does not tell that it hangs,
        and one that cannot be made may be for want of something here; what
        finds a machine that is gone is :data:`_KEEPALIVE`.
        """
        try:
            with trio.fail_after(self._patience_s):
                stream = await trio.open_tcp_stream(self.node.host, self.node.port)
                async with aclosing(stream):
                    await stream.receive_some(1)
        except trio.TooSlowError:
            return True
        except (OSError, trio.BrokenResourceError):
            return False
        return False

    async def _log_in(self, client: NdmpClient) -> bool:
        """Open a session there, and choose what the client has chosen here.

        :returns: whether the session there can be limited.
        :raises TapekitError: it is refused, or the node is another one.
        """
        session, node = self._session, self.node
        password = await session.link.in_thread(
            lambda: password_of(node, session.kernel.base_directory)
        )
        await client.open()
        await client.authenticate(AuthType.MD5, node.user, password)
        wanted = {
            class_id: (version,)
            for class_id, version in session.chosen_versions.items()
            if class_id != cluster_aware.CLASS_ID
        }
        wanted[limiting.LIMITING_CLASS] = (limiting.LIMITING_VERSION,)
        chosen = await choose_extensions(client, wanted, limiting.EXCHANGES)
        self.lacking = frozenset(wanted.keys() - chosen.keys())
        found = (await client.call(m.ConfigGetHostInfoRequest())).hostname
        if found != node.name:
            raise CATALOGUE.error(
                "node-is-another", address=node.address, found=found, node=node.name
            )
        return limiting.LIMITING_CLASS in chosen

    async def _limit_there(self, client: NdmpClient, *, can_limit: bool) -> None:
        """Close there what is closed here. For that the node may have to look
        at all its volumes, which may take as long as any other answer.

        :raises TapekitError: it cannot limit a session.
        """
        self._asked_s = trio.current_time()
        limit = await self._limit(client)
        if limit is not None:
            if not can_limit:
                raise CATALOGUE.error("node-cannot-limit", node=self.node.name)
            await client.call(limiting.NodeLimitRequest(svms=tuple(sorted(limit))))
        self._asked_s = None

    async def _limit(self, client: NdmpClient) -> frozenset[str] | None:
        """The storage virtual machines that the session may use there: what
        is closed to it here is closed there too. ``None`` for all.
        """
        may_use = self._session.may_use
        if self._svms is not None:
            return frozenset(svm for svm in self._svms if may_use(f"/{svm}"))
        rows = (await client.call(m.ConfigGetFsInfoRequest())).fs_info
        there = frozenset(svm_of(row.fs_logical_device) for row in rows)
        usable = frozenset(svm for svm in there if may_use(f"/{svm}"))
        return None if usable == there else usable

    def _ended(self, reason: str) -> None:
        """The session there cannot be had, or is over; told once."""
        node = self.node
        if self._is_over:
            return
        self._is_over = True
        if not self._opened.is_set():
            self._failure = CATALOGUE.error(
                "node-unreachable", node=node.name, address=node.address, reason=reason
            )
            return
        self._client = None
        self._let_go()
        lost = CATALOGUE.error("node-lost", node=node.name, reason=reason)
        _LOG.warning("%s: %s", self._session.link.name, lost)
        if self.parts or self._asked_s is not None:
            self._session.link.log_error(lost)
        for part in self._standing & _HALTED.keys():
            self._pass_on(_HALTED[part])

    # Requests.

    async def ask(self, request: RequestBody[R]) -> R:
        """The other node's reply to a request of the client.

        :raises Refused: as the other node does, or since it is lost.
        """
        self._session.after_reply(self._let_go)
        if type(request) in _LIMITED and self._svms != self._session.svms:
            error = CATALOGUE.error("another-user", node=self.node.name)
            raise Refused(NdmpError.PERMISSION_ERR, error)
        client = self._client
        if client is None:
            return self._answer_for_lost(request)
        self._asked_s = trio.current_time()
        try:
            reply = await client.call(request)
        except NdmpReplyError as refused:
            raise Refused(refused.code) from refused
        except ConnectionLost as error:
            self._ended(str(error))
            return self._answer_for_lost(request)
        finally:
            self._asked_s = None
        self._note(type(request))
        return reply

    def _note(self, kind: type[Message]) -> None:
        """Keep in mind what a granted request changes."""
        if kind in _TAKEN_BY:
            self.parts.add(_TAKEN_BY[kind])
            self._standing.add(_TAKEN_BY[kind])
        if kind in _BEGUN_BY:
            self._working.add(_BEGUN_BY[kind])
        if kind in _LEFT_BY:
            for parts in (self.parts, self._standing, self._working):
                parts.discard(_LEFT_BY[kind])

    def _answer_for_lost(self, request: RequestBody[R]) -> R:
        """Say what is left of the work of a lost node: halted servers, which
        can be stopped, and devices, which can be closed.

        :raises Refused: everything else.
        """
        kind = type(request)
        part = _LEFT_BY.get(kind)
        if part in self.parts:
            self._note(kind)
        elif kind not in _TOLD_OF_LOST:
            raise Refused(NdmpError.ILLEGAL_STATE_ERR)
        exchange = EXCHANGES.of(kind)
        assert exchange.reply is not None, "posts are never asked"
        reply = msgspec.structs.replace(zero(exchange.reply), **_TOLD_OF_LOST.get(kind, {}))
        return cast("R", reply)

    # Posts.

    def _watch(
        self,
        direction: Direction,
        header: Header,
        _exchange: Exchange | None,
        _body: Message | None,
    ) -> None:
        """See a reply before anybody else: what is posted after it belongs
        behind the reply that the client gets.
        """
        if direction is Direction.RECEIVED and header.message_type == MessageType.REPLY:
            self._is_holding = True

    def _posted(self, post: Message) -> None:
        if self._is_holding:
            self._held.append(post)
        else:
            self._pass_on(post)

    def _let_go(self) -> None:
        """The client has its reply; now it may hear what came after."""
        self._is_holding = False
        while self._held:
            self._pass_on(self._held.popleft())

    def _pass_on(self, post: Message) -> None:
        ended = _ENDED_BY.get(type(post))
        if ended is not None:
            self._standing.discard(ended)
            self._working.discard(ended)
        link = self._session.link
        if isinstance(post, m.LogMessagePost):
            post = link.log_message(LogLevel(post.log_type), post.entry)
        link.post(post)


_TOLD_OF_LOST: Final[Mapping[type[Message], Mapping[str, object]]] = {
    m.DataGetStateRequest: {
        "unsupported": DataUnsupported.ALL,
        "state": DataState.HALTED,
        "halt_reason": DataHaltReason.INTERNAL_ERROR,
    },
    m.MoverGetStateRequest: {
        "state": MoverState.HALTED,
        "halt_reason": MoverHaltReason.INTERNAL_ERROR,
    },
}
"""What the states of a lost node's servers are; all else is zero."""
