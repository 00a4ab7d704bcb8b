"""What a manifest requires, its plugin needs, and the other way round."""

from __future__ import annotations

import ast
import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.meta.conftest import Project

    from tapekit.hookspecs.lifecycle import Manifest

OFFERS: Final = {
    "tapekit_register_control_transports": "control_transports",
    "tapekit_register_data_transports": "data_transports",
    "tapekit_provide_authenticator": "authenticator",
    "tapekit_provide_placement": "placement",
    "tapekit_register_data_engines": "engines",
    "tapekit_provide_movers": "movers",
    "tapekit_register_tape_drivers": "tape_drivers",
    "tapekit_register_changer_drivers": "changer_drivers",
    "tapekit_provide_tape_inventory": "tape_inventory",
    "tapekit_provide_storage": "storage",
    "tapekit_register_snapshot_methods": "snapshot_methods",
    "tapekit_provide_state_store": "state",
    "tapekit_register_operations": "operations",
    "tapekit_provide_management": "management",
    "tapekit_register_environment_variables": "variables",
}
"""Where the kernel shows what each hook offers."""


def manifest(project: Project, plugin: str) -> Manifest:
    target = project.pyproject["project"]["entry-points"]["tapekit.plugins"][plugin]
    module, _, name = target.partition(":")
    found: Manifest = getattr(importlib.import_module(module), name).manifest
    return found


def imported(project: Project, plugin: str) -> set[str]:
    """The other plugins that a plugin's modules import, at run time or for types."""
    names = {
        name
        for _, tree in project.modules(project.package(plugin))
        for node in ast.walk(tree)
        for name in imports(node)
    }
    return {name for name in project.plugins if f"tapekit_{name}" in names} - {plugin}


def imports(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            yield from (alias.name.partition(".")[0] for alias in names)
        case ast.ImportFrom(module=str(module), level=0):
            yield module.partition(".")[0]


def hooks(project: Project, plugin: str) -> set[str]:
    """The hooks that a plugin implements."""
    return {
        node.name
        for _, tree in project.modules(project.package(plugin))
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and any(
            isinstance(mark, ast.Name) and mark.id == "hookimpl" for mark in node.decorator_list
        )
    }


def read_from_kernel(project: Project, plugin: str) -> set[str]:
    """The kernel's attributes that a plugin looks at, under any name of the kernel."""
    return {
        node.attr
        for _, tree in project.modules(project.package(plugin))
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in OFFERS.values()
    }


def meet(project: Project, one: str, other: str) -> bool:
    """Whether a plugin imports another, or one uses what the other offers."""
    if other in imported(project, one):
        return True
    if (project.package(other) / "hookspecs.py").exists():
        specified = ast.walk(
            ast.parse((project.package(other) / "hookspecs.py").read_text("utf-8"))
        )
        names = {node.name for node in specified if isinstance(node, ast.FunctionDef)}
        if names & hooks(project, one):
            return True
    return any(
        {OFFERS[hook] for hook in hooks(project, giver) if hook in OFFERS}
        & read_from_kernel(project, taker)
        for giver, taker in ((one, other), (other, one))
    )


def test_a_manifest_has_the_name_of_its_folder(project: Project) -> None:
    for plugin in project.plugins:
        assert manifest(project, plugin).name == plugin
        assert manifest(project, plugin).summary.strip()


def test_a_plugin_imports_only_what_it_requires(project: Project) -> None:
    found = [
        f"{plugin} imports {sorted(undeclared)} and does not require it"
        for plugin in project.plugins
        if (undeclared := imported(project, plugin) - set(manifest(project, plugin).requires))
    ]
    assert not found, "\n".join(found)


def test_a_plugin_meets_what_it_requires(project: Project) -> None:
    found = [
        f"{plugin} requires {needed}, but neither imports it nor shares a hook with it"
        for plugin in project.plugins
        for needed in manifest(project, plugin).requires
        if not meet(project, plugin, needed)
    ]
    assert not found, "\n".join(found)


def test_the_contract_of_meetings_is_what_manifests_declare(project: Project) -> None:
    """A plugin stands above the floors of all that it requires."""
    contracts = project.pyproject["tool"]["importlinter"]["contracts"]
    (layers,) = (
        contract["layers"]
        for contract in contracts
        if contract["name"] == "plugins meet only through declared requirements"
    )
    floor = {
        package.removeprefix("tapekit_"): number
        for number, packages in enumerate(layers)
        for package in packages.split(" | ")
    }
    for plugin in project.plugins:
        for needed in manifest(project, plugin).requires:
            assert floor[plugin] < floor[needed], f"{plugin} must stand above {needed}"


def test_every_offer_of_the_kernel_is_known_here() -> None:
    from tapekit.hookspecs import SUBJECTS
    from tapekit.hookspecs.lifecycle import Kernel

    named = {
        hook
        for module in SUBJECTS
        for hook in vars(module)
        if hook.startswith(("tapekit_register_", "tapekit_provide_"))
    }
    assert named - OFFERS.keys() == {"tapekit_register_command_groups"}
    assert set(OFFERS.values()) <= set(dir(Kernel))
