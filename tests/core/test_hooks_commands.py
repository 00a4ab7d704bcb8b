"""``tapekit_register_command_groups``: asked only when a command is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import typer

from tapekit.hookspecs.commands import CommandGroup
from tapekit.kernel import StackKernel, StartErrors

if TYPE_CHECKING:
    from collections.abc import Callable

    Assemble = Callable[..., StackKernel]
    MakePlugin = Callable[..., Any]


def group(name: str) -> CommandGroup:
    return CommandGroup(name, "for a test", typer.Typer())


def test_groups_of_all_plugins_are_joined(plugin: MakePlugin, assembled: Assemble) -> None:
    one, two = group("one"), group("two")
    kernel = assembled(
        plugin("a", tapekit_register_command_groups=lambda self: (one,)),
        plugin("b", tapekit_register_command_groups=lambda self: (two,)),
    )
    assert kernel.command_groups({}) == {"one": one, "two": two}


def test_groups_are_not_asked_for_unless_wanted(plugin: MakePlugin, assembled: Assemble) -> None:
    def fail(self: Any) -> object:
        raise AssertionError("asked")

    kernel = assembled(plugin("a", tapekit_register_command_groups=fail))
    with pytest.raises(StartErrors, match="AssertionError: asked"):
        kernel.command_groups({})


def test_a_group_offered_twice_stops_the_command(plugin: MakePlugin, assembled: Assemble) -> None:
    kernel = assembled(
        plugin("a", tapekit_register_command_groups=lambda self: (group("one"),)),
        plugin("b", tapekit_register_command_groups=lambda self: (group("one"),)),
    )
    with pytest.raises(StartErrors) as refused:
        kernel.command_groups({})
    assert str(refused.value) == 'command group "one" is offered by both a and b'


def test_the_shells_own_words_are_taken(plugin: MakePlugin, assembled: Assemble) -> None:
    kernel = assembled(plugin("a", tapekit_register_command_groups=lambda self: (group("serve"),)))
    with pytest.raises(StartErrors) as refused:
        kernel.command_groups({"serve": "tapekit itself"})
    (error,) = refused.value.errors
    assert error.id == "core.duplicate-name"
    assert str(error) == 'command group "serve" is offered by both tapekit itself and a'
