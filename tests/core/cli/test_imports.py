"""What answers that need no stack import: neither the kernel nor a plugin."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tapekit.cli import commands

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    Start = Callable[..., subprocess.Popen[str]]

SPEAKING = "from tapekit.hookspecs import hookimpl\nraise SystemExit('imported')\n"
COSTLY = {"tapekit.kernel", "tapekit.hookspecs", "trio", "rich", "test_speaking"}


def imported(told: str) -> set[str]:
    """The modules that ``-X importtime`` tells of."""
    return set(re.findall(r"^import time:.*\| +(\S+)$", told, re.MULTILINE))


@pytest.mark.parametrize("line", ["--version", "--help", "serve --help", "init --help"])
def test_answers_that_need_no_stack_import_neither_the_kernel_nor_a_plugin(
    start: Start, install: Callable[..., None], line: str
) -> None:
    install("speaking", SPEAKING)
    process = start(*line.split(), PYTHONPROFILEIMPORTTIME="1")
    out, told = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out
    found = imported(told)
    assert "tapekit.cli.commands" in found
    assert not COSTLY & found


def test_completion_of_commands_imports_neither_the_kernel_nor_a_plugin(
    start: Start, install: Callable[..., None]
) -> None:
    install("speaking", SPEAKING)
    process = start(
        PYTHONPROFILEIMPORTTIME="1",
        _TAPEKIT_COMPLETE="complete_bash",
        COMP_WORDS="tapekit ",
        COMP_CWORD="1",
    )
    out, told = process.communicate(timeout=60)
    assert "serve" in out.split()
    assert not COSTLY & imported(told)


def test_the_help_lists_every_command(start: Start) -> None:
    out, _ = start("--help").communicate(timeout=60)
    listed = re.findall(r"^  ([a-z]+)  ", out.partition("Commands:")[2], re.MULTILINE)
    registered = [one.name or one.callback.__name__ for one in commands.app.registered_commands]
    assert listed == registered
