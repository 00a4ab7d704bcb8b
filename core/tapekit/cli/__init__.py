"""The command line: a few commands of its own, and those of plugins.

Errors that an operator can read about are printed with what to do, never as
a traceback. Exit status: 0 done, 1 failed, 2 the command line or the stack
file is wrong and nothing was begun. The one rule: what a command needs is
imported when it runs, so that the version, the help and the completion of a
shell cost neither the kernel nor a plugin.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final, cast

import typer

from tapekit.cli.commands import app
from tapekit.cli.line import split_line
from tapekit.cli.shell import Shell, WrongUse
from tapekit.errors import StartErrors, TapekitError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.kernel import Available

__all__ = ["execute", "main"]

_PROGRAM: Final = "tapekit"
_COMPLETION_VARIABLE: Final = "_TAPEKIT_COMPLETE"


def main() -> None:
    """Run the command line of the process; the entry point ``tapekit``."""
    environment = os.environ  # noqa: TID251 - enters here, for TAPEKIT_STACK alone
    clock = time.time  # noqa: TID251 - enters here, and is an argument from here on
    if _COMPLETION_VARIABLE in environment:
        typer.main.get_command(app).main(prog_name=_PROGRAM)
    sys.exit(execute(sys.argv[1:], Shell(_installed, environment, clock)))


def _installed() -> Sequence[Available]:
    from tapekit.kernel import installed

    return installed()


def execute(arguments: Sequence[str], shell: Shell) -> int:
    """Run one command line.

    :returns: the exit status.
    """
    try:
        return _dispatch(arguments, shell)
    except StartErrors as refused:
        shell.complain(refused.errors)
        return 2
    except TapekitError as error:
        shell.complain([error])
        return 2 if isinstance(error, WrongUse) else 1


def _dispatch(arguments: Sequence[str], shell: Shell) -> int:
    own = cast("Any", typer.main.get_command(app)).commands
    line = split_line(arguments)
    if line.word is None or line.word in own:
        return _run(app, arguments, shell)
    from tapekit.cli.clients import find_client
    from tapekit.cli.groups import find_groups, group_command

    # Before the stack file is looked for: a client's arguments may end in .toml.
    client = find_client(shell, arguments[0], arguments[1:])
    if client is not None:
        return _run(client, arguments[1:], shell, f"{_PROGRAM} {arguments[0]}")
    groups = find_groups(shell, line.stack, line.word, own)
    return _run(group_command(groups), [line.word, *line.rest], shell)


def _run(root: typer.Typer, arguments: Sequence[str], shell: Shell, program: str = _PROGRAM) -> int:
    try:
        typer.main.get_command(root).main(list(arguments), prog_name=program, obj=shell)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0
