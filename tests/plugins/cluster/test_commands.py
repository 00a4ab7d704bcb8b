"""Commands, as an administrator types them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from tapekit.cli.groups import group_command
from tapekit.errors import TapekitError
from tapekit.hookspecs.operations import NoReply
from tapekit_cluster import operations as ops
from tapekit_cluster.commands import command_groups

if TYPE_CHECKING:
    from tapekit.hookspecs.lifecycle import Kernel

ROW = ops.LifRow(
    vserver="vs1",
    lif="d1",
    role="data",
    status="up",
    addresses=("192.0.2.1",),
    current_node="node1",
    is_home=True,
    permits_ndmp=True,
)


class MemoryManagement:
    """Remembers what it was asked, and answers."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def call(self, operation: Any, request: Any, privilege: Any = None) -> Any:
        self.asked.append(request)
        return {ops.LIFS.name: ops.Lifs((ROW,))}.get(operation.name, NoReply())


class MemoryKernel:
    """A kernel that has nothing but its management."""

    def __init__(self) -> None:
        self.management = MemoryManagement()


def typed(line: str) -> tuple[str, list[Any]]:
    kernel: Any = MemoryKernel()

    def settled() -> Kernel:
        found: Kernel = kernel
        return found

    words = line.split()
    groups = [one for one in command_groups(settled) if one.name.split()[0] == words[0]]
    app = group_command(groups)
    app.callback()(lambda: None)
    result = CliRunner().invoke(app, words)
    if isinstance(result.exception, TapekitError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output, kernel.management.asked


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        (
            "vserver remove-protocols -vserver vs1 -protocols ndmp",
            ops.ProtocolChange(vserver="vs1", is_allowed=False),
        ),
        (
            "vserver add-protocols --vserver vs1 --protocols ndmp",
            ops.ProtocolChange(vserver="vs1", is_allowed=True),
        ),
        (
            "network interface migrate -vserver vs1 -lif d1 -destination-node node2",
            ops.LifMove(lif="d1", vserver="vs1", node="node2"),
        ),
        ("network interface revert -lif d1", ops.LifMove(lif="d1")),
        (
            "network interface modify -lif d1 -status-admin down",
            ops.LifMove(lif="d1", is_down=True),
        ),
        ("network interface modify -lif d1 -status-admin up", ops.LifMove(lif="d1")),
    ],
)
def test_the_words_of_the_guide_ask_for_it(line: str, asked: Any) -> None:
    assert typed(line)[1][0] == asked


def test_lifs_are_listed() -> None:
    lines = typed("network interface show")[0].splitlines()
    assert lines[0].split()[:3] == ["Vserver", "LIF", "Role"]
    assert lines[-1].split() == ["vs1", "d1", "data", "up", "192.0.2.1", "node1", "true", "true"]
    assert json.loads(typed("network interface show --json")[0])[0]["lif"] == "d1"


def test_there_is_one_protocol() -> None:
    with pytest.raises(TapekitError, match="nfs is not a protocol of this node"):
        typed("vserver add-protocols -vserver vs1 -protocols ndmp,nfs")
