"""Commands of an administrator on a stack that this process serves.

They run in a thread of their own, as if in another process, and reach the
server over its socket.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec
import trio
from typer.testing import CliRunner

from tapekit.cli.groups import group_command
from tapekit.errors import TapekitError
from tapekit.hookspecs.operations import Operation, Privilege
from tapekit_ndmp_v4.commands import command_groups

if TYPE_CHECKING:
    import typer

    from session_stack import ServedStack

Q = TypeVar("Q", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)


class Outcome(NamedTuple):
    """How a command ended."""

    status: int
    out: str


async def asked(
    stack: ServedStack,
    operation: Operation[Q, R],
    request: Q,
    privilege: Privilege = Privilege.ADVANCED,
) -> R:
    """What an operation answers."""
    call = functools.partial(stack.kernel.management.call, operation, request, privilege)
    with trio.fail_after(60):
        return await trio.to_thread.run_sync(call)


async def typed(stack: ServedStack, line: str) -> Outcome:
    """How a command line ends, which begins with the word of a group.

    :raises TapekitError: what the command raised.
    """
    with trio.fail_after(60):
        return await trio.to_thread.run_sync(_run, stack, line.split())


def _run(stack: ServedStack, words: list[str]) -> Outcome:
    groups = [
        group for group in command_groups(lambda: stack.kernel) if group.name.split()[0] == words[0]
    ]
    result = CliRunner().invoke(_named(group_command(groups)), words)
    if isinstance(result.exception, TapekitError):
        raise result.exception
    return Outcome(result.exit_code, result.output)


def _named(app: typer.Typer) -> Any:
    # With one group typer would do without its name.
    app.callback()(lambda: None)
    return app
