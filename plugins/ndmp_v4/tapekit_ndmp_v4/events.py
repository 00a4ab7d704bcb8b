"""What a connection tells its owner: one structure for each kind of news.

A server gets :class:`Request` and :class:`BadRequest`, a client
:class:`Reply`, :class:`HeaderError`, :class:`Post` and :class:`Undecodable`,
both :class:`Ignored`. Each has the header, so that a trace or a log can name
the message.
"""

from __future__ import annotations

from typing import TypeAlias, final

import msgspec

from tapekit_ndmp_v4.errors import RemoteProtocolError
from tapekit_ndmp_v4.exchanges import Exchange
from tapekit_ndmp_v4.messages import Header
from tapekit_ndmp_v4.numbers import NdmpError
from tapekit_ndmp_v4.wire import Message

__all__ = [
    "BadRequest",
    "Event",
    "HeaderError",
    "Ignored",
    "Post",
    "Reply",
    "Request",
    "Undecodable",
]


@final
class Request(msgspec.Struct, frozen=True):
    """To a server: a request to answer."""

    header: Header
    exchange: Exchange
    body: Message


@final
class BadRequest(msgspec.Struct, frozen=True):
    """To a server: a request to answer with a header error and no body.

    ``exchange`` is ``None`` for a code that the table does not have.
    """

    header: Header
    exchange: Exchange | None
    error: NdmpError
    reason: str


@final
class Reply(msgspec.Struct, frozen=True):
    """To a client: the reply to request ``header.reply_sequence``."""

    header: Header
    exchange: Exchange
    body: Message


@final
class HeaderError(msgspec.Struct, frozen=True):
    """To a client: request ``header.reply_sequence`` was refused unread."""

    header: Header
    exchange: Exchange
    error: int


@final
class Post(msgspec.Struct, frozen=True):
    """To a client: a message without reply."""

    header: Header
    exchange: Exchange
    body: Message


@final
class Undecodable(msgspec.Struct, frozen=True):
    """To a client: a reply or post that cannot be read. A reply counts as
    given.
    """

    header: Header
    exchange: Exchange
    error: RemoteProtocolError


@final
class Ignored(msgspec.Struct, frozen=True):
    """A message that must not be answered and means nothing here."""

    header: Header
    reason: str


Event: TypeAlias = Request | BadRequest | Reply | HeaderError | Post | Undecodable | Ignored
