"""``tapekit GROUP ...``: the commands of a stack's plugins.

The word that is none of the shell's own is looked up among the command
groups of an assembled kernel that does not run. The stack file may stand
anywhere on the line; what remains belongs to the group.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from tapekit.cli.shell import WrongUse
from tapekit.errors import CORE
from tapekit.kernel import assemble
from tapekit.kernel.spelling import similar

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from tapekit.cli.shell import Shell
    from tapekit.hookspecs.commands import CommandGroup

__all__ = ["GroupLine", "find_group", "group_command", "split_line"]


class GroupLine(NamedTuple):
    """A command line, taken apart."""

    stack: Path | None
    """The stack file, if the line names one."""
    word: str | None
    """The first word that is neither an option nor the stack file."""
    rest: Sequence[str]
    """Everything else; options from before the word come last."""


def split_line(arguments: Sequence[str]) -> GroupLine:
    """Find the stack file and the group.

    The stack file is what ``--stack`` says, else the first argument that
    ends in ``.toml``.
    """
    stack, remaining = _take_option(list(arguments))
    if stack is None:
        stack = next((one for one in remaining if _is_stack_file(one)), None)
        if stack is not None:
            remaining.remove(stack)
    before = []
    while remaining and remaining[0].startswith("-"):
        before.append(remaining.pop(0))
    word = remaining.pop(0) if remaining else None
    return GroupLine(Path(stack) if stack is not None else None, word, remaining + before)


def _take_option(arguments: list[str]) -> tuple[str | None, list[str]]:
    for index, argument in enumerate(arguments):
        if argument == "--stack" and index + 1 < len(arguments):
            return arguments[index + 1], arguments[:index] + arguments[index + 2 :]
        if argument.startswith("--stack="):
            return argument.partition("=")[2], arguments[:index] + arguments[index + 1 :]
    return None, arguments


def _is_stack_file(argument: str) -> bool:
    return argument.endswith(".toml") and not argument.startswith("-")


def find_group(shell: Shell, given: Path | None, word: str, own: Collection[str]) -> CommandGroup:
    """The group that a word stands for in the stack.

    :param given: the stack file, if the command line names one.
    :param own: the shell's own commands.
    :raises WrongUse: there is no stack file, or no such group in it.
    :raises StartErrors: the stack cannot be assembled.
    """
    file = shell.stack(given)
    if given is None and shell.named_stack() is None and not file.exists():
        raise CORE.raised_as(
            WrongUse,
            "no-stack-for-command",
            word=word,
            file=file,
            similar=similar(word, own),
        )
    kernel = assemble(file, shell.available, clock=shell.clock)
    groups = kernel.command_groups(dict.fromkeys(own, "tapekit itself"))
    if word in groups:
        return groups[word]
    if word in shell.plugin_names and word not in kernel.plugin_names:
        raise CORE.raised_as(WrongUse, "command-of-disabled-plugin", file=file, word=word)
    raise CORE.raised_as(
        WrongUse,
        "unknown-command",
        file=file,
        word=word,
        known=", ".join(sorted(groups)) or "none",
        similar=similar(word, {*groups, *own}),
    )


def group_command(group: CommandGroup) -> typer.Typer:
    """A shell that has this group alone."""
    root = typer.Typer(add_completion=False, rich_markup_mode=None)
    root.add_typer(group.app, name=group.name, help=group.summary)
    return root
