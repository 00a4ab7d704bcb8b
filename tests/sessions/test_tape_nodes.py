"""Every command for tapes speaks to the node that ``-node`` names, and to no other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Final

import pytest
from typer.testing import CliRunner

from tapekit.cli.groups import group_command
from tapekit.errors import CORE, TapekitError
from tapekit.hookspecs.commands import CommandGroup
from tapekit_aliases.commands import command_app as aliases
from tapekit_multipath.commands import command_groups as paths
from tapekit_qualification.commands import command_groups as qualification
from tapekit_reservations.commands import command_app as reservations
from tapekit_tape_devices.drive_commands import drive_groups
from tapekit_tape_devices.guide_commands import guide_groups

COMMANDS: Final = (
    "storage tape show",
    "storage tape show-tape-drive",
    "storage tape show-media-changer",
    "storage bridge show",
    "system node hardware tape drive show",
    "system node hardware tape library show",
    "storage tape online -name st0",
    "storage tape offline -name st0",
    "storage tape trace -is-trace-enabled true",
    "storage tape position -name st0 -operation rewind",
    "storage tape position -name st0 -operation erase --advanced",
    "storage tape reset -name st0 --advanced",
    "storage tape show-errors",
    "storage tape show-errors -name st0 -counters",
    "storage tape show-supported-status",
    "storage tape library path show",
    "storage tape library path show-by-initiator",
    "storage tape library config show",
    "storage tape reservation show",
    "storage tape reservation clear -name st0 --advanced",
    "storage tape alias show",
    "storage tape alias set -name st0 -mapping 8.6",
    "storage tape alias clear -name st0",
)


class FailingManagement:
    """The way to a stack that refuses what it is asked by its name."""

    def __init__(self, node: str, **nodes: Any) -> None:
        self.node = node
        self.nodes = nodes

    def call(self, _operation: Any, _request: Any, _privilege: Any = None) -> Any:
        raise CORE.error("site-exists", file=f"a {self.node}")


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_speaks_to_the_node_that_it_names(line: str) -> None:
    kernel: Any = SimpleNamespace(
        management=FailingManagement("first", second=FailingManagement("second"))
    )

    def settled() -> Any:
        return kernel

    app = group_command(
        [
            *guide_groups(settled),
            *drive_groups(settled),
            *paths(settled),
            *qualification(settled, settled),
            CommandGroup("storage tape alias", "", aliases(settled)),
            CommandGroup("storage tape reservation", "", reservations(settled)),
        ]
    )
    for option, asked in (("-node second", "second"), ("-node local", "first")):
        result = CliRunner().invoke(app, [*line.split(), *option.split()])
        assert isinstance(result.exception, TapekitError), result.output
        assert str(result.exception).startswith(f"a {asked} exists")
