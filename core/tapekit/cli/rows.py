"""The listings of the shell as rows: plugins, hooks, errors.

Listings look at all installed plugins, so they may import what a server
would not; a plugin that cannot be imported is a row that says so. Errors
are read from the catalogues alone.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import msgspec
import pluggy

from tapekit.errors import CORE, Catalogue, TapekitError
from tapekit.hookspecs import PROJECT, SUBJECTS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from types import ModuleType

    from tapekit.hookspecs.lifecycle import Plugin
    from tapekit.kernel import Available

__all__ = ["HookRow", "PluginRow", "catalogues", "hook_rows", "load_all", "plugin_rows"]


class PluginRow(msgspec.Struct, frozen=True, kw_only=True):
    """An installed plugin."""

    name: str
    summary: str
    enabled: bool | None
    """``None`` where no stack file tells."""
    requires: tuple[str, ...]
    hooks: tuple[str, ...]
    origin: str
    problem: str | None
    """Why it cannot be used."""


class HookRow(msgspec.Struct, frozen=True, kw_only=True):
    """A hook that plugins may implement."""

    name: str
    subject: str
    """The page of ``tapekit.hookspecs``, or the plugin that specifies it."""
    implemented_by: tuple[str, ...]
    summary: str


def load_all(
    available: Iterable[Available],
) -> tuple[Mapping[str, type[Plugin]], Mapping[str, TapekitError]]:
    """Import all installed plugins.

    :returns: the plugins, and the errors of those that cannot be used.
    """
    plugins: dict[str, type[Plugin]] = {}
    errors: dict[str, TapekitError] = {}
    for one in available:
        try:
            plugins[one.name] = one.load()
        except TapekitError as error:
            errors[one.name] = error
    return plugins, errors


def plugin_rows(
    available: Iterable[Available], enabled: Collection[str] | None
) -> Iterator[PluginRow]:
    """One row for each installed plugin."""
    for one in available:
        plugins, errors = load_all([one])
        plugin = plugins.get(one.name)
        yield PluginRow(
            name=one.name,
            summary=plugin.manifest.summary if plugin else "",
            enabled=None if enabled is None else one.name in enabled,
            requires=plugin.manifest.requires if plugin else (),
            hooks=_implemented(plugin) if plugin else (),
            origin=one.origin,
            problem=str(errors[one.name]) if errors else None,
        )


def hook_rows(plugins: Mapping[str, type[Plugin]]) -> Iterator[HookRow]:
    """One row for each hook of core, then for each that a plugin specifies."""
    implementers: dict[str, list[str]] = {}
    for name, plugin in plugins.items():
        for hook in _implemented(plugin):
            implementers.setdefault(hook, []).append(name)
    for subject, module in _specifications(plugins):
        for hook, function in _specified(module):
            yield HookRow(
                name=hook,
                subject=subject,
                implemented_by=tuple(implementers.get(hook, ())),
                summary=_first_sentence(function),
            )


def catalogues(
    available: Iterable[Available],
) -> tuple[Mapping[str, Catalogue], Mapping[str, TapekitError]]:
    """The errors of core and of all installed plugins, which stay unimported.

    :returns: the catalogues by owner, and the errors of unreadable ones.
    """
    found = {CORE.owner: CORE}
    errors: dict[str, TapekitError] = {}
    for one in available:
        try:
            catalogue = one.catalogue()
        except TapekitError as error:
            errors[one.name] = error
        else:
            if catalogue is not None:
                found[one.name] = catalogue
    return found, errors


def _specifications(plugins: Mapping[str, type[Plugin]]) -> Iterator[tuple[str, ModuleType]]:
    for module in SUBJECTS:
        yield module.__name__.rpartition(".")[2], module
    for name, plugin in plugins.items():
        own: ModuleType | None = getattr(plugin, "hookspecs", None)
        if own is not None:
            yield name, own


def _specified(module: ModuleType) -> Iterator[tuple[str, Any]]:
    manager = pluggy.PluginManager(PROJECT)
    for name, value in vars(module).items():
        if manager.parse_hookspec_opts(module, name) is not None:
            yield name, value


def _implemented(plugin: type[Plugin]) -> tuple[str, ...]:
    manager = pluggy.PluginManager(PROJECT)
    options = {name: manager.parse_hookimpl_opts(plugin, name) for name in dir(plugin)}
    return tuple(
        found.get("specname") or name for name, found in options.items() if found is not None
    )


def _first_sentence(function: Any) -> str:
    text = " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
    sentence, dot, _ = text.partition(". ")
    return sentence + "." if dot else text
