"""What the commands share: the plugins there are, the stack file, the output.

Both are imported when a command first needs them. The one rule: whatever is
printed goes through a :class:`tapekit.console.Printer`.
"""

from __future__ import annotations

import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from tapekit.errors import TapekitError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import TextIO

    import typer

    from tapekit.console import Printer
    from tapekit.kernel import Available

__all__ = ["Shell", "WrongUse", "shell_of"]

_STACK_VARIABLE: Final = "TAPEKIT_STACK"
_STACK_FILE: Final = "tapekit.toml"


class WrongUse(TapekitError):
    """The command line asks for something that does not exist."""


@final
class Shell:
    """One run of the command line."""

    def __init__(
        self,
        find: Callable[[], Sequence[Available]],
        environment: Mapping[str, str],
        clock: Callable[[], float],
    ) -> None:
        self._find: Final = find
        self.clock: Final = clock
        """Tells the time in seconds since 1970."""
        self._environment: Final = environment

    @cached_property
    def available(self) -> Sequence[Available]:
        """The installed plugins, looked for when first asked for."""
        return self._find()

    @cached_property
    def out(self) -> Printer:
        """Prints to standard output."""
        return _printer(sys.stdout)

    @cached_property
    def err(self) -> Printer:
        """Prints to standard error."""
        return _printer(sys.stderr)

    @property
    def plugin_names(self) -> Sequence[str]:
        """The plugins that could be enabled, each once."""
        return list(dict.fromkeys(plugin.name for plugin in self.available))

    def named_stack(self) -> Path | None:
        """The stack file that the environment names."""
        name = self._environment.get(_STACK_VARIABLE)
        return Path(name) if name else None

    def stack(self, given: Path | None) -> Path:
        """The stack file to use: the one given, the environment's, or the
        one in the current folder, whether or not it exists.
        """
        return given or self.named_stack() or Path(_STACK_FILE)

    def say(self, text: str) -> None:
        """Print a line; wrapped on a terminal only."""
        self.out.say(text, wraps=True)

    def say_json(self, value: object) -> None:
        """Print a value as JSON."""
        self.out.say_json(value)

    def say_table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print rows in columns, without blanks at the ends of lines."""
        self.out.say_table(columns, rows)

    def complain(self, errors: Iterable[TapekitError]) -> None:
        """Print errors with what to do about them, to standard error."""
        for error in errors:
            self.err.say(f"error: {error}")
            self.err.say(f"  {error.action}")
            self.err.say(f"  (tapekit explain {error.id})")


def _printer(file: TextIO) -> Printer:
    from tapekit.console import Printer

    return Printer(file)


def shell_of(context: typer.Context) -> Shell:
    """The shell that a command runs in."""
    shell = context.find_object(Shell)
    assert shell is not None
    return shell
