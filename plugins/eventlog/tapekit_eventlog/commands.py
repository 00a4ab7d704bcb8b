"""``tapekit eventlog``: reads the backup log, and turns it on and off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, final

import typer

from tapekit.console import say, say_json
from tapekit_eventlog.operations import SWITCH, SwitchRequest
from tapekit_eventlog.reading import all_lines, follow
from tapekit_eventlog.recorder import is_on

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tapekit.hookspecs.lifecycle import Kernel

__all__ = ["Commands"]


@final
class Commands:
    """One method a command; the docstring is its help.

    :param site: the kernel of the stack file and the path of its log.
    :param wait: waits a moment while a log is followed; false ends it.
    """

    def __init__(self, site: Callable[[], tuple[Kernel, Path]], wait: Callable[[], bool]) -> None:
        self._site: Final = site
        self._wait: Final = wait

    def app(self) -> typer.Typer:
        """All commands."""
        app = typer.Typer(no_args_is_help=True, help="The log of backups and restores.")
        for command in (self.show, self.status, self.on, self.off):
            app.command()(command)
        return app

    def show(
        self,
        *,
        following: Annotated[
            bool, typer.Option("--follow", "-f", help="Go on with new lines as they come.")
        ] = False,
        last: Annotated[
            int | None, typer.Option("--last", "-n", min=0, help="Only the last lines.")
        ] = None,
    ) -> None:
        """Print the backup log, older weeks first."""
        _, path = self._site()
        lines = list(all_lines(path))
        for line in lines if last is None else lines[len(lines) - last :]:
            say(line)
        if following:
            for line in follow(path, self._wait):
                say(line)

    def status(
        self, *, as_json: Annotated[bool, typer.Option("--json", help="Answer with JSON.")] = False
    ) -> None:
        """Tell whether events are logged, and where."""
        kernel, path = self._site()
        value = "on" if is_on(kernel.state) else "off"
        if as_json:
            say_json({"backup.log.enable": value, "file": str(path)})
        else:
            say(f"backup.log.enable  {value}")
            say(f"file               {path}")

    def on(self) -> None:
        """Turn event logging on (backup.log.enable)."""
        self._switch(on=True)

    def off(self) -> None:
        """Turn event logging off (backup.log.enable)."""
        self._switch(on=False)

    def _switch(self, *, on: bool) -> None:
        kernel, _ = self._site()
        kernel.management.call(SWITCH, SwitchRequest(on))
