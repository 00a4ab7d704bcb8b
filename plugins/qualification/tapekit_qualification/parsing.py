"""Reads tape configuration files: lines of the form ``key="value"``.

A first pass takes lines apart, a second one converts what stands in them, a
third one looks at the file as a whole. Nothing stops at the first mistake:
each becomes an error of its own, with the file, the line and the column. The
one rule: a file with a mistake gives no configuration.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, final

from tapekit_qualification.configuration import (
    PRODUCT_BYTES,
    VENDOR_BYTES,
    TapeConfiguration,
    TapeFormat,
)
from tapekit_qualification.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapekit.errors import TapekitError

__all__ = ["Reading", "read_configuration"]

_LETTERS: Final = "lmha"
_PRETTY_BYTES: Final = 16
_DESCRIPTION_BYTES: Final = 24

_KEY: Final = re.compile(r"\s*([^\s=\"#]+)\s*=\s*", re.ASCII)
_QUOTED: Final = re.compile(r'"([^"]*)"')
_BARE: Final = re.compile(r"[^\s#\"]+")
_TIMEOUT_KEY: Final = re.compile(r"cmd_timeout_0x([0-9a-fA-F]{2})", re.ASCII)
_CODE: Final = re.compile(r"0[xX]([0-9a-fA-F]{1,2})", re.ASCII)
_DURATION: Final = re.compile(r"([0-9]{1,9})(ms|m|s)", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_SECONDS: Final = {"m": 60.0, "s": 1.0, "ms": 0.001}
_SWITCH: Final = {"yes": True, "no": False}


class Reading(NamedTuple):
    """What became of a file: a configuration, or what is wrong with it."""

    configuration: TapeConfiguration | None
    mistakes: tuple[TapekitError, ...]


class _Entry(NamedTuple):
    """A line taken apart."""

    key: str
    value: str
    key_place: str
    value_place: str


_Value: TypeAlias = str | int | bool | float
_Converter: TypeAlias = Callable[[_Entry], _Value]


def read_configuration(text: str, file: str) -> Reading:
    """Read the text of a file.

    :param file: the file's name, for messages.
    """
    reader = _Reader(file)
    values = reader.values(text)
    reader.look_at_whole(values)
    if reader.mistakes:
        return Reading(None, tuple(reader.mistakes))
    return Reading(_configuration(values), ())


@final
class _Reader:
    """Reads one file and collects its mistakes."""

    def __init__(self, file: str) -> None:
        self._file: Final = file
        self._keys: Final[dict[str, str]] = {}
        """The fields that were named, rightly or not, with their places."""
        self.mistakes: Final[list[TapekitError]] = []

    def values(self, text: str) -> dict[str, _Value]:
        """All fields that are right."""
        found: dict[str, _Value] = {}
        for number, line in enumerate(text.splitlines(), start=1):
            try:
                entry = _entry(line, f"{self._file}:{number}")
                if entry is not None:
                    found[entry.key] = self._converted(entry)
            except _Mistake as mistake:
                self.mistakes.append(mistake.error)
                field = str(mistake.error.facts.get("field"))
                self._keys.setdefault(field, f"{self._file}:{number}")
        return found

    def _converted(self, entry: _Entry) -> _Value:
        converter = _converter(entry)
        earlier = self._keys.setdefault(entry.key, entry.key_place)
        if earlier != entry.key_place:
            raise _Mistake(
                CATALOGUE.error(
                    "field-twice", place=entry.key_place, field=entry.key, earlier=earlier
                )
            )
        return converter(entry)

    def look_at_whole(self, values: dict[str, _Value]) -> None:
        """Find what is missing, and what does not fit together."""
        for field in _FIELDS:
            if field not in self._keys and field not in _OPTIONAL:
                self.mistakes.append(CATALOGUE.error("missing-field", file=self._file, field=field))
        for field, other in (_PRETTY, _PRETTY[::-1]):
            if values.get(field) and not values.get(other) and self._is_right(other, values):
                place = self._keys[field]
                self.mistakes.append(
                    CATALOGUE.error("lone-pretty-name", place=place, field=field, other=other)
                )

    def _is_right(self, field: str, values: dict[str, _Value]) -> bool:
        """Whether no mistake was found in a field, which may not be there."""
        return field in values or field not in self._keys


class _Mistake(Exception):
    """Something in one line is wrong."""

    def __init__(self, error: TapekitError) -> None:
        super().__init__(error)
        self.error: Final = error


def _entry(line: str, place: str) -> _Entry | None:
    """A line taken apart; ``None`` if nothing stands in it.

    :raises _Mistake: it is no field with a value.
    """
    bare = line.strip()
    if not bare or bare.startswith("#"):
        return None
    start = f"{place}:{line.index(bare) + 1}"
    key = _KEY.match(line)
    if key is None:
        raise _Mistake(CATALOGUE.error("no-field", place=start, text=_shortened(bare)))
    value_place = f"{place}:{key.end() + 1}"
    value = _QUOTED.match(line, key.end()) or _BARE.match(line, key.end())
    if value is None:
        is_open = line[key.end() :].startswith('"')
        raise _Mistake(_valueless(value_place, key[1], is_open=is_open))
    rest = line[value.end() :].strip()
    if rest and not rest.startswith("#"):
        column = line.index(rest, value.end()) + 1
        raise _Mistake(
            CATALOGUE.error(
                "text-after-value", place=f"{place}:{column}", text=_shortened(rest), field=key[1]
            )
        )
    return _Entry(key[1], value[value.lastindex or 0], start, value_place)


def _valueless(place: str, field: str, *, is_open: bool) -> TapekitError:
    if is_open:
        return CATALOGUE.error("no-closing-quote", place=place, field=field)
    return CATALOGUE.error("no-value", place=place, field=field)


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."


def _converter(entry: _Entry) -> _Converter:
    """What converts a field.

    :raises _Mistake: there is no such field.
    """
    if entry.key in _FIELDS:
        return _FIELDS[entry.key]
    if _TIMEOUT_KEY.fullmatch(entry.key):
        return _duration
    similar = difflib.get_close_matches(entry.key, _FIELDS, n=1)
    raise _Mistake(
        CATALOGUE.error(
            "unknown-field",
            place=entry.key_place,
            field=entry.key,
            similar=f'; did you mean "{similar[0]}"?' if similar else "",
        )
    )


def _text(limit: int, *, may_be_empty: bool = False) -> _Converter:
    """Converts text of at most ``limit`` bytes."""

    def convert(entry: _Entry) -> str:
        value = entry.value
        if not value.strip() and not may_be_empty:
            raise _Mistake(CATALOGUE.error("no-value", place=entry.value_place, field=entry.key))
        if not (value.isascii() and value.isprintable()):
            raise _Mistake(CATALOGUE.error("not-ascii", place=entry.value_place, field=entry.key))
        if len(value) > limit:
            raise _Mistake(
                CATALOGUE.error(
                    "too-long",
                    place=entry.value_place,
                    field=entry.key,
                    length=len(value),
                    limit=limit,
                )
            )
        return value

    return convert


def _match_size(entry: _Entry) -> int:
    if _NUMBER.fullmatch(entry.value) and 1 <= int(entry.value) <= PRODUCT_BYTES:
        return int(entry.value)
    raise _Mistake(
        CATALOGUE.error(
            "bad-match-size", place=entry.value_place, value=entry.value, limit=PRODUCT_BYTES
        )
    )


def _code(entry: _Entry) -> int:
    match = _CODE.fullmatch(entry.value)
    if match:
        return int(match[1], 16)
    raise _Mistake(
        CATALOGUE.error("bad-code", place=entry.value_place, field=entry.key, value=entry.value)
    )


def _switch(entry: _Entry) -> bool:
    if entry.value in _SWITCH:
        return _SWITCH[entry.value]
    raise _Mistake(
        CATALOGUE.error("bad-switch", place=entry.value_place, field=entry.key, value=entry.value)
    )


def _duration(entry: _Entry) -> float:
    match = _DURATION.fullmatch(entry.value)
    if match and int(match[1]):
        return int(match[1]) * _SECONDS[match[2]]
    raise _Mistake(
        CATALOGUE.error("bad-timeout", place=entry.value_place, field=entry.key, value=entry.value)
    )


_PRETTY: Final = ("vendor_pretty", "product_pretty")
_OPTIONAL: Final = frozenset({*_PRETTY, "autoload"})

_FIELDS: Final[dict[str, _Converter]] = {
    "vendor_id": _text(VENDOR_BYTES),
    "product_id": _text(PRODUCT_BYTES),
    "id_match_size": _match_size,
    "vendor_pretty": _text(_PRETTY_BYTES, may_be_empty=True),
    "product_pretty": _text(_PRETTY_BYTES, may_be_empty=True),
    **{f"{letter}_description": _text(_DESCRIPTION_BYTES) for letter in _LETTERS},
    **{f"{letter}_density": _code for letter in _LETTERS},
    **{f"{letter}_algorithm": _code for letter in _LETTERS},
    "autoload": _switch,
}
"""The fields that there are, and what converts them; time limits come on top."""


def _configuration(values: dict[str, _Value]) -> TapeConfiguration:
    """The configuration of fields that are complete and right."""
    return TapeConfiguration(
        vendor_id=str(values["vendor_id"]),
        product_id=str(values["product_id"]),
        id_match_size=int(values["id_match_size"]),
        vendor_pretty=str(values.get("vendor_pretty", "")) or None,
        product_pretty=str(values.get("product_pretty", "")) or None,
        formats={
            letter: TapeFormat(
                description=str(values[f"{letter}_description"]),
                density=int(values[f"{letter}_density"]),
                algorithm=int(values[f"{letter}_algorithm"]),
            )
            for letter in _LETTERS
        },
        autoload=bool(values.get("autoload", False)),
        timeouts_s=dict(_timeouts(values)),
    )


def _timeouts(values: dict[str, _Value]) -> Iterator[tuple[int, float]]:
    for key, value in values.items():
        match = _TIMEOUT_KEY.fullmatch(key)
        if match:
            yield int(match[1], 16), float(value)
