from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tapekit.cli.shell import Shell
from tapekit.errors import CORE

if TYPE_CHECKING:
    import pytest


def shell(**environment: str) -> Shell:
    return Shell(list, environment, lambda: 0.0)


def test_the_stack_given_comes_before_the_environments_and_that_of_the_folder() -> None:
    named = shell(TAPEKIT_STACK="named.toml")
    assert named.stack(Path("given.toml")) == Path("given.toml")
    assert named.stack(None) == Path("named.toml")
    assert shell().stack(None) == Path("tapekit.toml")
    assert shell(TAPEKIT_STACK="").stack(None) == Path("tapekit.toml")


def test_what_looks_like_markup_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    made = shell()
    made.say("[bold]the table [vtape][/bold] :warning:")
    made.say_table(["[red]a"], [["[/]b"]])
    made.complain([CORE.error("site-exists", file="[dim]f")])
    out, err = capsys.readouterr()
    assert out == "[bold]the table [vtape][/bold] :warning:\n[red]a\n[/]b\n"
    assert "[dim]f exists" in err


def test_a_program_gets_no_colour_and_no_wrapping(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    made = shell()
    made.say("word " * 1000)
    made.say_table(["a", "b"], [["x" * 500, "y"]])
    out, _ = capsys.readouterr()
    assert "\x1b" not in out
    assert [len(line) for line in out.splitlines()] == [5000, 503, 503]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_wrapped_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    shell().say("word " * 20)
    assert all(len(line) <= 40 for line in screen.getvalue().splitlines())


def test_an_error_commands_no_terminal_and_looks_like_no_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shell().complain([CORE.error("site-exists", file="a\x1b[2J\n\x9b31m\udce9\nerror: b")])
    err = capsys.readouterr().err
    assert err.startswith("error: a\\x1b[2J\\n\\x9b31m\\udce9\\nerror: b exists")
    assert [line[:7] for line in err.splitlines() if line.startswith("error")] == ["error: "]
    assert err.splitlines()[-1] == "  (tapekit explain core.site-exists)"
