"""A client of one NDMP session: requests answered, posts kept or handed on.

There is no background task: whoever waits for something reads the connection
for all who wait, and hands over when done or cancelled. So posts are taken
in while a reply is awaited, and a slow handler slows the server down. The one
rule: one request at a time, as every known server expects.
"""

from __future__ import annotations

import logging
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, cast, final

import trio

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client.secure import NDMPS_PORT, ServerTrust, secured
from tapekit_ndmp_v4.connection import (
    HeaderError,
    Ignored,
    NdmpConnection,
    Post,
    Reply,
    Role,
    Undecodable,
)
from tapekit_ndmp_v4.digest import challenge_digest
from tapekit_ndmp_v4.errors import (
    CATALOGUE,
    ConnectionLost,
    NdmpReplyError,
    RemoteProtocolError,
)
from tapekit_ndmp_v4.exchanges import EXCHANGES
from tapekit_ndmp_v4.numbers import (
    NDMP_VERSION,
    AuthType,
    ConnectionStatusReason,
    MessageType,
    NdmpError,
)
from tapekit_ndmp_v4.wire import Message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from tapekit_ndmp_v4.connection import Event, Limits, Watcher
    from tapekit_ndmp_v4.wire import RequestBody

__all__ = ["NDMP_PORT", "NdmpClient"]

NDMP_PORT: Final = 10000

_CHUNK_BYTES: Final = 65536
_FIRST_LOG_CODE: Final = 0x600
_TOLD_ONLY: Final = frozenset(
    row.request for row in EXCHANGES if row.is_post and row.code >= _FIRST_LOG_CODE
)
"""LOG and FH posts, which nobody waits for; others are notifications."""

_LOG: Final = logging.getLogger("tapekit.ndmp_v4")

_Answer: TypeAlias = Reply | HeaderError | Undecodable

R = TypeVar("R", bound=Message)
P = TypeVar("P", bound=Message)
T = TypeVar("T")


