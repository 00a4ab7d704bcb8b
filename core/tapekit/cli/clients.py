"""``tapekit PLUGIN ...``: the commands of plugins that are clients.

A client works on other machines' servers or on files, so it needs no stack
file and runs where there is none. The first word of the line is looked up
among the plugins' names; if the client is a group that lacks the second, the
line is left to the groups of a stack. The one rule: no plugin but the one of
that name is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import typer

from tapekit.errors import TapekitError
from tapekit.kernel.hooks import explained

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.cli.shell import Shell

__all__ = ["find_client"]


def find_client(shell: Shell, word: str, rest: Sequence[str] = ()) -> typer.Typer | None:
    """The commands of the client that a word stands for, if it is one.

    :param rest: what stands behind the word.
    :raises TapekitError: the plugin of that name cannot be used.
    """
    plugin = next((one for one in shell.available if one.name == word), None)
    if plugin is None:
        return None
    loaded = cast("Any", plugin.load())
    if not hasattr(loaded, "client_commands"):
        return None
    ask = cast("Callable[[], typer.Typer]", loaded.client_commands)
    try:
        app = ask()
    except TapekitError:
        raise
    except Exception as error:
        raise explained(error, word, "client_commands") from error
    return app if _has_command(app, rest) else None


def _has_command(app: typer.Typer, rest: Sequence[str]) -> bool:
    """Whether a line is for a client; its options and its help are too."""
    commands = getattr(typer.main.get_command(app), "commands", None)
    return commands is None or not rest or rest[0].startswith("-") or rest[0] in commands
