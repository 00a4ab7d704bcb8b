"""A plugin's table becomes its frozen settings struct, or a list of errors.

The struct's own decoder stops at the first error, so tables, lists and
their items are walked one by one, each with its place in the file; only
what has no errors is decoded as a whole. The one rule: nothing is converted
on the way (``strict``), so a text never becomes a number.
"""

from __future__ import annotations

import re
import types
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, TypeVar, Union
from typing import get_args as type_arguments
from typing import get_origin as type_origin

import msgspec

from tapekit.errors import CORE, TapekitError
from tapekit.kernel.setting_words import in_words, is_secret, shown
from tapekit.kernel.spelling import similar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Place", "decode_hook", "decode_settings", "without_wrapping"]

S = TypeVar("S", bound=msgspec.Struct)

_AT_PATH: Final = re.compile(r" - at `\$.*`$")


class Place(NamedTuple):
    """Where in a stack file a value stands."""

    file: Path
    plugin: str
    keys: str
    """The dotted path from the top of the file."""

    @property
    def last(self) -> str:
        """The key alone, without its table."""
        return self.keys.rpartition(".")[2]

    def key(self, key: str) -> Place:
        """The place of a key in this table."""
        return self._replace(keys=f"{self.keys}.{key}")

    def item(self, index: int) -> Place:
        """The place of an item in this list, shown as counted from 1."""
        return self._replace(keys=f"{self.keys}#{index + 1}")


def decode_settings(
    file: Path, plugin: str, kind: type[S], table: Mapping[str, object]
) -> tuple[S | None, list[TapekitError]]:
    """Decode a plugin's table.

    :returns: the settings, or ``None`` and everything that is wrong.
    """
    errors = list(_errors(dict(table), kind, Place(file, plugin, plugin)))
    if errors:
        return None, errors
    return _convert(dict(table), kind), []


def decode_hook(kind: type, value: object) -> object:
    """Read the types that TOML settings have on top of msgspec's own.

    :raises NotImplementedError: there is no such type.
    """
    if kind is Path:
        if isinstance(value, str):
            return Path(value)
        raise TypeError("a path is a text")
    raise NotImplementedError(kind)


def without_wrapping(kind: Any) -> Any:
    """The type inside ``Annotated[...]`` and ``... | None``."""
    while True:
        origin = type_origin(kind)
        if origin is Annotated:
            kind = type_arguments(kind)[0]
        elif origin in (Union, types.UnionType):
            members = [one for one in type_arguments(kind) if one is not types.NoneType]
            if len(members) != 1:
                return kind
            kind = members[0]
        else:
            return kind


def _convert(value: object, kind: Any) -> Any:
    return msgspec.convert(value, kind, strict=True, dec_hook=decode_hook)


def _errors(value: object, kind: Any, place: Place) -> Iterator[TapekitError]:
    """All that is wrong inside a value, or else with the value itself."""
    inner = list(_inner_errors(value, without_wrapping(kind), place))
    if inner:
        yield from inner
        return
    try:
        _convert(value, kind)
    except TapekitError as error:
        yield error
    except msgspec.ValidationError as error:
        yield _own_error(value, kind, place, error)


def _inner_errors(value: object, kind: Any, place: Place) -> Iterator[TapekitError]:
    if isinstance(value, dict):
        kind = _by_tag(value, kind)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            yield from _table_errors(value, kind, place)
        elif type_origin(kind) is dict:
            for key, item in value.items():
                yield from _errors(item, type_arguments(kind)[1], place.key(key))
    elif isinstance(value, list) and _item_type(kind) is not None:
        for index, item in enumerate(value):
            yield from _errors(item, _item_type(kind), place.item(index))


def _by_tag(table: Mapping[str, object], kind: Any) -> Any:
    """Of several kinds of tables, the one that the table's tag names."""
    if type_origin(kind) in (Union, types.UnionType):
        for one in type_arguments(kind):
            config = getattr(one, "__struct_config__", None)
            if config is not None and table.get(config.tag_field) == config.tag:
                return one
    return kind


def _item_type(kind: Any) -> Any:
    """The type of a list's items, if they all have one."""
    arguments = type_arguments(kind)
    if type_origin(kind) in (list, set, frozenset) and arguments:
        return arguments[0]
    if type_origin(kind) is tuple and arguments[1:] == (...,):
        return arguments[0]
    return None


def _table_errors(
    table: Mapping[str, object], kind: type[msgspec.Struct], place: Place
) -> Iterator[TapekitError]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    known = {*fields, kind.__struct_config__.tag_field}
    where = f"[{place.keys}]"
    for key, value in table.items():
        if key in fields:
            yield from _errors(value, fields[key].type, place.key(key))
        elif key not in known:
            yield CORE.error(
                "unknown-setting",
                file=place.file,
                place=where,
                key=key,
                plugin=place.plugin,
                similar=similar(key, fields),
            )
    for key, field in fields.items():
        if field.required and key not in table:
            yield CORE.error(
                "missing-setting",
                file=place.file,
                place=where,
                key=key,
                plugin=place.plugin,
                allowed=in_words(field.type),
            )


def _own_error(
    value: object, kind: Any, place: Place, error: msgspec.ValidationError
) -> TapekitError:
    if isinstance(value, dict) and in_words(kind) == "a table":
        return CORE.error(
            "contradictory-settings",
            file=place.file,
            place=f"[{place.keys}]",
            reason=_AT_PATH.sub("", str(error)),
            plugin=place.plugin,
        )
    return CORE.error(
        "bad-setting",
        file=place.file,
        place=place.keys,
        value="a value that may be a secret" if is_secret(place.last) else shown(value),
        allowed=in_words(kind),
        plugin=place.plugin,
    )