@final
class NdmpClient:
    """One session with a server; use it from any number of trio tasks.

    Notifications wait in a queue for :meth:`wait_for`. Other posts go to the
    handler that :meth:`on_post` has set for their type, and are dropped
    without one. Every method that waits raises :class:`ConnectionLost` once
    the connection is gone.

    :param address: how messages for people name the server.
    :param clock: seconds since 1970, for time stamps.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        *,
        address: str,
        clock: Callable[[], float],
        limits: Limits | None = None,
        watch: Watcher | None = None,
    ) -> None:
        self.address: Final = address
        self.wire: Final = NdmpConnection(Role.CLIENT, clock=clock, limits=limits, watch=watch)
        self.wire.unwanted.update(_TOLD_ONLY)
        self.extensions: Mapping[int, int] = {}
        """The extensions that the session has: classes and their versions."""
        self._stream: Final = stream
        self._requesting: Final = trio.Lock()
        self._waiting: Final = trio.lowlevel.ParkingLot()
        self._is_reading = False
        self._handlers: Final[dict[type[Message], Callable[[Message], object]]] = {}
        self._notifications: Final[deque[Message]] = deque()
        self._awaited: int | None = None
        self._answer: _Answer | None = None
        self._lost: str | None = None
        self._farewell = ""

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        host: str,
        port: int | None = None,
        *,
        clock: Callable[[], float],
        tls: ServerTrust | None = None,
        timeout_s: float = 30.0,
        limits: Limits | None = None,
        watch: Watcher | None = None,
    ) -> AsyncIterator[NdmpClient]:
        """A session over TCP, closed when the context is left.

        :param port: without it that of the service, standard or secure.
        :param tls: makes the control connection a secure one.
        :raises TapekitError: ``ndmp_v4.no-route-to-server``, or with ``tls``
            what :func:`~tapekit_ndmp_v4.client.secure.secured` raises.
        """
        if port is None:
            port = NDMP_PORT if tls is None else NDMPS_PORT
        address = f"{host}:{port}"
        try:
            with trio.fail_after(timeout_s):
                stream = await _connected(host, port, tls, address)
        except (OSError, trio.TooSlowError) as error:
            reason = str(error) or f"no answer within {timeout_s:g} s"
            raise CATALOGUE.error("no-route-to-server", address=address, reason=reason) from error
        client = cls(stream, address=address, clock=clock, limits=limits, watch=watch)
        try:
            yield client
            await client.close()
        finally:
            await trio.aclose_forcefully(stream)

    # The beginning and the end of a session.

    async def open(self) -> None:
        """Hear the greeting and agree on version 4.

        :raises TapekitError: the server refuses, is none, or is too old.
        """
        greeting = await self.wait_for(Message)
        if not isinstance(greeting, m.NotifyConnectionStatusPost):
            raise CATALOGUE.error(
                "server-does-not-greet", address=self.address, message=type(greeting).__name__
            )
        if greeting.reason != ConnectionStatusReason.CONNECTED:
            raise CATALOGUE.error(
                "server-refused-connection", address=self.address, reason=greeting.text_reason
            )
        if greeting.protocol_version < NDMP_VERSION:
            raise CATALOGUE.error(
                "server-lacks-version", address=self.address, offered=greeting.protocol_version
            )
        await self.call(m.ConnectOpenRequest(protocol_version=NDMP_VERSION))

    async def authenticate(self, method: AuthType, user: str = "", password: bytes = b"") -> None:
        """Log in.

        :raises NdmpReplyError: NOT_AUTHORIZED for wrong credentials,
            ILLEGAL_ARGS for a method that is not offered.
        """
        await self.call(
            m.ConnectClientAuthRequest(auth_data=await self._auth_data(method, user, password))
        )

    async def _auth_data(self, method: AuthType, user: str, password: bytes) -> m.AuthData:
        match method:
            case AuthType.NONE:
                return m.AuthNone()
            case AuthType.TEXT:
                text = password.decode("utf-8", "surrogateescape")
                return m.AuthText(auth_id=user, auth_password=text)
            case AuthType.MD5:
                request = m.ConfigGetAuthAttrRequest(auth_type=AuthType.MD5)
                attr = (await self.call(request)).server_attr
                if not isinstance(attr, m.AuthAttrMd5):
                    raise CATALOGUE.raised_as(
                        RemoteProtocolError,
                        "body-does-not-decode",
                        message="CONFIG_GET_AUTH_ATTR",
                        reason=f"{type(attr).__name__} stands where a challenge belongs",
                    )
                digest = challenge_digest(attr.challenge, password)
                return m.AuthMd5(auth_id=user, auth_digest=digest)

    async def close(self, timeout_s: float = 2.0) -> None:
        """Say goodbye, take in what the server still says, and close."""
        with trio.move_on_after(timeout_s):
            try:
                async with self._requesting:
                    await self._send(m.ConnectCloseRequest())
                await self._until(lambda: None)
            except ConnectionLost as lost:
                _LOG.debug("closed: %s", lost)
        await self._stream.aclose()

    # Requests.

    async def call(self, request: RequestBody[R]) -> R:
        """Send a request and wait for its reply, taking in posts meanwhile.

        :raises NdmpReplyError: the reply says an error; it has the reply.
        :raises RemoteProtocolError: the reply cannot be read.
        :raises ConnectionLost: the connection is gone.
        """
        async with self._requesting:
            self._answer = None
            try:
                await self._send(request)
                answer: _Answer = await self._until(self._present_answer)
            finally:
                self._awaited = None
        return cast(R, _judged(answer))

    async def _send(self, request: Message) -> None:
        """Send a request; one that is sent in part ends the session."""
        if self._lost is not None:
            raise self._connection_lost(self._lost)
        data = self.wire.send_request(request)
        self._awaited = self.wire.sequence
        is_sent = False
        try:
            await self._stream.send_all(data)
            is_sent = True
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise self._connection_lost(_reason(error)) from error
        finally:
            if not is_sent:
                self._lost = "a request was broken off"

    def _present_answer(self) -> _Answer | None:
        return self._answer

    # Posts.

    def on_post(self, kind: type[P], handler: Callable[[P], object] | None) -> None:
        """Call ``handler`` for every post of a type, or with ``None`` no more.

        It runs between two messages in whichever task reads, so it must be
        quick; what it raises comes out there.
        """
        if handler is not None:
            self._handlers[kind] = cast("Callable[[Message], object]", handler)
            self.wire.unwanted.discard(kind)
            return
        self._handlers.pop(kind, None)
        if kind in _TOLD_ONLY:
            self.wire.unwanted.add(kind)

    async def wait_for(self, *kinds: type[P]) -> P:
        """The oldest notification of these types, waiting for one."""
        return await self._until(lambda: self._take_notification(kinds))

    def forget_notifications(self) -> None:
        """Drop what waits, such as news of an operation that is over."""
        self._notifications.clear()

    def _take_notification(self, kinds: tuple[type[P], ...]) -> P | None:
        for post in self._notifications:
            if isinstance(post, kinds):
                self._notifications.remove(post)
                return post
        return None

    # Reading.

    async def _until(self, ready: Callable[[], T | None]) -> T:
        """Take in messages until there is a value."""
        while (value := ready()) is None:
            event = self._next_event()
            if event is not None:
                self._dispatch(event)
                self._waiting.unpark_all()
            elif self._lost is not None:
                raise self._connection_lost(self._lost)
            elif self._is_reading:
                await self._waiting.park()
            else:
                await self._receive()
        return value

    async def _receive(self) -> None:
        self._is_reading = True
        try:
            data = await self._stream.receive_some(_CHUNK_BYTES)
            self.wire.receive_data(data)
            if not data:
                self._lost = self._farewell or "the server closed it"
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._lost = _reason(error)
        finally:
            self._is_reading = False
            self._waiting.unpark_all()

    def _next_event(self) -> Event | None:
        try:
            return self.wire.next_event()
        except RemoteProtocolError as error:
            self._lost = str(error)
            return None

    def _dispatch(self, event: Event) -> None:
        match event:
            case Reply() | HeaderError():
                self._answered(event)
            case Post(body=body):
                self._posted(body)
            case Undecodable(header=header, error=error):
                _LOG.warning("%s: %s", self.address, error)
                if header.message_type == MessageType.REPLY:
                    self._answered(event)
            case Ignored(header=header, reason=reason):
                _LOG.debug("%s: code %#x ignored: %s", self.address, header.message_code, reason)

    def _answered(self, event: _Answer) -> None:
        """Keep the answer, unless whoever asked has gone away."""
        if event.header.reply_sequence == self._awaited:
            self._answer = event

    def _posted(self, body: Message) -> None:
        if isinstance(body, m.NotifyConnectionStatusPost):
            is_farewell = body.reason != ConnectionStatusReason.CONNECTED
            self._farewell = f"the server says: {body.text_reason}" if is_farewell else ""
        handler = self._handlers.get(type(body))
        if handler is not None:
            handler(body)
        elif type(body) not in _TOLD_ONLY:
            self._notifications.append(body)

    def _connection_lost(self, reason: str) -> ConnectionLost:
        return CATALOGUE.raised_as(
            ConnectionLost, "control-connection-lost", address=self.address, reason=reason
        )


async def _connected(
    host: str, port: int, tls: ServerTrust | None, address: str
) -> trio.abc.Stream:
    stream = await trio.open_tcp_stream(host, port)
    try:
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_KEEPALIVE, 1)
        return stream if tls is None else await secured(stream, tls, host, address)
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise


def _judged(answer: _Answer) -> Message:
    """The reply's body if it says no error."""
    name = answer.exchange.name
    match answer:
        case Undecodable(error=error):
            raise error
        case HeaderError(error=code):
            raise _refused(name, code, None)
        case Reply(body=body):
            code = getattr(body, "error", NdmpError.NO_ERR)
            if code != NdmpError.NO_ERR:
                raise _refused(name, code, body)
            return body


def _refused(name: str, code: int, reply: Message | None) -> NdmpReplyError:
    text = code.name if isinstance(code, NdmpError) else f"{code:#x}"
    error = CATALOGUE.raised_as(
        NdmpReplyError, "request-refused", request=name, error=text, code=code
    )
    error.reply = reply
    return error


def _reason(error: Exception) -> str:
    """What the system says of a broken stream."""
    return str(error.__cause__ or error) or type(error).__name__
