"""Commands: what a plugin adds to the ``tapekit`` command line.

``tapekit GROUP ...`` builds the kernel of a stack file without running it
and looks GROUP up among the enabled plugins' groups. So commands see the
same settings as the server, and a disabled plugin is never imported. A group
may stand under several words; groups of all plugins under one first word,
such as ``system``, make one tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import typer

from tapekit.hookspecs._markers import hookspec

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = ["CommandGroup", "tapekit_register_command_groups"]


class CommandGroup(msgspec.Struct, frozen=True):
    """Commands under one word, such as ``tapekit vtape list``, or several."""

    name: str
    """Words with a blank between them: ``vtape``, ``system services ndmp``."""
    summary: str
    app: typer.Typer


@hookspec
def tapekit_register_command_groups() -> Sequence[CommandGroup]:
    """Offer command groups.

    Called once on an assembled kernel that will not run. All results are
    joined; a name that is offered twice, or whose first word is the shell's
    own, stops the command with ``core.duplicate-name``.
    """
    ...
