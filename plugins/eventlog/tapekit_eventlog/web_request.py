"""What a browser asks, and how it is answered, as bytes.

The least of HTTP/1.1 (RFC 9112) that a browser needs to read a text: one
request a connection, without a body, and a user with a password (RFC 7617).
The one rule: nothing here reads or writes anything.
"""

from __future__ import annotations

import base64
import enum
from typing import Final, NamedTuple

__all__ = ["HEAD_AT_MOST", "HEAD_END", "BadRequest", "Request", "Status", "parse_request", "reply"]

HEAD_AT_MOST: Final = 16384
"""Bytes of a request that are read at most."""

HEAD_END: Final = b"\r\n\r\n"
_METHODS: Final = frozenset({"GET", "HEAD"})
_VERSIONS: Final = frozenset({"HTTP/1.0", "HTTP/1.1"})


class Status(enum.Enum):
    """What an answer begins with."""

    OK = 200, "OK"
    BAD_REQUEST = 400, "Bad Request"
    UNAUTHORIZED = 401, "Unauthorized"
    FORBIDDEN = 403, "Forbidden"
    NOT_FOUND = 404, "Not Found"
    NOT_ALLOWED = 405, "Method Not Allowed"
    INTERNAL_ERROR = 500, "Internal Server Error"


_MORE: Final = {
    Status.UNAUTHORIZED: 'WWW-Authenticate: Basic realm="backup log", charset="UTF-8"\r\n',
    Status.NOT_ALLOWED: "Allow: GET, HEAD\r\n",
}


class BadRequest(Exception):
    """A request that is not answered as it was meant."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.value[1])
        self.status: Final = status


class Request(NamedTuple):
    """What is asked for, and by whom."""

    path: str
    """As it was sent, without what follows a question mark."""
    is_head: bool
    """Whether the answer goes without its body (HEAD)."""
    user: str | None = None
    password: bytes = b""


def parse_request(head: bytes) -> Request:
    """Take a request apart, which ends with :data:`HEAD_END`.

    :raises BadRequest: it is none, or not one that is served.
    """
    lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or words[2] not in _VERSIONS or not words[1].startswith("/"):
        raise BadRequest(Status.BAD_REQUEST)
    if words[0] not in _METHODS:
        raise BadRequest(Status.NOT_ALLOWED)
    request = Request(words[1].partition("?")[0], words[0] == "HEAD")
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadRequest(Status.BAD_REQUEST)
        if name.lower() == "authorization":
            user, password = _credentials(value.strip())
            request = request._replace(user=user, password=password)
    return request


def _credentials(value: str) -> tuple[str | None, bytes]:
    """User and password of a header field; no user if it has none."""
    scheme, _, text = value.partition(" ")
    try:
        user, colon, password = base64.b64decode(text.strip(), validate=True).partition(b":")
        name = user.decode()
    except ValueError:
        # No base64, perhaps not even ASCII, or a name that is not UTF-8.
        return None, b""
    return (name, password) if scheme.lower() == "basic" and colon else (None, b"")


def reply(status: Status, body: bytes, *, is_html: bool = False, is_head: bool = False) -> bytes:
    """An answer, after which the connection is closed."""
    number, reason = status.value
    kind = "html" if is_html else "plain"
    head = (
        f"HTTP/1.1 {number} {reason}\r\n"
        f"Content-Type: text/{kind}; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Content-Security-Policy: default-src 'none'\r\n"
        "X-Content-Type-Options: nosniff\r\n"
        "Cache-Control: no-store\r\n"
        f"{_MORE.get(status, '')}"
        "Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + (b"" if is_head else body)
