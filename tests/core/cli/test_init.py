"""The command line as a whole: what it makes of errors, and its exit status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tapekit.errors import CORE

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Start = Callable[..., subprocess.Popen[str]]
    Tapekit = Callable[..., Any]
    MakePlugin = Callable[..., Any]


def test_version_names_the_program(tapekit: Tapekit) -> None:
    outcome = tapekit("--version")
    assert outcome.status == 0
    assert outcome.out.startswith("tapekit ")


def test_help_lists_the_commands_and_how_to_reach_others(tapekit: Tapekit) -> None:
    outcome = tapekit("--help")
    assert outcome.status == 0
    for word in ("plugins", "settings", "explain", "hooks", "check", "serve", "init", "GROUP"):
        assert word in outcome.out


def test_without_arguments_there_is_help(tapekit: Tapekit) -> None:
    outcome = tapekit()
    assert outcome.status == 2
    assert "Usage: tapekit" in outcome.out + outcome.err


def test_wrong_options_are_wrong_use(tapekit: Tapekit) -> None:
    outcome = tapekit("plugins", "--jsn")
    assert outcome.status == 2
    assert "--jsn" in outcome.err


def test_an_error_shows_text_action_and_identifier_without_traceback(tapekit: Tapekit) -> None:
    outcome = tapekit("check", "none.toml")
    assert outcome.status == 2
    assert outcome.out == ""
    first, second, third = outcome.err.splitlines()
    assert first.startswith("error: ")
    assert first.endswith("none.toml: there is no such stack file")
    assert "tapekit init" in second
    assert third == "  (tapekit explain core.stack-file-missing)"


def test_a_command_that_fails_has_another_status_than_wrong_use(
    tapekit: Tapekit, plugin: MakePlugin
) -> None:
    def fail(cls: Any, site: Any) -> object:
        raise CORE.error("site-not-writable", file="x", reason="No space left on device")

    failing = plugin("a", attributes={"init_part": classmethod(fail)})
    outcome = tapekit("init", "site", plugins=(failing,))
    assert outcome.status == 1
    assert outcome.err.startswith("error: x: No space left on device\n")


def test_the_module_is_the_command(start: Start) -> None:
    process = start("--version")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out.startswith("tapekit ")


def test_the_environment_names_the_stack(start: Start, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("plugins = []\n")
    process = start("check", TAPEKIT_STACK="other.toml")
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "ok\n")


def test_the_shell_can_complete_commands(start: Start) -> None:
    process = start(
        _TAPEKIT_COMPLETE="complete_bash",
        _TYPER_COMPLETE_ARGS="tapekit pl",
        COMP_WORDS="tapekit pl",
        COMP_CWORD="1",
    )
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out.split()) == (0, ["plugins"])
