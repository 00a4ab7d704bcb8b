"""The hooks of one stack, called plugin by plugin in dependency order.

pluggy keeps specifications and implementations and checks them against each
other; here each plugin is called on its own, so that answers carry the name
of who gave them and one plugin's error does not keep the others from being
asked. The one rule: the order is that of dependencies, never pluggy's.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, final

import pluggy

from tapekit.errors import CORE, TapekitError
from tapekit.hookspecs import PROJECT, SUBJECTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pluggy import HookImpl, Result

    from tapekit.hookspecs.lifecycle import Plugin

__all__ = ["Answer", "Hooks", "explained"]

Answer = tuple[str, Any]
"""A plugin's name, and what it answered."""

_LOG: Final = logging.getLogger("tapekit.kernel")
_TRACE: Final = logging.getLogger("tapekit.hooks")


@final
class Hooks:
    """The specifications and plugins of one stack."""

    def __init__(self, *, trace: bool = False) -> None:
        self._manager: Final = pluggy.PluginManager(PROJECT)
        self._plugins: Final[dict[str, Plugin]] = {}
        self._specified_by_plugins: Final[set[str]] = set()
        self._callers: Final[dict[str, list[tuple[str, Callable[..., Any]]]]] = {}
        for subject in SUBJECTS:
            self._manager.add_hookspecs(subject)
        if trace:
            self._manager.add_hookcall_monitoring(_trace_call, _trace_results)

    def register(self, plugins: Mapping[str, Plugin]) -> list[TapekitError]:
        """Take the stack's plugins, in dependency order; called once.

        :returns: hooks that do not fit their specifications.
        """
        errors = [
            error
            for name, plugin in plugins.items()
            for error in self._add_specifications(name, plugin)
        ]
        for name, plugin in plugins.items():
            try:
                # pluggy looks plugins up by hash only later, at a call.
                hash(plugin)
                self._manager.register(plugin, name)
            except (pluggy.PluginValidationError, TypeError) as error:
                errors.append(
                    CORE.error("bad-hook", plugin=name, reason=" ".join(str(error).split()))
                )
            else:
                self._plugins[name] = plugin
        errors += self._unknown_hooks()
        return errors

    @property
    def plugin_names(self) -> Sequence[str]:
        """The registered plugins, in dependency order."""
        return tuple(self._plugins)

    def callers(self, hook: str) -> Sequence[tuple[str, Callable[..., Any]]]:
        """For each plugin that implements ``hook``: its name, and the hook
        for this plugin alone, which answers ``None`` for nothing.
        """
        if hook not in self._callers:
            self._callers[hook] = [
                (name, self._for_one(hook, plugin))
                for name, plugin in self._plugins.items()
                if any(impl.plugin is plugin for impl in self._hook(hook).get_hookimpls())
            ]
        return self._callers[hook]

    def call(self, hook: str, arguments: Mapping[str, object]) -> list[Answer]:
        """Call a hook that a plugin specifies; see ``Kernel.call_hook``.

        :raises KeyError: no plugin of the stack specifies it.
        """
        if hook not in self._specified_by_plugins:
            raise KeyError(f"no plugin of this stack specifies the hook {hook}")
        answers = [(name, caller(**arguments)) for name, caller in self.callers(hook)]
        return [(name, answer) for name, answer in answers if answer is not None]

    def ask_all(self, hook: str, **arguments: object) -> tuple[list[Answer], list[TapekitError]]:
        """Call a hook on all plugins, whatever some of them raise.

        A plugin that has several errors to tell raises them as a group.
        """
        answers: list[Answer] = []
        errors: list[TapekitError] = []
        for name, caller in self.callers(hook):
            try:
                answer = caller(**arguments)
            except ExceptionGroup as group:
                errors += (explained(error, name, hook) for error in group.exceptions)
            except Exception as error:  # noqa: BLE001 - kept for the report with the others
                errors.append(explained(error, name, hook))
            else:
                if answer is not None:
                    answers.append((name, answer))
        return answers, errors

    def _hook(self, name: str) -> pluggy.HookCaller:
        hook: pluggy.HookCaller = getattr(self._manager.hook, name)
        return hook

    def _for_one(self, hook: str, plugin: Plugin) -> Callable[..., Any]:
        others = [other for other in self._plugins.values() if other is not plugin]
        caller = self._manager.subset_hook_caller(hook, others)
        spec = self._hook(hook).spec
        if spec is not None and spec.opts["firstresult"]:
            return caller

        def call(**arguments: object) -> Any:
            return next(iter(caller(**arguments)), None)

        return call

    def _add_specifications(self, name: str, plugin: Plugin) -> list[TapekitError]:
        module = getattr(plugin, "hookspecs", None)
        if module is None:
            return []
        hooks = [
            attribute
            for attribute in dir(module)
            if self._manager.parse_hookspec_opts(module, attribute) is not None
        ]
        taken = [hook for hook in hooks if hasattr(self._manager.hook, hook)]
        if taken or not hooks:
            reason = (
                f"it specifies {', '.join(taken)} again"
                if taken
                else f"its module {module.__name__} has no hook"
            )
            return [CORE.error("bad-hook", plugin=name, reason=reason)]
        self._manager.add_hookspecs(module)
        self._specified_by_plugins.update(hooks)
        return []

    def _unknown_hooks(self) -> list[TapekitError]:
        return [
            CORE.error("unknown-hook", plugin=name, hook=caller.name)
            for name, plugin in self._plugins.items()
            for caller in self._manager.get_hookcallers(plugin) or ()
            if not caller.has_spec()
            for impl in caller.get_hookimpls()
            if impl.plugin is plugin and not impl.optionalhook
        ]


def explained(error: Exception, plugin: str, place: str) -> TapekitError:
    """An error that a plugin raised, as one that an operator can read."""
    if isinstance(error, TapekitError):
        return error
    # The action of plugin-failed asks for this traceback.
    _LOG.debug('plugin "%s" failed in %s', plugin, place, exc_info=error)
    failure = CORE.error(
        "plugin-failed", plugin=plugin, place=place, reason=f"{type(error).__name__}: {error}"
    )
    failure.__cause__ = error
    return failure


def _trace_call(hook: str, impls: Sequence[HookImpl], arguments: Mapping[str, object]) -> None:
    for impl in impls:
        _TRACE.info("%s.%s(%s)", impl.plugin_name, hook, _listed(arguments))


def _trace_results(
    outcome: Result[object],
    hook: str,
    impls: Sequence[HookImpl],
    arguments: Mapping[str, object],
) -> None:
    del arguments
    for impl in impls:
        if outcome.exception is not None:
            _TRACE.info("%s.%s raised %r", impl.plugin_name, hook, outcome.exception)
        else:
            _TRACE.info("%s.%s = %r", impl.plugin_name, hook, outcome.get_result())


def _listed(arguments: Mapping[str, object]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in arguments.items())
