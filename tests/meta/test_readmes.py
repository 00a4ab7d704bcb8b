"""Every plugin's README has a table of exactly the settings that there are."""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec
import msgspec.inspect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.meta.conftest import Project

SECTION: Final = re.compile(r"^## Settings\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
NAME: Final = re.compile(r"`([\w.\[\]]+)`")
ROW: Final = re.compile(r"^\| *`([\w.\[\]]+)` *\|", re.MULTILINE)


class Inner(msgspec.Struct):
    path: str


class Outer(msgspec.Struct):
    volume: tuple[Inner, ...] = ()
    limit: int | None = None


def settings_of(project: Project, plugin: str) -> type[msgspec.Struct]:
    target = project.pyproject["project"]["entry-points"]["tapekit.plugins"][plugin]
    module, _, name = target.partition(":")
    manifest = getattr(importlib.import_module(module), name).manifest
    kind: type[msgspec.Struct] = manifest.settings
    return kind


def text_of(project: Project, plugin: str) -> str:
    """A plugin's README; one that is missing is told by the tests of packaging."""
    file = project.root / "plugins" / plugin / "README.md"
    return file.read_text("utf-8") if file.exists() else ""


def field_names(kind: type[msgspec.Struct]) -> Iterator[str]:
    """The fields of a settings struct and of the tables inside it."""
    for field in msgspec.structs.fields(kind):
        yield field.encode_name
        for inner in structs_in(msgspec.inspect.type_info(field.type)):
            yield from field_names(inner)


def structs_in(kind: Any) -> Iterator[type[msgspec.Struct]]:
    match kind:
        case msgspec.inspect.StructType(cls=cls):
            yield cls
        case msgspec.inspect.UnionType(types=types):
            for one in types:
                yield from structs_in(one)
        case (
            msgspec.inspect.VarTupleType(item_type=item) | msgspec.inspect.ListType(item_type=item)
        ):
            yield from structs_in(item)
        case msgspec.inspect.DictType(value_type=value):
            yield from structs_in(value)


def section(readme: str) -> str:
    """What a README says under "Settings"."""
    found = SECTION.search(readme)
    return found[1] if found else ""


def documented(readme: str) -> set[str]:
    """The names in the first column of the tables under "Settings"."""
    return {name.split(".")[-1] for name in ROW.findall(section(readme))}


def mentioned(readme: str) -> set[str]:
    """All names under "Settings": fields of a table inside may stand in its row."""
    return {name.split(".")[-1] for name in NAME.findall(section(readme))}


def test_every_readme_names_exactly_the_settings(project: Project) -> None:
    wrong = []
    for plugin in project.plugins:
        readme = text_of(project, plugin)
        kind = settings_of(project, plugin)
        there = set(field_names(kind))
        lacking = (set(kind.__struct_encode_fields__) - documented(readme)) | (
            there - mentioned(readme)
        )
        unknown = documented(readme) - there
        wrong += [f"plugins/{plugin}/README.md lacks the setting {name}" for name in lacking]
        wrong += [f"plugins/{plugin}/README.md has {name}: no setting" for name in unknown]
    assert not wrong, "\n".join(wrong)


def test_every_setting_refuses_what_it_does_not_know_and_cannot_change(project: Project) -> None:
    for plugin in project.plugins:
        kind = settings_of(project, plugin)
        config = kind.__struct_config__
        assert config.frozen, kind
        assert config.forbid_unknown_fields, kind


def test_every_readme_tells_the_hooks_and_an_example(project: Project) -> None:
    wrong = []
    for plugin in project.plugins:
        title, _, rest = text_of(project, plugin).partition("\n")
        if not title.lstrip("# `").startswith(plugin):
            wrong.append(f"{plugin}: the README begins with {title!r}")
        implemented = set(
            re.findall(
                r"@hookimpl\s+def (tapekit_\w+)",
                (project.package(plugin) / "plugin.py").read_text("utf-8"),
            )
        )
        told = set(re.findall(r"\btapekit_(?:register|provide|on|run|decide)\w*", rest))
        wrong += [f"{plugin}: the README lacks {hook}" for hook in sorted(implemented - told)]
        if f'"{plugin}"' not in rest:
            wrong.append(f"{plugin}: no example stack in the README")
    assert not wrong, "\n".join(wrong)


def test_tables_are_read_as_they_are_written() -> None:
    readme = "# x\n\n## Settings\n\n| a | b |\n|---|---|\n| `volume.path` | x |\n|`limit`| y |\n"
    assert documented(readme + "\n## Hooks\n\n| `other` | z |\n") == {"path", "limit"}
    assert set(field_names(Outer)) == {"volume", "path", "limit"}
