"""Types and values of settings in an administrator's words.

Error texts and listings say what a setting may be ("a whole number from 1
to 64") and what it is (as it would stand in the TOML file). The one rule: a
value that may be a secret is never shown.
"""

from __future__ import annotations

import datetime as dt
import enum
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import msgspec.inspect as mi

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["in_words", "is_secret", "shown"]

_LONGEST_SHOWN: Final = 60
_SECRET_WORDS: Final = frozenset({"password", "passphrase", "secret", "token"})


def is_secret(key: str) -> bool:
    """Whether a setting of this name may hold a secret."""
    return not _SECRET_WORDS.isdisjoint(key.lower().split("_"))


def shown(value: object) -> str:
    """A value as it would stand in the TOML file; long ones are cut."""
    text = _toml(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def _toml(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case enum.Enum():
            return _toml(value.value)
        case str() | Path():
            return json.dumps(str(value), ensure_ascii=False)
        case list() | tuple():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case set() | frozenset():
            return "[" + ", ".join(sorted(map(_toml, value))) + "]"
        case dict():
            pairs = (
                f"{key} = {'...' if is_secret(str(key)) else _toml(item)}"
                for key, item in value.items()
            )
            return "{" + ", ".join(pairs) + "}"
        case msgspec.Struct():
            return _toml(msgspec.structs.asdict(value))
        case dt.date() | dt.time():
            return value.isoformat()
        case _:
            return str(value)


def in_words(kind: object) -> str:
    """What a setting of this type may be."""
    return _words(mi.type_info(kind))


def _words(kind: mi.Type) -> str:
    """The words for wrappers and containers; others are simple."""
    match kind:
        case mi.Metadata(type=inner):
            return _words(inner)
        case mi.UnionType(types=types):
            words = (_words(one) for one in types if not isinstance(one, mi.NoneType))
            return " or ".join(dict.fromkeys(words))
        case mi.TupleType(item_types=items):
            return "a list of " + ", ".join(_words(item) for item in items)
        case mi.CollectionType(item_type=item):
            return f"a list{_lengths(kind, 'item')}, each {_words(item)}"
        case mi.StructType() | mi.DictType() | mi.TypedDictType() | mi.DataclassType():
            return "a table"
        case _:
            return _simple_words(kind)


def _simple_words(kind: mi.Type) -> str:
    match kind:
        case mi.BoolType():
            return "true or false"
        case mi.IntType():
            return "a whole number" + _limits(kind)
        case mi.FloatType():
            return "a number" + _limits(kind)
        case mi.StrType(pattern=pattern):
            return "text" + _lengths(kind, "character") + (f" like {pattern}" if pattern else "")
        case mi.LiteralType(values=values):
            return _one_of(values)
        case mi.EnumType(cls=cls):
            return _one_of(member.value for member in cls)
        case mi.CustomType(cls=cls) if issubclass(cls, Path):
            return "a path"
        case mi.DateTimeType() | mi.DateType() | mi.TimeType():
            return "a date or time"
        case _:
            return "a value of type " + type(kind).__name__.removesuffix("Type").lower()


def _one_of(values: Iterable[object]) -> str:
    return "one of " + ", ".join(_toml(value) for value in values)


def _limits(kind: mi.IntType | mi.FloatType) -> str:
    words = ""
    if kind.ge is not None and kind.le is not None:
        return f" from {kind.ge} to {kind.le}" + _multiple(kind)
    for bound, word in (
        (kind.ge, "of at least"),
        (kind.gt, "above"),
        (kind.le, "of at most"),
        (kind.lt, "below"),
    ):
        if bound is not None:
            words += f" {word} {bound}"
    return words + _multiple(kind)


def _multiple(kind: mi.IntType | mi.FloatType) -> str:
    return f", a multiple of {kind.multiple_of}" if kind.multiple_of is not None else ""


def _lengths(kind: mi.StrType | mi.CollectionType, unit: str) -> str:
    if kind.min_length is not None and kind.max_length is not None:
        return f" of {kind.min_length} to {_count(kind.max_length, unit)}"
    if kind.min_length is not None:
        return f" of at least {_count(kind.min_length, unit)}"
    if kind.max_length is not None:
        return f" of at most {_count(kind.max_length, unit)}"
    return ""


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
