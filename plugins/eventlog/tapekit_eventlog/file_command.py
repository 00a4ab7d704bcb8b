"""``tapekit rdfile``: prints a file of the backup log under the name it has
on a storage system.

The command knows the files of the log and no other, so that it reads nothing
else of this machine, whatever path it is given. The one rule: a name is
compared, never joined to a folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from tapekit.console import say
from tapekit_eventlog.errors import CATALOGUE
from tapekit_eventlog.reading import lines_of, log_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["FOLDER", "rdfile_app"]

FOLDER: Final = "/etc/log"
"""Where a storage system has its backup log."""


def rdfile_app(log: Callable[[], Path]) -> typer.Typer:
    """The command; ``log`` tells the path of the present file when it runs."""

    def rdfile(
        path: Annotated[
            str, typer.Argument(metavar="PATH", help=f"{FOLDER}/backup, or an older week's.")
        ] = f"{FOLDER}/backup",
    ) -> None:
        """Print a file of the backup log."""
        known = {f"{FOLDER}/{file.name}": file for file in log_files(log())}
        if path not in known:
            raise CATALOGUE.error("no-log-file", path=path, known=", ".join(known))
        for line in lines_of(known[path]):
            say(line)

    app = typer.Typer(invoke_without_command=True)
    app.callback(context_settings={"allow_interspersed_args": True})(rdfile)
    return app
