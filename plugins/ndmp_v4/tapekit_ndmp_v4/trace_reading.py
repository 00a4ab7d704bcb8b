"""A trace read back: lines of JSON as rows, and rows as messages again.

The reverse of :mod:`tapekit_ndmp_v4.trace`, by the same annotations that the
codec reads. The one rule: what a line does not have whole (a field that was
cut, a secret) is never made up.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, TypeVar, final

import msgspec
import msgspec.inspect as mi

from tapekit_ndmp_v4 import xdr
from tapekit_ndmp_v4.wire import Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["CutField", "TraceRow", "message_of", "rows_of"]

M = TypeVar("M", bound=Message)

_Fields: TypeAlias = dict[str, Any]


class CutField(Exception):
    """A line shows only the beginning of a field that is needed whole."""


@final
class TraceRow(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a trace: a message, or a notice that stands between them."""

    line: int = 0
    """Its number in the file, from 1."""
    time: float = 0.0
    """Seconds since 1970."""
    code: Annotated[str, msgspec.Meta(pattern="^(0x[0-9a-f]{1,8})?$")] = ""
    """The message's number, hexadecimal."""
    session: int | None = None
    kind: str = ""
    """``request``, ``reply`` or ``post``; empty for a notice."""
    message: str | None = None
    """The document's name; ``None`` for a message that has none."""
    error: str | int = "NO_ERR"
    """Of the header."""
    body: _Fields | None = None
    notice: str | None = None


def rows_of(lines: Iterable[bytes]) -> Iterator[TraceRow]:
    """The rows of a trace.

    :raises msgspec.DecodeError: a line is none of a trace.
    """
    decoder: Final = msgspec.json.Decoder(TraceRow)
    for number, line in enumerate(lines, start=1):
        if line.strip():
            row = decoder.decode(line)
            if not row.kind and row.notice is None:
                raise msgspec.ValidationError(f"line {number} has neither a kind nor a notice")
            yield msgspec.structs.replace(row, line=number)


def message_of(kind: type[M], fields: Mapping[str, object]) -> M:
    """A message from the fields of its line.

    :raises CutField: a field was cut.
    :raises (KeyError, TypeError, ValueError): the fields are not those of
        the message.
    """
    made: M = _value(mi.type_info(kind), fields)
    # Anybody may have written the line: what no message can say is not one.
    xdr.encode(made)
    return made


def _value(kind: mi.Type, plain: Any) -> Any:
    """A plain value as what the message's annotation says."""
    match kind:
        case mi.Metadata(extra={"xdr": type() as named}) if issubclass(named, enum.IntEnum):
            return _number(named, plain)
        case mi.Metadata(type=inner):
            return _value(inner, plain)
        case mi.BytesType():
            return bytes.fromhex(_whole(plain))
        case mi.StrType():
            return _text(plain)
        case mi.VarTupleType(item_type=item):
            return tuple(_value(item, entry) for entry in _whole(plain))
        case mi.NamedTupleType(cls=cls, fields=fields):
            return cls(*(_value(f.type, entry) for f, entry in zip(fields, plain, strict=True)))
        case mi.StructType(cls=cls, fields=fields):
            return cls(**{f.name: _value(f.type, plain[f.name]) for f in fields})
        case mi.UnionType(types=types):
            return _arm(types, plain)
        case _:
            return plain


def _number(named: type[enum.IntEnum], plain: str | int) -> int:
    return named[plain] if isinstance(plain, str) else plain


def _text(plain: Any) -> str:
    if isinstance(plain, dict):
        return bytes.fromhex(plain["hex"]).decode("utf-8", "surrogateescape")
    return str(plain)


def _whole(plain: Any) -> Any:
    if isinstance(plain, dict):
        raise CutField
    return plain


def _arm(types: Iterable[mi.Type], plain: _Fields) -> object:
    """The arm of a union that the line names."""
    for kind in types:
        if isinstance(kind, mi.StructType) and kind.cls.__name__ == plain["type"]:
            return _value(kind, plain)
    raise KeyError(plain["type"])
