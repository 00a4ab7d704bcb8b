"""What the commands share: the plugins there are, and how to print.

Output is the same whether a person or a program reads it, apart from colour
and wrapping, which only a terminal gets. The one rule: nothing that comes
from a file or a plugin is taken for markup.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

import msgspec
from rich.console import Console
from rich.table import Table

from tapekit.errors import TapekitError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import TextIO

    import typer

    from tapekit.kernel import Available

__all__ = ["Shell", "WrongUse", "shell_of"]

_STACK_VARIABLE: Final = "TAPEKIT_STACK"
_STACK_FILE: Final = "tapekit.toml"
_NO_WRAPPING: Final = 100_000
"""Width in columns where no terminal sets one: wider than any row."""


class WrongUse(TapekitError):
    """The command line asks for something that does not exist."""


@final
class Shell:
    """One run of the command line."""

    def __init__(
        self,
        available: Sequence[Available],
        environment: Mapping[str, str],
        clock: Callable[[], float],
    ) -> None:
        self.available: Final = available
        self.clock: Final = clock
        """Tells the time in seconds since 1970."""
        self._environment: Final = environment
        self.out: Final = _console(sys.stdout)
        self.err: Final = _console(sys.stderr)

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
        self.out.print(text)

    def say_json(self, value: Any) -> None:
        """Print a value as JSON."""
        self.out.print(msgspec.json.format(msgspec.json.encode(value)).decode(), soft_wrap=True)

    def say_table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print rows in columns, without blanks at the ends of lines."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column)
        for row in rows:
            table.add_row(*row)
        with self.out.capture() as captured:
            self.out.print(table)
        for line in captured.get().splitlines():
            self.out.file.write(line.rstrip() + "\n")

    def complain(self, errors: Iterable[TapekitError]) -> None:
        """Print errors with what to do about them, to standard error."""
        for error in errors:
            self.err.print(f"error: {error.explained}", soft_wrap=True)


def shell_of(context: typer.Context) -> Shell:
    """The shell that a command runs in."""
    shell = context.find_object(Shell)
    assert shell is not None
    return shell


def _console(file: TextIO) -> Console:
    is_terminal = file.isatty()
    return Console(
        file=file,
        force_terminal=is_terminal,
        width=None if is_terminal else _NO_WRAPPING,
        markup=False,
        emoji=False,
        highlight=False,
    )
