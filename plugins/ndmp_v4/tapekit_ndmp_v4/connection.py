"""One NDMP connection without I/O: bytes in, events out, messages to bytes.

:meth:`NdmpConnection.receive_data` takes bytes as they come and
:meth:`NdmpConnection.next_event` tells what they say; the ``send_*`` methods
give the bytes to send. A bad message is an event that names its answer; only
a byte stream in which no message can be found any more raises. The one rule:
no input changes what this end sends, except by way of an event.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, TypeAlias, final

from tapekit_ndmp_v4 import history_decoding, xdr
from tapekit_ndmp_v4.errors import CATALOGUE, LocalProtocolError, RemoteProtocolError
from tapekit_ndmp_v4.events import (
    BadRequest,
    Event,
    HeaderError,
    Ignored,
    Post,
    Reply,
    Request,
    Undecodable,
)
from tapekit_ndmp_v4.exchanges import EXCHANGES
from tapekit_ndmp_v4.messages import HEADER_BYTES, Header
from tapekit_ndmp_v4.numbers import MessageType, NdmpError
from tapekit_ndmp_v4.records import Limits, RecordReader, marked

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit_ndmp_v4.exchanges import Exchange, ExchangeTable
    from tapekit_ndmp_v4.wire import Message

__all__ = [
    "BadRequest",
    "Direction",
    "Event",
    "HeaderError",
    "Ignored",
    "Limits",
    "NdmpConnection",
    "Post",
    "RemoteProtocolError",
    "Reply",
    "Request",
    "Role",
    "Undecodable",
    "Watcher",
]


class Role(enum.Enum):
    """Which end of the connection this is."""

    SERVER = "server"
    CLIENT = "client"


class Direction(enum.Enum):
    """Which way a message went, for a trace."""

    SENT = "sent"
    RECEIVED = "received"


Watcher: TypeAlias = "Callable[[Direction, Header, Exchange | None, Message | None], None]"
"""Sees every message that has a header, as it is sent or received. The body
is ``None`` where there is none or it cannot be read."""

_POST_CODES: Final = range(0x500, 0x800)
"""Codes of posts in all versions; an unknown one is never answered."""


@final
class NdmpConnection:
    """One end of a connection.

    :param clock: seconds since 1970, for the time stamps of messages sent.
    :param exchanges: what can be said, extensions included.
    :param watch: sees every message, for traces; must not raise.
    """

    def __init__(
        self,
        role: Role,
        *,
        clock: Callable[[], float],
        limits: Limits | None = None,
        exchanges: ExchangeTable = EXCHANGES,
        watch: Watcher | None = None,
    ) -> None:
        self.role: Final = role
        self.exchanges = exchanges
        self.watch = watch
        self.unwanted: Final[set[type[Message]]] = set()
        """To a client: posts that are not even decoded, unless watched."""
        self.sequence = 0
        """Sequence number of the message sent last."""
        self._clock: Final = clock
        self._records: Final = RecordReader(limits or Limits())
        self._failure: RemoteProtocolError | None = None
        self._outstanding: Final[dict[int, Exchange]] = {}

    # Receiving.

    def receive_data(self, data: bytes | bytearray) -> None:
        """Take bytes from the peer; empty at the end of its stream."""
        self._records.receive_data(data)

    def next_event(self) -> Event | None:
        """What the peer has said next, or ``None`` until more bytes come.

        :raises RemoteProtocolError: the bytes are no NDMP messages, or end
            in the middle of one. Every later call raises it again.
        """
        if self._failure is not None:
            raise self._failure
        try:
            record = self._records.next_record()
            return None if record is None else self._read(record)
        except RemoteProtocolError as error:
            self._failure = error
            raise

    def _read(self, record: bytes) -> Event:
        header = self._header(record)
        if header.message_type == MessageType.REPLY:
            return self._read_reply(header, record)
        exchange = self.exchanges.by_code(header.message_code)
        if self.role is Role.CLIENT:
            return self._read_post(header, exchange, record)
        return self._read_request(header, exchange, record)

    def _header(self, record: bytes) -> Header:
        try:
            header = xdr.decode(Header, record[:HEADER_BYTES])
        except xdr.XdrError as error:
            raise CATALOGUE.raised_as(
                RemoteProtocolError, "header-does-not-decode", reason=str(error)
            ) from None
        if not isinstance(header.message_type, MessageType):
            raise CATALOGUE.raised_as(
                RemoteProtocolError,
                "header-does-not-decode",
                reason=f"{header.message_type} is no message type",
            )
        return header

    def _read_request(self, header: Header, exchange: Exchange | None, record: bytes) -> Event:
        is_post = exchange.is_post if exchange else header.message_code in _POST_CODES
        if is_post:
            return self._ignored(header, "a post to a server")
        if header.error_code != NdmpError.NO_ERR:
            return self._ignored(header, "a request that carries an error")
        if exchange is None:
            self._seen(header, None, None)
            reason = f"code {header.message_code:#x} is not supported"
            return BadRequest(header, None, NdmpError.NOT_SUPPORTED_ERR, reason)
        try:
            body = xdr.decode(exchange.request, record, HEADER_BYTES)
        except xdr.XdrError as error:
            self._seen(header, exchange, None)
            return BadRequest(header, exchange, NdmpError.XDR_DECODE_ERR, str(error))
        self._seen(header, exchange, body)
        return Request(header, exchange, body)

    def _read_post(self, header: Header, exchange: Exchange | None, record: bytes) -> Event:
        if exchange is None or not exchange.is_post:
            return self._ignored(header, "a request to a client")
        if exchange.request in self.unwanted and self.watch is None:
            return Ignored(header, "an unwanted post")
        try:
            body = history_decoding.decode(exchange.request, record, HEADER_BYTES)
        except xdr.XdrError as error:
            return self._undecodable(header, exchange, error)
        self._seen(header, exchange, body)
        return Post(header, exchange, body)

    def _read_reply(self, header: Header, record: bytes) -> Event:
        exchange = self._outstanding.pop(header.reply_sequence, None)
        if exchange is None or exchange.reply is None:
            return self._ignored(header, "a reply to no request")
        if header.message_code != exchange.code:
            self._seen(header, exchange, None)
            mismatch = CATALOGUE.raised_as(
                RemoteProtocolError,
                "unexpected-reply",
                message=exchange.name,
                code=header.message_code,
            )
            return Undecodable(header, exchange, mismatch)
        if header.error_code != NdmpError.NO_ERR:
            self._seen(header, exchange, None)
            return HeaderError(header, exchange, header.error_code)
        try:
            body = xdr.decode(exchange.reply, record, HEADER_BYTES)
        except xdr.XdrError as error:
            return self._undecodable(header, exchange, error)
        self._seen(header, exchange, body)
        return Reply(header, exchange, body)

    def _undecodable(self, header: Header, exchange: Exchange, error: xdr.XdrError) -> Undecodable:
        self._seen(header, exchange, None)
        failure = CATALOGUE.raised_as(
            RemoteProtocolError, "body-does-not-decode", message=exchange.name, reason=str(error)
        )
        return Undecodable(header, exchange, failure)

    def _ignored(self, header: Header, reason: str) -> Ignored:
        self._seen(header, self.exchanges.by_code(header.message_code), None)
        return Ignored(header, reason)

    def _seen(self, header: Header, exchange: Exchange | None, body: Message | None) -> None:
        if self.watch is not None:
            self.watch(Direction.RECEIVED, header, exchange, body)

    # Sending.

    def send_request(self, body: Message) -> bytes:
        """The bytes of a request; its number is then :attr:`sequence`.

        :raises LocalProtocolError: this end sends no requests, or a value
            does not fit. Nothing has changed then; so with all ``send_*``.
        """
        exchange = self._exchange(type(body))
        if self.role is not Role.CLIENT or exchange.request is not type(body) or exchange.is_post:
            raise self._wrong_role(body)
        record = self._encoded(MessageType.REQUEST, exchange, 0, body)
        if exchange.reply is not None:
            self._outstanding[self.sequence] = exchange
        return record

    def send_reply(self, request: Request, body: Message) -> bytes:
        """The bytes of the reply to ``request``."""
        exchange = request.exchange
        if self.role is not Role.SERVER or type(body) is not exchange.reply:
            raise self._wrong_role(body)
        return self._encoded(MessageType.REPLY, exchange, request.header.sequence, body)

    def send_header_error(self, request: Request | BadRequest, error: NdmpError) -> bytes:
        """The bytes of a reply that says ``error`` and has no body."""
        header = self._next_header(
            MessageType.REPLY, request.header.message_code, request.header.sequence, error
        )
        self._told(header, request.exchange, None)
        return marked(xdr.encode(header))

    def send_post(self, body: Message) -> bytes:
        """The bytes of a post."""
        exchange = self._exchange(type(body))
        if self.role is not Role.SERVER or not exchange.is_post:
            raise self._wrong_role(body)
        return self._encoded(MessageType.REQUEST, exchange, 0, body)

    def send_encoded_post(self, kind: type[Message], body: bytes) -> bytes:
        """The bytes of a post whose body has been encoded already, as
        :mod:`tapekit_ndmp_v4.file_history` does.
        """
        exchange = self._exchange(kind)
        header = self._next_header(MessageType.REQUEST, exchange.code, 0, NdmpError.NO_ERR)
        if self.watch is not None:
            self._told(header, exchange, xdr.decode(kind, body))
        return marked(xdr.encode(header) + body)

    def _encoded(
        self, kind: MessageType, exchange: Exchange, reply_sequence: int, body: Message
    ) -> bytes:
        try:
            encoded = xdr.encode(body)
        except xdr.XdrError as error:
            raise CATALOGUE.raised_as(
                LocalProtocolError,
                "message-does-not-encode",
                message=exchange.name,
                reason=str(error),
            ) from None
        header = self._next_header(kind, exchange.code, reply_sequence, NdmpError.NO_ERR)
        self._told(header, exchange, body)
        return marked(xdr.encode(header) + encoded)

    def _exchange(self, kind: type[Message]) -> Exchange:
        """The row of a message type; one that is in no row is a bug."""
        return self.exchanges.of(kind)

    def _wrong_role(self, body: Message) -> LocalProtocolError:
        return CATALOGUE.raised_as(
            LocalProtocolError,
            "message-of-the-other-role",
            message=type(body).__name__,
            role=self.role.value,
        )

    def _next_header(
        self, kind: MessageType, code: int, reply_sequence: int, error: NdmpError
    ) -> Header:
        self.sequence = self.sequence % (2**32 - 1) + 1
        return Header(
            sequence=self.sequence,
            time_stamp=int(self._clock()) % 2**32,
            message_type=kind,
            message_code=code,
            reply_sequence=reply_sequence,
            error_code=error,
        )

    def _told(self, header: Header, exchange: Exchange | None, body: Message | None) -> None:
        if self.watch is not None:
            self.watch(Direction.SENT, header, exchange, body)
