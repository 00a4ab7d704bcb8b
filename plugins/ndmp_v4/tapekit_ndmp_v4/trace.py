"""A session's messages as lines of JSON, one a message, without secrets.

Numbers become the document's names where they have one, bytes hexadecimal;
names that are not UTF-8 are there twice, to be read and to be sent again. The
one rule: what proves who somebody is never reaches a line, neither passwords
nor digests nor the challenge from which a digest could be guessed, nor the
token of a private data connection.
"""

from __future__ import annotations

import enum
import functools
from typing import TYPE_CHECKING, Any, Final

import msgspec
import msgspec.inspect as mi

from tapekit_ndmp_v4.numbers import MessageType, NdmpError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit_ndmp_v4.connection import Direction, Watcher
    from tapekit_ndmp_v4.exchanges import Exchange
    from tapekit_ndmp_v4.messages import Header
    from tapekit_ndmp_v4.wire import Message

__all__ = [
    "MANY",
    "MASK",
    "SECRET_FIELDS",
    "SECRET_VARIABLES",
    "notice_line",
    "trace_line",
    "tracer",
]

SECRET_FIELDS: Final = frozenset({"auth_password", "auth_digest", "challenge"})
SECRET_VARIABLES: Final = frozenset({"TAPEKIT_TLS_TOKEN"})
"""Variables of addresses that prove who connects (class 0x7A9E)."""

MASK: Final = "***"
"""What stands in a line for a secret."""

MANY: Final = 64
"""Bytes of a record or entries of a list that a line shows; a line of file
history would otherwise be as long as a book."""


def tracer(
    write: Callable[[bytes], object], clock: Callable[[], float], *, longest: int | None = MANY
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
    longest: int | None = MANY,
    session: int | None = None,
) -> bytes:
    """One message as a line of JSON; ``body`` is null where it has none.

    :param session: the session's number, where lines of several may meet.
    """
    row = {
        "time": round(time_s, 6),
        **({} if session is None else {"session": session}),
        "direction": direction.value,
        "sequence": header.sequence,
        "kind": _kind(header, exchange),
        "code": f"{header.message_code:#05x}",
        "message": None if exchange is None else exchange.name,
        "reply_sequence": header.reply_sequence,
        "error": _name(NdmpError, header.error_code),
        "body": None if body is None else _fields(body, longest),
    }
    return msgspec.json.encode(row) + b"\n"


def notice_line(notice: str, time_s: float, **facts: int) -> bytes:
    """A line that stands among messages and is none."""
    row = {"time": round(time_s, 6), "notice": notice, **facts}
    return msgspec.json.encode(row) + b"\n"


def _kind(header: Header, exchange: Exchange | None) -> str:
    if header.message_type == MessageType.REPLY:
        return "reply"
    return "post" if exchange is not None and exchange.is_post else "request"


def _fields(body: Message, longest: int | None) -> dict[str, object]:
    return {
        name: MASK if name in SECRET_FIELDS else _plain(kind, getattr(body, name), longest)
        for name, kind in _shape(type(body))
    }


@functools.cache
def _shape(kind: type[Message]) -> tuple[tuple[str, mi.Type], ...]:
    """The fields of a message with their types."""
    shape = mi.type_info(kind)
    assert isinstance(shape, mi.StructType)
    return tuple((field.name, field.type) for field in shape.fields)


def _plain(kind: mi.Type, value: Any, longest: int | None) -> object:
    """A value of a message as JSON has it. What decides is the annotation, so
    that both ends of a connection write the same.
    """
    match kind:
        case mi.Metadata(extra={"xdr": type() as named}) if issubclass(named, enum.IntEnum):
            return _name(named, value)
        case mi.Metadata(type=inner):
            return _plain(inner, value, longest)
        case mi.BytesType():
            return _cut(value.hex(), len(value), None if longest is None else 2 * longest)
        case mi.StrType():
            return _text(value)
        case mi.VarTupleType(item_type=item):
            shown = [_plain(item, entry, longest) for entry in value[:longest]]
            return shown if len(shown) == len(value) else {"total": len(value), "first": shown}
        case mi.NamedTupleType(fields=fields):
            pairs = zip(fields, value, strict=True)
            shown = [_plain(field.type, entry, longest) for field, entry in pairs]
            return [shown[0], MASK] if value[0] in SECRET_VARIABLES else shown
        case mi.StructType() | mi.UnionType():
            return _arm(value) | _fields(value, longest)
        case _:
            return int(value)


def _name(named: type[enum.IntEnum], value: int) -> str | int:
    """The document's name of a number that has one."""
    try:
        return named(value).name
    except ValueError:
        return int(value)


def _text(value: str) -> object:
    if value.isascii():
        return value
    encoded = value.encode("utf-8", "surrogateescape")
    text = encoded.decode("utf-8", "backslashreplace")
    return text if text == value else {"text": text, "hex": encoded.hex()}


def _cut(text: str, total: int, longest: int | None) -> object:
    if longest is None or len(text) <= longest:
        return text
    return {"total": total, "first": text[:longest]}


def _arm(value: Message) -> dict[str, object]:
    """The name of a union's arm, of which the fields alone may tell nothing."""
    return {} if value.__struct_config__.tag is None else {"type": type(value).__name__}
