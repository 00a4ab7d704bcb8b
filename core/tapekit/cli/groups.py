"""``tapekit GROUP ...``: the commands of a stack's plugins.

The word that is none of the shell's own is looked up among the command
groups of an assembled kernel that does not run; groups whose names begin
with the same word make one tree. The one rule: groups come from a whole
stack, so that a command sees what the server would.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from tapekit.cli.shell import WrongUse
from tapekit.errors import CORE
from tapekit.kernel import assemble
from tapekit.kernel.spelling import similar

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from tapekit.cli.shell import Shell
    from tapekit.hookspecs.commands import CommandGroup

__all__ = ["find_groups", "group_command"]


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
