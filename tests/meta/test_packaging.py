"""The plugin list stands in five places; the folders in plugins/ decide."""

from __future__ import annotations

import ast
from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.meta.conftest import Project


def test_each_folder_holds_one_complete_plugin(project: Project) -> None:
    lacking = [
        f"plugins/{name}: {lacks}"
        for name in project.plugins
        for lacks in ("README.md", *(f"tapekit_{name}/{f}.py" for f in ("__init__", "plugin")))
        if not (project.root / "plugins" / name / lacks).is_file()
    ]
    assert not lacking, "\n".join(lacking)


def test_the_wheel_has_every_package(project: Project) -> None:
    wheel = project.pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]
    plugins = [f"plugins/{name}/tapekit_{name}" for name in project.plugins]
    assert wheel["packages"] == ["core/tapekit", *plugins]


def test_each_plugin_has_an_entry_point_to_its_class(project: Project) -> None:
    points = project.pyproject["project"]["entry-points"]["tapekit.plugins"]
    assert list(points) == list(project.plugins)
    for name, target in points.items():
        module, _, wanted = target.partition(":")
        assert module == f"tapekit_{name}.plugin"
        tree = ast.parse((project.package(name) / "plugin.py").read_text("utf-8"))
        classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
        assert wanted in classes
        assert wanted.lower() == name.replace("_", "") + "plugin"


def test_the_installed_entry_points_are_those_of_the_project_file(project: Project) -> None:
    points = metadata.distribution("tapekit").entry_points.select(group="tapekit.plugins")
    declared = project.pyproject["project"]["entry-points"]["tapekit.plugins"]
    assert {point.name: point.value for point in points} == declared


def test_the_type_checker_sees_every_package(project: Project) -> None:
    mypy = project.pyproject["tool"]["mypy"]
    assert mypy["mypy_path"] == ["core", *(f"plugins/{name}" for name in project.plugins)]
    assert mypy["packages"] == list(project.packages)


def test_the_contracts_speak_of_every_package(project: Project) -> None:
    importlinter = project.pyproject["tool"]["importlinter"]
    assert importlinter["root_packages"] == list(project.packages)
    contracts = {contract["name"]: contract for contract in importlinter["contracts"]}
    plugins = [package for package in project.packages if package != "tapekit"]
    assert contracts["core knows no plugin"]["forbidden_modules"] == plugins
    assert contracts["plugins see core's public rooms only"]["source_modules"] == plugins
    assert contracts["no cycles"]["ancestors"] == list(project.packages)
    meeting = contracts["plugins meet only through declared requirements"]["layers"]
    on_floors = [package for floor in meeting for package in floor.split(" | ")]
    assert sorted(on_floors) == sorted(project.packages)
