"""The stack file: which plugins a stack enables, and a table for each.

The file is TOML. Because TOML does not allow the list ``plugins`` and
tables ``[plugins.NAME]`` together, each plugin's table stands at the top
level under the plugin's own name. The one rule: reading goes on after an
error, so that one run tells everything that is wrong.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, cast

import msgspec

from tapekit.errors import CORE, TapekitError
from tapekit.kernel.setting_words import in_words, shown
from tapekit.kernel.spelling import similar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

__all__ = ["StackFile", "TopLevel", "plugins_line", "read_stack_file"]


class TopLevel(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of a stack file that belong to no plugin."""

    plugins: tuple[str, ...]
    """The plugins that are enabled, in the order of starting them where
    their requirements leave it open."""
    node: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    """Name of this node; the machine's host name by default."""
    drain_timeout_s: Annotated[float, msgspec.Meta(ge=0)] = 3600.0
    """Seconds that running jobs get to end after SIGTERM."""


class StackFile(NamedTuple):
    """What a stack file says, as far as it could be read."""

    path: Path
    top: TopLevel
    tables: Mapping[str, Mapping[str, object]]
    """The tables of the enabled plugins."""


_EMPTY: Final = TopLevel(plugins=())


def read_stack_file(path: Path, installed: Iterable[str]) -> tuple[StackFile, list[TapekitError]]:
    """Read a stack file, going on after each error.

    :param installed: names of the plugins that could be enabled.
    :returns: what could be read, and everything that is wrong with it.
    """
    try:
        document = _parse(path)
    except TapekitError as error:
        return StackFile(path, _EMPTY, {}), [error]
    names = sorted(set(installed))
    errors: list[TapekitError] = []
    top = _top_level(path, document, names, errors)
    errors += _plugin_list_errors(path, top.plugins, names)
    tables = {}
    for key, value in document.items():
        if key in TopLevel.__struct_fields__:
            continue
        if key not in top.plugins:
            # With an unreadable list nothing is known to be disabled.
            if isinstance(document.get("plugins"), list):
                errors.append(_stray_key(path, key, names))
        elif isinstance(value, dict):
            tables[key] = value
        else:
            errors.append(_bad_value(path, key, value, "a table"))
    return StackFile(path, top, tables), errors


def plugins_line(names: Iterable[str]) -> str:
    """The line of a stack file that enables these plugins."""
    return "plugins = [" + ", ".join(f'"{name}"' for name in names) + "]"


def _parse(path: Path) -> dict[str, object]:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise CORE.error("stack-file-missing", file=path, folder=path.parent) from None
    except OSError as error:
        raise CORE.error("stack-file-unreadable", file=path, reason=error.strerror) from error
    except UnicodeDecodeError as error:
        raise CORE.error("stack-file-unreadable", file=path, reason=error) from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CORE.error("stack-file-not-toml", file=path, reason=error) from error


def _top_level(
    path: Path, document: Mapping[str, object], names: list[str], errors: list[TapekitError]
) -> TopLevel:
    """The keys that belong to no plugin; wrong ones get their defaults."""
    values: dict[str, object] = {"plugins": ()}
    for field in msgspec.structs.fields(TopLevel):
        key = field.encode_name
        if key in document:
            try:
                values[key] = msgspec.convert(document[key], field.type, strict=True)
            except msgspec.ValidationError:
                errors.append(_bad_value(path, key, document[key], in_words(field.type)))
        elif field.required:
            line = plugins_line(name for name in names if name in document)
            errors.append(CORE.error("no-plugins-key", file=path, line=line))
    if isinstance(document.get("plugins"), list) and not values["plugins"]:
        values["plugins"] = [
            name for name in cast("list[object]", document["plugins"]) if isinstance(name, str)
        ]
    return msgspec.convert(values, TopLevel)


def _bad_value(path: Path, key: str, value: object, allowed: str) -> TapekitError:
    return CORE.error(
        "bad-top-level-value", file=path, key=key, value=shown(value), allowed=allowed
    )


def _plugin_list_errors(
    path: Path, plugins: tuple[str, ...], names: list[str]
) -> Iterator[TapekitError]:
    for plugin in dict.fromkeys(plugins):
        count = plugins.count(plugin)
        if count > 1:
            yield CORE.error("plugin-twice", file=path, plugin=plugin, count=count)
        if plugin not in names:
            yield CORE.error(
                "unknown-plugin",
                file=path,
                plugin=plugin,
                installed=", ".join(names) or "none",
                similar=similar(plugin, names),
            )


def _stray_key(path: Path, key: str, names: list[str]) -> TapekitError:
    if key in names:
        return CORE.error("table-of-disabled-plugin", file=path, plugin=key)
    words = [*TopLevel.__struct_fields__, *names]
    return CORE.error("unknown-top-level-key", file=path, key=key, similar=similar(key, words))
