"""From a stack file to a kernel that could run.

Five steps: read the file, load the manifests of the enabled plugins, decode
their settings, build and register them, join what they offer. Steps that do
not depend on each other all happen before anything is refused. The one
rule: a plugin that the file does not enable is never imported.
"""

from __future__ import annotations

import logging
import platform
from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit.errors import CORE, StartErrors, TapekitError
from tapekit.kernel.hooks import Hooks, explained
from tapekit.kernel.load_order import load_order
from tapekit.kernel.offers import collect
from tapekit.kernel.settings import decode_settings
from tapekit.kernel.stack_file import read_stack_file
from tapekit.kernel.stack_kernel import StackKernel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import msgspec

    from tapekit.hookspecs.lifecycle import Plugin
    from tapekit.kernel.discovery import Available
    from tapekit.kernel.stack_file import StackFile

__all__ = ["Blueprint", "assemble", "plan"]

_LOG: Final = logging.getLogger("tapekit.kernel")
_KEEPS_STATE: Final = "tapekit_provide_state_store"


class Blueprint(NamedTuple):
    """A stack whose file holds no errors, before any plugin is built."""

    stack: StackFile
    plugins: dict[str, type[Plugin]]
    """In dependency order."""
    settings: dict[str, msgspec.Struct]


def plan(file: Path, available: Sequence[Available]) -> Blueprint:
    """Read a stack file and load the plugins that it enables.

    :param available: what could be enabled, several of one name included.
    :raises StartErrors: everything that is wrong in the file.
    """
    by_name = _by_name(available)
    stack, errors = read_stack_file(file.absolute(), by_name)
    enabled = [name for name in dict.fromkeys(stack.top.plugins) if name in by_name]
    plugins = _load(stack.path, {name: by_name[name] for name in enabled}, errors)
    requires = {name: plugin.manifest.requires for name, plugin in plugins.items()}
    # Requirements on plugins that are enabled but broken have been met.
    order, order_errors = load_order(
        stack.path,
        {name: requires.get(name, ()) for name in enabled},
        by_name,
        # The others may ask the store as soon as they are assembled.
        first=[name for name, plugin in plugins.items() if hasattr(plugin, _KEEPS_STATE)],
    )
    errors += order_errors
    settings = {}
    for name, plugin in plugins.items():
        decoded, wrong = decode_settings(
            stack.path, name, plugin.manifest.settings, stack.tables.get(name, {})
        )
        errors += wrong
        if decoded is not None:
            settings[name] = decoded
    if errors:
        raise StartErrors(errors)
    return Blueprint(
        stack=stack, plugins={name: plugins[name] for name in order}, settings=settings
    )


def assemble(
    file: Path,
    available: Sequence[Available],
    *,
    clock: Callable[[], float],
    host_name: str | None = None,
    trace_hooks: bool = False,
    is_to_serve: bool = True,
) -> StackKernel:
    """Build the kernel of a stack file, ready to run.

    :param clock: tells the time in seconds since 1970.
    :param host_name: the node's name if the file gives none; by default
        the machine's.
    :param is_to_serve: whether what only matters to a stack that runs is
        warned of.
    :param trace_hooks: log every hook call and its result to ``tapekit.hooks``.
    :raises StartErrors: everything that keeps the stack from starting.
    """
    blueprint = plan(file, available)
    plugins, errors = _build(blueprint)
    hooks = Hooks(trace=trace_hooks)
    errors += hooks.register(plugins)
    _refuse(errors)
    offers, errors = collect(hooks)
    _refuse(errors)
    if offers.state is None and is_to_serve:
        _LOG.warning("no plugin keeps state: what has to be remembered is lost at the end")
    kernel = StackKernel(
        blueprint.stack, hooks, offers, host_name=host_name or platform.node(), clock=clock
    )
    _, errors = hooks.ask_all("tapekit_on_assembled", kernel=kernel)
    _refuse(errors)
    return kernel


def _refuse(errors: list[TapekitError]) -> None:
    if errors:
        raise StartErrors(errors)


def _by_name(available: Sequence[Available]) -> Mapping[str, list[Available]]:
    by_name: dict[str, list[Available]] = {}
    for one in available:
        by_name.setdefault(one.name, []).append(one)
    return by_name


def _load(
    file: Path, enabled: Mapping[str, list[Available]], errors: list[TapekitError]
) -> dict[str, type[Plugin]]:
    """Import the enabled plugins; those that cannot be used are left out."""
    plugins = {}
    for name, candidates in enabled.items():
        if len(candidates) > 1:
            origins = ", ".join(candidate.origin for candidate in candidates)
            errors.append(
                CORE.error("plugin-from-two-distributions", file=file, plugin=name, origins=origins)
            )
            continue
        try:
            plugins[name] = candidates[0].load()
        except TapekitError as error:
            errors.append(error)
    return plugins


def _build(blueprint: Blueprint) -> tuple[dict[str, Plugin], list[TapekitError]]:
    plugins: dict[str, Plugin] = {}
    errors: list[TapekitError] = []
    for name, plugin in blueprint.plugins.items():
        try:
            plugins[name] = _construct(plugin, blueprint.settings[name])
        except Exception as error:  # noqa: BLE001 - kept for the report with the others
            errors.append(explained(error, name, "its constructor"))
    return plugins, errors


def _construct(plugin: Callable[..., Plugin], settings: msgspec.Struct) -> Plugin:
    return plugin(settings)
