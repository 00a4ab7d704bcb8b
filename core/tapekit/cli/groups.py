"""``tapekit GROUP ...``: the commands of a stack's plugins.

The word that is none of the shell's own is looked up among the command
groups of an assembled kernel that does not run; groups whose names begin
with the same word make one tree. The stack file may stand anywhere on the
line; what remains belongs to the group.
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

__all__ = ["GroupLine", "find_groups", "group_command", "split_line"]


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


def find_groups(
    shell: Shell, given: Path | None, word: str, own: Collection[str]
) -> Sequence[CommandGroup]:
    """The groups of the stack whose names begin with a word.

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
    kernel = assemble(file, shell.available, clock=shell.clock, is_to_serve=False)
    groups = kernel.command_groups(dict.fromkeys(own, "tapekit itself"))
    found = [group for name, group in groups.items() if name.split()[0] == word]
    if found:
        return found
    if word in shell.plugin_names and word not in kernel.plugin_names:
        raise CORE.raised_as(WrongUse, "command-of-disabled-plugin", file=file, word=word)
    first_words = {name.split()[0] for name in groups}
    raise CORE.raised_as(
        WrongUse,
        "unknown-command",
        file=file,
        word=word,
        known=", ".join(sorted(first_words)) or "none",
        similar=similar(word, {*first_words, *own}),
    )


def group_command(groups: Sequence[CommandGroup]) -> typer.Typer:
    """A shell that has these groups alone, each below the words of its name."""
    root = typer.Typer(add_completion=False, rich_markup_mode=None)
    places: dict[tuple[str, ...], typer.Typer] = {(): root}
    for group in sorted(groups, key=lambda group: len(group.name.split())):
        words = tuple(group.name.split())
        place = _place(places, words[:-1])
        place.add_typer(group.app, name=words[-1], help=group.summary)
        places[words] = group.app
    return root


def _place(places: dict[tuple[str, ...], typer.Typer], words: tuple[str, ...]) -> typer.Typer:
    """The commands below some words, made where no group has brought them."""
    if words not in places:
        places[words] = typer.Typer(no_args_is_help=True)
        summary = f"Commands of {' '.join(words)}."
        _place(places, words[:-1]).add_typer(places[words], name=words[-1], help=summary)
    return places[words]
