"""Every hook says when it is called, how answers combine and what raising
means; its signature is typed, and a test of the core calls it.
"""

from __future__ import annotations

import importlib
import inspect
import re
from typing import TYPE_CHECKING, Any, Final

from tapekit.hookspecs import PROJECT, SUBJECTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType

    from tests.meta.conftest import Project

WHEN: Final = re.compile(r"\bCalled (once|on|for|when|before|after)\b")

COMBINED: Final = {
    "register": re.compile(r"\bjoined\b"),
    "provide": re.compile(r"\bAt most one\b"),
    "decide": re.compile(r"\bfirst\b"),
    "on": re.compile(r"\bCalled (once )?on (each|all) plugins?\b"),
    "run": re.compile(r"\border\b"),
}
"""What a docstring says of several answers, by the second word of the name."""

RAISING: Final = re.compile(r"\braises?\b|\berror\b|\bstops the\b")


def specifications(modules: Iterable[ModuleType]) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The hook specifications of modules, by name."""
    for module in modules:
        for name, member in vars(module).items():
            if inspect.isfunction(member) and hasattr(member, f"{PROJECT}_spec"):
                yield name, member


def faults(name: str, hook: Callable[..., Any]) -> Iterator[str]:
    """What is missing in a specification."""
    said = " ".join((hook.__doc__ or "").split())
    kind = name.split("_")[1]
    if kind not in COMBINED:
        yield f"{name}: '{kind}' is none of {sorted(COMBINED)}"
        return
    if not WHEN.search(said):
        yield f"{name}: the docstring does not say when it is called"
    if not COMBINED[kind].search(said):
        yield f"{name}: the docstring does not say how answers combine"
    if not RAISING.search(said):
        yield f"{name}: the docstring does not say what raising means"
    typed = inspect.get_annotations(hook)
    for parameter in (*inspect.signature(hook).parameters, "return"):
        if typed.get(parameter) in {None, "", "Any"}:
            yield f"{name}: {parameter} has no type"


def plugins_specifications(project: Project) -> Iterator[tuple[str, str, Callable[..., Any]]]:
    """The hooks that plugins specify for each other, with the plugin."""
    for plugin in project.plugins:
        if (project.package(plugin) / "hookspecs.py").exists():
            module = importlib.import_module(f"tapekit_{plugin}.hookspecs")
            for name, hook in specifications([module]):
                yield plugin, name, hook


def test_every_hook_of_the_core_is_documented_and_typed() -> None:
    found = list(specifications(SUBJECTS))
    assert len(found) > 10
    lacking = [fault for name, hook in found for fault in faults(name, hook)]
    assert not lacking, "\n".join(lacking)


def test_every_hook_of_a_plugin_is_documented_and_typed(project: Project) -> None:
    found = plugins_specifications(project)
    lacking = [fault for _, name, hook in found for fault in faults(name, hook)]
    assert not lacking, "\n".join(lacking)


def test_every_hook_of_the_core_occurs_in_its_tests(project: Project) -> None:
    tests = "".join(f.read_text("utf-8") for f in (project.root / "tests/core").rglob("*.py"))
    words = set(re.findall(r"\w+", tests))
    assert [name for name, _ in specifications(SUBJECTS) if name not in words] == []


def test_every_hook_of_a_plugin_occurs_in_its_tests(project: Project) -> None:
    untested = [
        name
        for plugin, name, _ in plugins_specifications(project)
        for folder in [project.root / "tests/plugins" / plugin]
        if not any(name in file.read_text("utf-8") for file in folder.rglob("*.py"))
    ]
    assert not untested, "\n".join(untested)


def test_a_hook_that_says_nothing_is_found() -> None:
    def tapekit_register_something(kernel):  # type: ignore[no-untyped-def] # the fault  # noqa: ANN001, ANN202
        """Offer something."""

    assert len(list(faults("tapekit_register_something", tapekit_register_something))) == 5
