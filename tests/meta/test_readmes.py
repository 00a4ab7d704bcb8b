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


def documented(readme: str) -> set[str]:
    """The names in the first column of the tables under "Settings"."""
    section = SECTION.search(readme)
    return {name.split(".")[-1] for name in ROW.findall(section[1])} if section else set()


def test_every_readme_names_exactly_the_settings(project: Project) -> None:
    wrong = []
    for plugin in project.plugins:
        readme = (project.root / "plugins" / plugin / "README.md").read_text("utf-8")
        there = set(field_names(settings_of(project, plugin)))
        said = documented(readme)
        wrong += [f"plugins/{plugin}/README.md lacks the setting {name}" for name in there - said]
        wrong += [f"plugins/{plugin}/README.md has {name}: no setting" for name in said - there]
    assert not wrong, "\n".join(wrong)


def test_every_setting_refuses_what_it_does_not_know_and_cannot_change(project: Project) -> None:
    for plugin in project.plugins:
        kind = settings_of(project, plugin)
        config = kind.__struct_config__
        assert config.frozen, kind
        assert config.forbid_unknown_fields, kind


def test_every_readme_tells_the_hooks_and_an_example(project: Project) -> None:
    for plugin in project.plugins:
        readme = (project.root / "plugins" / plugin / "README.md").read_text("utf-8")
        title, _, rest = readme.partition("\n")
        assert title.lstrip("# `").startswith(plugin), title
        implemented = set(
            re.findall(
                r"@hookimpl\s+def (tapekit_\w+)",
                (project.package(plugin) / "plugin.py").read_text("utf-8"),
            )
        )
        told = set(re.findall(r"\btapekit_(?:register|provide|on|run|decide)\w*", rest))
        assert implemented <= told, f"{plugin}: {sorted(implemented - told)} not in the README"
        assert f'"{plugin}"' in rest, f"{plugin}: no example stack in the README"


def test_tables_are_read_as_they_are_written() -> None:
    readme = "# x\n\n## Settings\n\n| a | b |\n|---|---|\n| `volume.path` | x |\n|`limit`| y |\n"
    assert documented(readme + "\n## Hooks\n\n| `other` | z |\n") == {"path", "limit"}
    assert set(field_names(Outer)) == {"volume", "path", "limit"}
