from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import pytest
import typer

from tapekit.errors import CORE
from tapekit.hookspecs.commands import CommandGroup

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Tapekit = Callable[..., Any]
    MakePlugin = Callable[..., Any]
    WriteStack = Callable[[str], Path]


def tapes(**options: Any) -> Any:
    """An implementation of the hook with the commands ``list`` and ``fail``."""

    def offer(self: Any) -> tuple[CommandGroup, ...]:
        app = typer.Typer()

        @app.command("list")
        def list_tapes(label: Annotated[str, typer.Option()] = "all", json: bool = False) -> None:
            """List the tapes."""
            typer.echo(f"tapes {label} {json} {self.settings}")

        if options.get("failing"):

            @app.command()
            def fail() -> None:
                """Fail."""
                raise CORE.error("site-exists", file="x")

        return (CommandGroup("tapes", "Tapes of this test", app),)

    return offer


def tape_plugin(plugin: MakePlugin, **options: Any) -> Any:
    return plugin("vtape", tapekit_register_command_groups=tapes(**options))


def test_a_group_runs_on_the_stack_of_the_folder(
    tapekit: Tapekit, plugin: MakePlugin, stack_file: WriteStack
) -> None:
    stack_file('plugins = ["vtape"]\n')
    outcome = tapekit("tapes", "list", "--label", "x", plugins=(tape_plugin(plugin),))
    assert (outcome.status, outcome.out) == (0, "tapes x False NoSettings()\n")


@pytest.mark.parametrize(
    "line",
    [
        "tapes list --label x --json other.toml",
        "other.toml tapes list --json --label x",
        "--json tapes list --label x other.toml",
        "tapes --stack other.toml list --label=x --json",
    ],
)
def test_the_stack_may_be_named_anywhere(
    line: str, tapekit: Tapekit, plugin: MakePlugin, tmp_path: Path
) -> None:
    (tmp_path / "other.toml").write_text('plugins = ["vtape"]\n')
    outcome = tapekit(*line.split(), plugins=(tape_plugin(plugin),))
    assert (outcome.status, outcome.out) == (0, "tapes x True NoSettings()\n")


def test_the_environment_may_name_the_stack(
    tapekit: Tapekit, plugin: MakePlugin, tmp_path: Path
) -> None:
    (tmp_path / "other.toml").write_text('plugins = ["vtape"]\n')
    environment = {"TAPEKIT_STACK": str(tmp_path / "other.toml")}
    outcome = tapekit("tapes", "list", plugins=(tape_plugin(plugin),), environment=environment)
    assert outcome.status == 0


def test_a_group_has_help_of_its_own(
    tapekit: Tapekit, plugin: MakePlugin, stack_file: WriteStack
) -> None:
    stack_file('plugins = ["vtape"]\n')
    outcome = tapekit("tapes", "--help", plugins=(tape_plugin(plugin),))
    assert outcome.status == 0
    assert "Usage: tapekit tapes" in outcome.out
    assert "List the tapes." in outcome.out


def test_errors_of_a_group_are_told_like_the_shells_own(
    tapekit: Tapekit, plugin: MakePlugin, stack_file: WriteStack
) -> None:
    stack_file('plugins = ["vtape"]\n')
    outcome = tapekit("tapes", "fail", plugins=(tape_plugin(plugin, failing=True),))
    assert outcome.status == 1
    assert outcome.err.endswith("(tapekit explain core.site-exists)\n")


def test_without_a_stack_file_that_is_said(tapekit: Tapekit, plugin: MakePlugin) -> None:
    outcome = tapekit("plugns", plugins=(tape_plugin(plugin),))
    assert outcome.status == 2
    assert '"plugns" is no command of tapekit itself' in outcome.err
    assert "similar: plugins" in outcome.err


def test_a_stack_file_that_is_named_must_exist(tapekit: Tapekit, plugin: MakePlugin) -> None:
    for arguments, environment in ((("s.toml",), {}), ((), {"TAPEKIT_STACK": "s.toml"})):
        outcome = tapekit("tapes", "list", *arguments, environment=environment)
        assert outcome.status == 2
        assert "s.toml: there is no such stack file" in outcome.err


