"""The plugin: a client's command, found by its name, and nothing in a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from tapekit.hookspecs.lifecycle import NoSettings
from tapekit_ndmpcopy.plugin import NdmpcopyPlugin

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_command_comes_without_a_stack() -> None:
    assert isinstance(NdmpcopyPlugin.client_commands(), typer.Typer)


def test_a_stack_may_name_it_with_the_protocol_that_it_speaks(
    assembled: Callable[..., Any],
) -> None:
    from tapekit_ndmp_v4.plugin import NdmpV4Plugin

    kernel = assembled(NdmpV4Plugin, NdmpcopyPlugin)
    assert "ndmpcopy" in kernel.plugin_names
    assert NdmpcopyPlugin.manifest.requires == ("ndmp_v4",)
    assert not hasattr(NdmpcopyPlugin(NoSettings()), "tapekit_run")
