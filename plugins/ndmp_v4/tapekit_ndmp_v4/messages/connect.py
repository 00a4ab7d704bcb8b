"""CONNECT messages: opening, logging in and closing (NDMP v4, 0x9xx).

The layouts of opening are the same in all versions of the protocol, so that
two ends can find out which one they share. Secrets occur in ``auth_data``
and ``auth_attr`` and nowhere else.
"""

from typing import Annotated, TypeAlias

from msgspec import Meta

from tapekit_ndmp_v4.numbers import AuthType
from tapekit_ndmp_v4.wire import U16, Digest, ErrorCode, Message, RequestBody, Text

__all__ = [
    "CHALLENGE_BYTES",
    "AuthAttr",
    "AuthAttrMd5",
    "AuthAttrNone",
    "AuthAttrText",
    "AuthData",
    "AuthMd5",
    "AuthNone",
    "AuthText",
    "ConnectClientAuthReply",
    "ConnectClientAuthRequest",
    "ConnectCloseRequest",
    "ConnectOpenReply",
    "ConnectOpenRequest",
    "ConnectServerAuthReply",
    "ConnectServerAuthRequest",
]

CHALLENGE_BYTES = 64


class AuthNone(Message, tag=AuthType.NONE.value):
    """Nobody in particular."""


class AuthText(Message, tag=AuthType.TEXT.value):
    """A user and a password in clear."""

    auth_id: Text
    auth_password: Text


class AuthMd5(Message, tag=AuthType.MD5.value):
    """A user and the digest of password and challenge."""

    auth_id: Text
    auth_digest: Digest


AuthData: TypeAlias = AuthNone | AuthText | AuthMd5


class AuthAttrNone(Message, tag=AuthType.NONE.value):
    """The method none needs nothing."""


class AuthAttrText(Message, tag=AuthType.TEXT.value):
    """The method text needs nothing."""


class AuthAttrMd5(Message, tag=AuthType.MD5.value):
    """The challenge to which the client computes its digest."""

    challenge: Annotated[bytes, Meta(min_length=CHALLENGE_BYTES, max_length=CHALLENGE_BYTES)]


AuthAttr: TypeAlias = AuthAttrNone | AuthAttrText | AuthAttrMd5


class ConnectOpenRequest(RequestBody["ConnectOpenReply"]):
    """Choose the version; CONNECT_OPEN."""

    protocol_version: U16


class ConnectOpenReply(Message):
    """Whether both sides now speak that version; CONNECT_OPEN."""

    error: ErrorCode


class ConnectClientAuthRequest(RequestBody["ConnectClientAuthReply"]):
    """Log in; CONNECT_CLIENT_AUTH."""

    auth_data: AuthData


class ConnectClientAuthReply(Message):
    """Whether the client is logged in; CONNECT_CLIENT_AUTH."""

    error: ErrorCode


class ConnectServerAuthRequest(RequestBody["ConnectServerAuthReply"]):
    """Ask the server who it is; CONNECT_SERVER_AUTH."""

    client_attr: AuthAttr


class ConnectServerAuthReply(Message):
    """The server's proof; CONNECT_SERVER_AUTH."""

    error: ErrorCode
    server_result: AuthData


class ConnectCloseRequest(Message):
    """Say goodbye; CONNECT_CLOSE, which has no reply."""
