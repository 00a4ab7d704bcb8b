"""Fixtures that build stacks out of plugin classes, without installing them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings as property_settings

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.lifecycle import Manifest, NoSettings
from tapekit.kernel import Available, StackKernel, assemble
from tapekit.kernel.stack_file import plugins_line

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    import msgspec

# How long an example takes says nothing on a machine with other work.
property_settings.register_profile("any-speed", property_settings(), deadline=None)
property_settings.load_profile("any-speed")

NOW_S = 1_700_000_000.0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape what a test wrote of names that are no UTF-8: reports of tests
    that run in several processes have to be.
    """
    report = yield
    report.sections = [(title, _encodable(text)) for title, text in report.sections]
    return report


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def new_plugin(
    name: str,
    *,
    requires: tuple[str, ...] = (),
    settings: type[msgspec.Struct] = NoSettings,
    attributes: dict[str, Any] | None = None,
    **hooks: Callable[..., Any],
) -> Any:
    """A plugin class with these hook implementations, each a function of
    ``self`` and the hook's arguments.
    """

    def init(self: Any, settings: Any) -> None:
        self.settings = settings

    members = {
        "__init__": init,
        "manifest": Manifest(
            name=name, summary=f"The plugin {name}", requires=requires, settings=settings
        ),
        **(attributes or {}),
        **{hook: hookimpl(function) for hook, function in hooks.items()},
    }
    return type(name.title(), (), members)


def as_available(plugin: Any, *, origin: str = "tests 1.0") -> Available:
    """A plugin class as if a distribution had it installed."""
    return Available(plugin.manifest.name, origin, plugin.__module__, lambda: plugin)


@pytest.fixture
def plugin() -> Callable[..., Any]:
    """Makes plugin classes: ``plugin(name, requires=..., hook=function, ...)``."""
    return new_plugin


@pytest.fixture
def available() -> Callable[..., Available]:
    """Turns a plugin class into what discovery would find."""
    return as_available


@pytest.fixture
def stack_file(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a stack file of this text."""

    def write(text: str) -> Path:
        file = tmp_path / "tapekit.toml"
        file.write_text(text, "utf-8")
        return file

    return write


@pytest.fixture
def assembled(stack_file: Callable[[str], Path]) -> Callable[..., StackKernel]:
    """Assembles a stack that enables these plugin classes.

    ``tables`` is the rest of the stack file; other options go to ``assemble``.
    """

    def build(*plugins: Any, tables: str = "", **options: Any) -> StackKernel:
        line = plugins_line(plugin.manifest.name for plugin in plugins)
        file = stack_file(f"{line}\n{tables}")
        options.setdefault("clock", lambda: NOW_S)
        return assemble(file, [as_available(plugin) for plugin in plugins], **options)

    return build
