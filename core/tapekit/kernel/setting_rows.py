"""The settings of a plugin as rows: key, type, default, help.

The help of a field is the text literal under it, which exists only in the
source; so the source of the settings class is parsed. Tables within tables
give rows of their own, under a dotted key.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import TYPE_CHECKING, Any, get_args, get_origin

import msgspec

from tapekit.kernel.setting_words import in_words, is_secret, shown
from tapekit.kernel.settings import without_wrapping

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SettingRow", "setting_rows"]


class SettingRow(msgspec.Struct, frozen=True, kw_only=True):
    """One setting as listings show it."""

    key: str
    """Dotted; ``NAME`` stands for a name of the administrator's choice and
    ``[]`` for each item of a list."""
    type: str
    default: str | None
    """As in TOML; ``None`` if the setting must be given."""
    help: str


def setting_rows(kind: type[msgspec.Struct]) -> list[SettingRow]:
    """The settings of a struct, with those of the tables in it."""
    return list(_rows(kind, "", ()))


def _rows(kind: type[msgspec.Struct], prefix: str, outer: tuple[type, ...]) -> Iterator[SettingRow]:
    texts = _field_texts(kind)
    for field in msgspec.structs.fields(kind):
        key = prefix + field.encode_name
        yield SettingRow(
            key=key,
            type=in_words(field.type),
            default=_default(field),
            help=texts.get(field.name, ""),
        )
        inner, suffix = _inner_table(field.type)
        if inner is not None and inner not in (*outer, kind):
            yield from _rows(inner, key + suffix + ".", (*outer, kind))


def _default(field: msgspec.structs.FieldInfo) -> str | None:
    if field.required:
        return None
    if is_secret(field.encode_name):
        return "not shown"
    if field.default_factory is not msgspec.NODEFAULT:
        return shown(field.default_factory())
    return "none" if field.default is None else shown(field.default)


def _inner_table(kind: Any) -> tuple[type[msgspec.Struct] | None, str]:
    """The struct inside a table, a table of tables or a list of tables."""
    kind = without_wrapping(kind)
    suffix = ""
    while not isinstance(kind, type) or get_origin(kind) is not None:
        arguments = get_args(kind)
        if get_origin(kind) is dict:
            kind, suffix = without_wrapping(arguments[1]), suffix + ".NAME"
        elif get_origin(kind) in (list, tuple) and arguments:
            kind, suffix = without_wrapping(arguments[0]), suffix + "[]"
        else:
            return None, ""
    return (kind, suffix) if issubclass(kind, msgspec.Struct) else (None, "")


def _field_texts(kind: type) -> dict[str, str]:
    """The text literals under the fields of a class and its bases."""
    texts: dict[str, str] = {}
    for cls in reversed(kind.__mro__):
        if issubclass(cls, msgspec.Struct) and cls is not msgspec.Struct:
            texts |= _own_field_texts(cls)
    return texts


def _own_field_texts(cls: type) -> dict[str, str]:
    try:
        source = textwrap.dedent(inspect.getsource(cls))
    except (OSError, TypeError):
        # A plugin that ships without its source has settings without help.
        return {}
    (node,) = ast.parse(source).body
    if not isinstance(node, ast.ClassDef):
        return {}
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in zip(node.body, node.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
