"""XDR from annotations: one encoder and one decoder per type, built once.

:func:`codec_of` walks msgspec's type information and makes a
:class:`Codec` for each node; neighbouring numbers of a structure are packed
together. The one rule: a length or count is compared with both its
annotated maximum and the bytes that are left before anything is allocated.
"""

from __future__ import annotations

import enum
import functools
import struct
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, final

import msgspec.inspect as mi

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit_ndmp_v4.wire import Message

__all__ = ["Codec", "XdrError", "codec_of", "decode", "encode", "zero"]

M = TypeVar("M", bound="Message")

_COUNT: Final = struct.Struct(">I")
_PADDING: Final = (b"", b"\0\0\0", b"\0\0", b"\0")


@final
class XdrError(ValueError):
    """Bytes that are not the type asked for, or a value that has no form.

    ``str()`` gives the place and the reason, such as
    ``env: 9000 entries, at most 4096 are allowed``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason: Final = reason
        self._path: list[str] = []

    def __str__(self) -> str:
        return ": ".join(
            (".".join(reversed(self._path)), self.reason) if self._path else (self.reason,)
        )

    def within(self, name: str) -> XdrError:
        """The same error, told from one level further out."""
        self._path.append(name)
        return self


class _Scalar(NamedTuple):
    """A number of fixed size, which a structure packs with its neighbours."""

    layout: str
    check: Callable[[Any], object] | None
    """Refuses a value before packing, where the layout itself would not."""
    convert: Callable[[int], Any] | None
    """Makes the value of what was unpacked."""


class Codec(NamedTuple):
    """How one type goes to bytes and back."""

    put: Callable[[bytearray, Any], None]
    get: Callable[[bytes, int], tuple[Any, int]]
    """Takes the data and an offset, gives the value and the next offset."""
    least: int
    """The fewest bytes that any value takes."""
    zero: Any
    """The value of zeros and empty lists; fields with defaults keep them."""
    scalar: _Scalar | None = None


def encode(message: Message) -> bytes:
    """The XDR form of a message.

    :raises XdrError: a value is out of its range or longer than allowed.
    """
    out = bytearray()
    try:
        codec_of(type(message)).put(out, message)
    except struct.error as error:
        raise XdrError(f"a number does not fit: {error}") from None
    return bytes(out)


def decode(kind: type[M], data: bytes, at: int = 0, *, strict: bool = False) -> M:
    """Read a message from ``data``, starting at offset ``at``.

    Bytes after it are ignored, since peers of other versions append fields.

    :param strict: refuse surplus bytes and padding other than zeros.
    :raises XdrError: the bytes end early or are not of this type.
    """
    try:
        value, _ = codec_of(kind).get(data, at)
    except struct.error:
        raise XdrError("the data ends early") from None
    if strict and encode(value) != data[at:]:
        raise XdrError("surplus bytes, or padding that is not zero")
    if not isinstance(value, kind):
        raise TypeError(f"the codec of {kind} made {value!r}")
    return value


def zero(kind: type[M]) -> M:
    """The message of zeros, empty lists and default values."""
    value = codec_of(kind).zero
    if not isinstance(value, kind):
        raise TypeError(f"the codec of {kind} made {value!r}")
    return value


@functools.cache
def codec_of(kind: type) -> Codec:
    """The codec of a structure.

    :raises TypeError: an annotation in it has no XDR form.
    """
    return _codec_for(mi.type_info(kind))


def _codec_for(kind: mi.Type) -> Codec:
    match kind:
        case mi.Metadata(type=mi.IntType() as bounds, extra={"xdr": str(layout)}):
            return _number(layout, bounds)
        case mi.Metadata(type=mi.IntType(), extra={"xdr": type() as members}):
            return _enumeration(members)
        case mi.StrType(max_length=int(limit)):
            return _string(limit)
        case mi.BytesType(min_length=int(length), max_length=limit) if length == limit:
            return _fixed_opaque(length)
        case mi.BytesType(max_length=int(limit)):
            return _opaque(limit)
        case mi.VarTupleType(item_type=item, max_length=int(limit)):
            return _array(_codec_for(item), limit)
        case mi.StructType(cls=cls, fields=fields):
            return _structure(fields, attrgetter, _maker(cls, fields))
        case mi.NamedTupleType(cls=cls, fields=fields):
            return _structure(fields, _itself, lambda values: cls(*values))
        case mi.UnionType(types=types):
            return _union(types)
        case _:
            raise TypeError(f"{kind} has no XDR form")


def _number(layout: str, bounds: mi.IntType) -> Codec:
    low, high = bounds.ge, bounds.le
    if low is None or high is None or high > 2**31:
        return _scalar(_Scalar(layout, None, None), 0)

    def check(value: int) -> int:
        if not low <= value <= high:
            raise XdrError(f"{value} is not in the range {low} to {high}")
        return value

    return _scalar(_Scalar(layout, check, check), 0)


def _enumeration(members: type[enum.IntEnum]) -> Codec:
    known: dict[int, int] = {int(member): member for member in members}

    def check(value: object) -> None:
        if isinstance(value, enum.Enum) and type(value) is not members:
            raise XdrError(f"{value!r} stands where a {members.__name__} belongs")

    def convert(value: int) -> int:
        return known.get(value, value)

    return _scalar(_Scalar("I", check, convert), known.get(0, 0))


def _scalar(scalar: _Scalar, nothing: int) -> Codec:
    layout = struct.Struct(">" + scalar.layout)
    check, convert = scalar.check, scalar.convert

    def put(out: bytearray, value: int) -> None:
        if check is not None:
            check(value)
        out += layout.pack(value)

    def get(data: bytes, at: int) -> tuple[int, int]:
        (value,) = layout.unpack_from(data, at)
        return (value if convert is None else convert(value)), at + layout.size

    return Codec(put, get, layout.size, nothing, scalar)


def _string(limit: int) -> Codec:
    inner = _opaque(limit)

    def put(out: bytearray, value: str) -> None:
        try:
            inner.put(out, value.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError as error:
            raise XdrError(
                f"text that is neither UTF-8 nor escaped bytes: {error.reason}"
            ) from None

    def get(data: bytes, at: int) -> tuple[str, int]:
        raw, after = inner.get(data, at)
        return raw.decode("utf-8", "surrogateescape"), after

    return Codec(put, get, 4, "")


def _opaque(limit: int) -> Codec:
    def put(out: bytearray, value: bytes) -> None:
        length = len(value)
        if length > limit:
            raise XdrError(f"{length} bytes, at most {limit} are allowed")
        out += _COUNT.pack(length)
        out += value
        out += _PADDING[length & 3]

    def get(data: bytes, at: int) -> tuple[bytes, int]:
        (length,) = _COUNT.unpack_from(data, at)
        start = at + 4
        after = start + (length + 3 & ~3)
        if length > limit:
            raise XdrError(f"{length} bytes, at most {limit} are allowed")
        if after > len(data):
            raise XdrError(f"{length} bytes announced, {len(data) - start} are left")
        return data[start : start + length], after

    return Codec(put, get, 4, b"")


def _fixed_opaque(length: int) -> Codec:
    padding = _PADDING[length & 3]
    size = length + len(padding)

    def put(out: bytearray, value: bytes) -> None:
        if len(value) != length:
            raise XdrError(f"{len(value)} bytes, exactly {length} are required")
        out += value
        out += padding

    def get(data: bytes, at: int) -> tuple[bytes, int]:
        if at + size > len(data):
            raise XdrError(f"{length} bytes expected, {len(data) - at} are left")
        return data[at : at + length], at + size

    return Codec(put, get, size, bytes(length))


def _array(item: Codec, limit: int) -> Codec:
    if not item.least:
        raise TypeError("entries without a byte would make a count free of charge")
    put_item, get_item, least = item.put, item.get, item.least

    def put(out: bytearray, value: Sequence[object]) -> None:
        if len(value) > limit:
            raise XdrError(f"{len(value)} entries, at most {limit} are allowed")
        out += _COUNT.pack(len(value))
        for entry in value:
            put_item(out, entry)

    def get(data: bytes, at: int) -> tuple[tuple[object, ...], int]:
        (count,) = _COUNT.unpack_from(data, at)
        at += 4
        if count > limit:
            raise XdrError(f"{count} entries, at most {limit} are allowed")
        if count * least > len(data) - at:
            raise XdrError(f"{count} entries announced, {len(data) - at} bytes are left")
        values = []
        for _ in range(count):
            value, at = get_item(data, at)
            values.append(value)
        return tuple(values), at

    return Codec(put, get, 4, ())


def _maker(cls: type, fields: Sequence[mi.Field]) -> Callable[[Sequence[object]], Any]:
    names = tuple(field.name for field in fields)
    return lambda values: cls(**dict(zip(names, values, strict=True)))


def _itself(*_names: str) -> Callable[[Any], Any]:
    return lambda value: value


def _structure(
    fields: Sequence[mi.Field],
    getter: Callable[..., Callable[[Any], Any]],
    make: Callable[[Sequence[object]], Any],
) -> Codec:
    codecs = [_codec_for(field.type) for field in fields]
    parts = _parts([field.name for field in fields], codecs)
    take = _tuple_getter(getter, [field.name for field in fields])

    def put(out: bytearray, value: object) -> None:
        values = take(value)
        for part in parts:
            part.put(out, values)

    def get(data: bytes, at: int) -> tuple[Any, int]:
        values: list[object] = []
        for part in parts:
            at = part.get(data, at, values)
        return make(values), at

    nothing = make(
        [
            codec.zero if field.required else field.default
            for field, codec in zip(fields, codecs, strict=True)
        ]
    )
    return Codec(put, get, sum(codec.least for codec in codecs), nothing)


def _tuple_getter(
    getter: Callable[..., Callable[[Any], Any]], names: list[str]
) -> Callable[[Any], Sequence[Any]]:
    if getter is _itself or len(names) > 1:
        return getter(*names)
    if not names:
        return lambda _: ()
    only = getter(*names)
    return lambda value: (only(value),)


class _Part(NamedTuple):
    """One field, or several neighbouring numbers, of a structure."""

    put: Callable[[bytearray, Sequence[Any]], None]
    get: Callable[[bytes, int, list[object]], int]


def _parts(names: list[str], codecs: list[Codec]) -> list[_Part]:
    parts = []
    start = 0
    while start < len(codecs):
        stop = start
        while stop < len(codecs) and codecs[stop].scalar is not None:
            stop += 1
        if stop - start > 1:
            scalars = [scalar for codec in codecs[start:stop] if (scalar := codec.scalar)]
            parts.append(_run(names[start:stop], scalars, start))
        else:
            stop = start + 1
            parts.append(_field(names[start], codecs[start], start))
        start = stop
    return parts


def _field(name: str, codec: Codec, index: int) -> _Part:
    put_value, get_value = codec.put, codec.get

    def put(out: bytearray, values: Sequence[Any]) -> None:
        try:
            put_value(out, values[index])
        except XdrError as error:
            raise error.within(name) from None

    def get(data: bytes, at: int, values: list[object]) -> int:
        try:
            value, at = get_value(data, at)
        except XdrError as error:
            raise error.within(name) from None
        values.append(value)
        return at

    return _Part(put, get)


def _run(names: list[str], scalars: list[_Scalar], start: int) -> _Part:
    layout = struct.Struct(">" + "".join(scalar.layout for scalar in scalars))
    checks = [(i, scalar.check) for i, scalar in enumerate(scalars) if scalar.check is not None]
    converts = [
        (i, scalar.convert) for i, scalar in enumerate(scalars) if scalar.convert is not None
    ]
    stop = start + len(scalars)

    def put(out: bytearray, values: Sequence[Any]) -> None:
        run = values[start:stop]
        for i, check in checks:
            try:
                check(run[i])
            except XdrError as error:
                raise error.within(names[i]) from None
        out += layout.pack(*run)

    def get(data: bytes, at: int, values: list[object]) -> int:
        run: list[object] = list(layout.unpack_from(data, at))
        for i, convert in converts:
            try:
                run[i] = convert(run[i])  # type: ignore[arg-type]  # unpacked as an integer
            except XdrError as error:
                raise error.within(names[i]) from None
        values += run
        return at + layout.size

    return _Part(put, get)


def _union(types: Sequence[mi.Type]) -> Codec:
    arms: dict[int, Codec] = {}
    tags: dict[type, int] = {}
    for kind in types:
        if not isinstance(kind, mi.StructType) or not isinstance(kind.tag, int):
            raise TypeError(f"{kind} is no arm of a union: its tag is not a number")
        arms[kind.tag] = _codec_for(kind)
        tags[kind.cls] = kind.tag

    def put(out: bytearray, value: object) -> None:
        tag = tags.get(type(value))
        if tag is None:
            raise XdrError(f"{type(value).__name__} is no arm of this union")
        out += _COUNT.pack(tag)
        arms[tag].put(out, value)

    def get(data: bytes, at: int) -> tuple[object, int]:
        (tag,) = _COUNT.unpack_from(data, at)
        arm = arms.get(tag)
        if arm is None:
            raise XdrError(f"{tag:#x} selects no arm of this union")
        return arm.get(data, at + 4)

    least = 4 + min(arm.least for arm in arms.values())
    return Codec(put, get, least, arms[min(arms)].zero)