def test_an_unknown_group_is_told_with_those_that_there_are(
    tapekit: Tapekit, plugin: MakePlugin, stack_file: WriteStack
) -> None:
    stack_file('plugins = ["vtape"]\n')
    outcome = tapekit("taps", "list", plugins=(tape_plugin(plugin),))
    assert outcome.status == 2
    assert 'no enabled plugin has a command "taps"; they have: tapes' in outcome.err
    assert "similar: tapes" in outcome.err


def test_a_disabled_plugin_of_that_name_is_pointed_to(
    tapekit: Tapekit, plugin: MakePlugin, stack_file: WriteStack
) -> None:
    stack_file("plugins = []\n")
    outcome = tapekit("vtape", "list", plugins=(tape_plugin(plugin),))
    assert outcome.status == 2
    assert 'the command "vtape" belongs to a plugin that is not enabled' in outcome.err
    assert 'Add "vtape" to the list "plugins"' in outcome.err


def test_an_enabled_plugin_without_commands_is_not_blamed_on_the_list(
    tapekit: Tapekit, plugin: MakePlugin, stack_file: WriteStack
) -> None:
    stack_file('plugins = ["dump"]\n')
    outcome = tapekit("dump", "list", plugins=(plugin("dump"),))
    assert outcome.status == 2
    assert 'no enabled plugin has a command "dump"; they have: none' in outcome.err


def test_a_wrong_stack_file_stops_the_command(
    tapekit: Tapekit, plugin: MakePlugin, stack_file: WriteStack
) -> None:
    stack_file('plugins = ["vtape", "dmp"]\n')
    outcome = tapekit("tapes", "list", plugins=(tape_plugin(plugin),))
    assert outcome.status == 2
    assert 'no plugin "dmp" is installed' in outcome.err


def test_a_group_cannot_take_a_word_of_the_shell(
    tapekit: Tapekit, plugin: MakePlugin, stack_file: WriteStack
) -> None:
    stack_file('plugins = ["a"]\n')
    thief = plugin(
        "a",
        tapekit_register_command_groups=lambda self: (CommandGroup("serve", "", typer.Typer()),),
    )
    outcome = tapekit("tapes", plugins=(thief,))
    assert outcome.status == 2
    assert 'command group "serve" is offered by both tapekit itself and a' in outcome.err


def commands_of(name: str, *commands: str) -> CommandGroup:
    """A group whose commands say who they are."""
    app = typer.Typer()
    app.callback()(lambda: None)
    for command in commands:
        app.command(command)(lambda command=command: typer.echo(f"{name}: {command}"))
    return CommandGroup(name, f"Group {name}", app)


def test_groups_of_several_plugins_under_one_word_make_a_tree(
    tapekit: Tapekit, plugin: MakePlugin, stack_file: WriteStack
) -> None:
    def offering(name: str, *offered: str) -> Any:
        return plugin(
            name,
            tapekit_register_command_groups=lambda self: [
                commands_of(one, "show") for one in offered
            ],
        )

    stack_file('plugins = ["a", "b"]\n')
    plugins = (
        offering("a", "system services ndmp contexts", "system node"),
        offering("b", "system services ndmp", "vserver"),
    )
    for words in ("system services ndmp", "system services ndmp contexts", "system node"):
        outcome = tapekit(*words.split(), "show", plugins=plugins)
        assert (outcome.status, outcome.out) == (0, f"{words}: show\n")
    outcome = tapekit("system", "services", "--help", plugins=plugins)
    assert "Commands of system services." in tapekit("system", "--help", plugins=plugins).out
    assert "Group system services ndmp" in outcome.out
    assert "they have: system, vserver" in tapekit("systm", plugins=plugins).err


def test_a_tree_cannot_begin_with_a_word_of_the_shell(
    tapekit: Tapekit, plugin: MakePlugin, stack_file: WriteStack
) -> None:
    stack_file('plugins = ["a"]\n')
    thief = plugin(
        "a", tapekit_register_command_groups=lambda self: (commands_of("serve all", "show"),)
    )
    outcome = tapekit("tapes", plugins=(thief,))
    assert 'command group "serve all" is offered by both tapekit itself and a' in outcome.err
