"""A command line, taken apart before anybody knows whose it is.

The stack file may stand anywhere on the line; what remains belongs to the
command that the first word names. The one rule: nothing is imported or read
here, so that the shell's own answers come at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Line", "split_line"]


class Line(NamedTuple):
    """A command line, taken apart."""

    stack: Path | None
    """The stack file, if the line names one."""
    word: str | None
    """The first word that is neither an option nor the stack file."""
    rest: Sequence[str]
    """Everything else; options from before the word come last."""


def split_line(arguments: Sequence[str]) -> Line:
    """Find the stack file and the first word.

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
    return Line(Path(stack) if stack is not None else None, word, remaining + before)


def _take_option(arguments: list[str]) -> tuple[str | None, list[str]]:
    for index, argument in enumerate(arguments):
        if argument == "--stack" and index + 1 < len(arguments):
            return arguments[index + 1], arguments[:index] + arguments[index + 2 :]
        if argument.startswith("--stack="):
            return argument.partition("=")[2], arguments[:index] + arguments[index + 1 :]
    return None, arguments


def _is_stack_file(argument: str) -> bool:
    return argument.endswith(".toml") and not argument.startswith("-")
