"""A session's messages as lines of JSON, one a message, without secrets.

Numbers become the document's names where they have one, bytes hexadecimal,
and bytes of a name that are not UTF-8 escapes. The one rule: what proves who
somebody is never reaches a line, neither passwords nor digests nor the
challenge from which a digest could be guessed.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

import msgspec

from tapekit_ndmp_v4.numbers import MessageType
from tapekit_ndmp_v4.wire import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit_ndmp_v4.connection import Direction, Watcher
    from tapekit_ndmp_v4.exchanges import Exchange
    from tapekit_ndmp_v4.messages import Header

__all__ = ["SECRET_FIELDS", "trace_line", "tracer"]

SECRET_FIELDS: Final = frozenset({"auth_password", "auth_digest", "challenge"})
_MASK: Final = "***"

_MANY: Final = 64
"""Bytes of a record or entries of a list that a line shows; a line of file
history would otherwise be as long as a book."""


def tracer(
    write: Callable[[bytes], object], clock: Callable[[], float], *, longest: int | None = _MANY
) -> Watcher:
    """A watcher for a connection that writes a line for every message.

    :param write: gets one line with its newline; must not raise.
    :param clock: seconds since 1970.
    :param longest: how many bytes or entries of a field are shown; ``None``
        shows all, as a replay needs.
    """

    def watch(
        direction: Direction, header: Header, exchange: Exchange | None, body: Message | None
    ) -> None:
        write(trace_line(direction, header, exchange, body, time_s=clock(), longest=longest))

    return watch


def trace_line(
    direction: Direction,
    header: Header,
    exchange: Exchange | None,
    body: Message | None,
    *,
    time_s: float,
    longest: int | None = _MANY,
) -> bytes:
    """One message as a line of JSON; ``body`` is null where it has none."""
    row = {
        "time": round(time_s, 6),
        "direction": direction.value,
        "sequence": header.sequence,
        "kind": _kind(header, exchange),
        "code": f"{header.message_code:#05x}",
        "message": None if exchange is None else exchange.name,
        "reply_sequence": header.reply_sequence,
        "error": _plain(header.error_code, longest),
        "body": None if body is None else _fields(body, longest),
    }
    return msgspec.json.encode(row) + b"\n"


def _kind(header: Header, exchange: Exchange | None) -> str:
    if header.message_type == MessageType.REPLY:
        return "reply"
    return "post" if exchange is not None and exchange.is_post else "request"


def _fields(body: Message, longest: int | None) -> dict[str, object]:
    return {
        name: _MASK if name in SECRET_FIELDS else _plain(getattr(body, name), longest)
        for name in body.__struct_fields__
    }


def _plain(value: object, longest: int | None) -> object:
    """A value of a message as JSON has it."""
    match value:
        case enum.Enum():
            return value.name
        case str():
            return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        case bytes():
            return _cut(value.hex(), len(value), None if longest is None else 2 * longest)
        case Message():
            return _arm(value) | _fields(value, longest)
        case tuple():
            shown = [_plain(entry, longest) for entry in value[:longest]]
            return shown if len(shown) == len(value) else {"total": len(value), "first": shown}
        case _:
            return value


def _cut(text: str, total: int, longest: int | None) -> object:
    if longest is None or len(text) <= longest:
        return text
    return {"total": total, "first": text[:longest]}


def _arm(value: Message) -> dict[str, object]:
    """The name of a union's arm, of which the fields alone may tell nothing."""
    return {} if value.__struct_config__.tag is None else {"type": type(value).__name__}
