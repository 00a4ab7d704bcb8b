"""What the hook specifications of core and of plugins demand."""

from __future__ import annotations

import logging
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.hookspecs import hookspec
from tapekit.kernel import StackKernel, StartErrors

if TYPE_CHECKING:
    from collections.abc import Callable

    Assemble = Callable[..., StackKernel]
    MakePlugin = Callable[..., Any]


def specifications(name: str = "sail_hooks", **hooks: Any) -> ModuleType:
    module = ModuleType(name)
    for hook, options in hooks.items():

        def specification(wind: int) -> int:  # type: ignore[empty-body] # a specification has none
            """Trim the sails."""

        setattr(module, hook, hookspec(**options)(specification))
    return module


def owner(plugin: MakePlugin, **hooks: Any) -> Any:
    return plugin("sail", attributes={"hookspecs": specifications(**hooks)})


def refused(call: Callable[[], object]) -> list[str]:
    with pytest.raises(StartErrors) as caught:
        call()
    return [str(error) for error in caught.value.errors]


def test_a_plugin_calls_hooks_of_its_own_on_others(plugin: MakePlugin, assembled: Assemble) -> None:
    kernel = assembled(
        plugin("late", requires=("sail", "mid"), tapekit_trim=lambda self, wind: wind + 1),
        plugin("mid", requires=("sail",), tapekit_trim=lambda self, wind: None),
        plugin("crew", requires=("sail",), tapekit_trim=lambda self: []),
        owner(plugin, tapekit_trim={}),
    )
    assert kernel.call_hook("tapekit_trim", wind=5) == [("late", 6), ("crew", [])]


def test_a_hook_for_the_first_answer_gives_that_of_each_plugin(
    plugin: MakePlugin, assembled: Assemble
) -> None:
    kernel = assembled(
        owner(plugin, tapekit_trim={"firstresult": True}),
        plugin("a", tapekit_trim=lambda self: [1, 2]),
        plugin("b", tapekit_trim=lambda self: None),
        plugin("c", tapekit_trim=lambda self: 3),
    )
    assert kernel.call_hook("tapekit_trim", wind=0) == [("a", [1, 2]), ("c", 3)]


def test_what_an_implementer_raises_reaches_the_caller(
    plugin: MakePlugin, assembled: Assemble
) -> None:
    def fail(self: Any) -> object:
        raise ValueError("torn")

    kernel = assembled(owner(plugin, tapekit_trim={}), plugin("a", tapekit_trim=fail))
    with pytest.raises(ValueError, match="torn"):
        kernel.call_hook("tapekit_trim", wind=0)


def test_each_error_of_a_group_is_told(plugin: MakePlugin, assembled: Assemble) -> None:
    def fail(self: Any, kernel: object) -> object:
        raise ExceptionGroup("sails", [ValueError("torn"), ValueError("lost")])

    with pytest.raises(StartErrors) as caught:
        assembled(plugin("a", tapekit_on_assembled=fail))
    first, second = map(str, caught.value.errors)
    assert "torn" in first
    assert "lost" in second


@pytest.mark.parametrize("hook", ["tapekit_trim", "tapekit_on_event"])
def test_only_hooks_that_plugins_specify_can_be_called(
    hook: str, plugin: MakePlugin, assembled: Assemble
) -> None:
    with pytest.raises(KeyError, match=f"no plugin of this stack specifies the hook {hook}"):
        assembled(plugin("a")).call_hook(hook)


def test_every_misspelt_hook_is_told(plugin: MakePlugin, assembled: Assemble) -> None:
    assert refused(
        lambda: assembled(
            plugin("a", tapekit_on_evnt=lambda self: None, tapekit_rnu=lambda self: None),
            plugin("b", tapekit_trim=lambda self: None),
        )
    ) == [
        'plugin "a" implements a hook that nobody calls: tapekit_on_evnt',
        'plugin "a" implements a hook that nobody calls: tapekit_rnu',
        'plugin "b" implements a hook that nobody calls: tapekit_trim',
    ]


def test_a_hook_with_foreign_arguments_is_told(plugin: MakePlugin, assembled: Assemble) -> None:
    (text,) = refused(
        lambda: assembled(plugin("a", tapekit_on_event=lambda self, event, colour: None))
    )
    assert text.startswith('plugin "a" does not fit the hook specifications: ')
    assert "colour" in text


def test_a_hook_cannot_be_specified_twice(plugin: MakePlugin, assembled: Assemble) -> None:
    assert refused(lambda: assembled(owner(plugin, tapekit_on_event={}))) == [
        'plugin "sail" does not fit the hook specifications: it specifies tapekit_on_event again'
    ]


def test_a_module_of_specifications_has_some(plugin: MakePlugin, assembled: Assemble) -> None:
    assert refused(lambda: assembled(owner(plugin))) == [
        'plugin "sail" does not fit the hook specifications: its module sail_hooks has no hook'
    ]


def test_a_plugin_object_must_be_hashable(plugin: MakePlugin, assembled: Assemble) -> None:
    a = plugin("a", attributes={"__hash__": None})
    (text,) = refused(lambda: assembled(a, plugin("b")))
    assert "unhashable" in text


def test_a_trace_tells_each_call_and_its_result(
    plugin: MakePlugin, assembled: Assemble, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: Any, kernel: StackKernel) -> None:
        raise ValueError("torn")

    caplog.set_level(logging.INFO, "tapekit.hooks")
    with pytest.raises(StartErrors):
        assembled(
            plugin("a", tapekit_register_data_engines=lambda self: (), tapekit_on_assembled=fail),
            trace_hooks=True,
        )
    lines = [record.getMessage() for record in caplog.records if record.name == "tapekit.hooks"]
    assert lines[:2] == [
        "a.tapekit_register_data_engines()",
        "a.tapekit_register_data_engines = [()]",
    ]
    assert lines[2].startswith("a.tapekit_on_assembled(kernel=<kernel of ")
    assert lines[3] == "a.tapekit_on_assembled raised ValueError('torn')"


def test_without_a_trace_no_call_is_logged(
    plugin: MakePlugin, assembled: Assemble, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tapekit.hooks")
    assembled(plugin("a", tapekit_register_data_engines=lambda self: ()))
    assert not [record for record in caplog.records if record.name == "tapekit.hooks"]
