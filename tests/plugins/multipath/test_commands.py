"""The listings of paths, as the guide shows them."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from tapekit.cli.groups import group_command
from tapekit.errors import TapekitError
from tapekit.hookspecs.tape_driver import OpenMode
from tapekit_multipath.commands import command_groups, config_listing
from tapekit_multipath.joiner import PathsOfDevices
from tapekit_multipath.operations import SHOW, LunGroup, Paths
from tapekit_multipath.survey import survey

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def typed(cable_of: Any, inventory_over: Any) -> Callable[[str], str]:
    """What a command prints of two drives and a changer on two paths, of which
    the first has failed once.
    """
    paths = PathsOfDevices(is_balanced=False)
    first, second = cable_of("0b"), cable_of("0d")
    inventory = inventory_over(paths, first, second)
    inventory.discover()
    first.is_cut = True
    inventory.open("nrst0a", OpenMode.READ, "x").close()

    def call(operation: object, request: object) -> Any:
        assert operation is SHOW
        rows, groups = survey(paths, inventory)
        return Paths(node="Node1", is_balanced=False, paths=rows, groups=groups)

    kernel: Any = SimpleNamespace(management=SimpleNamespace(call=call))

    def run(line: str) -> str:
        result = CliRunner().invoke(group_command(command_groups(lambda: kernel)), line.split())
        if isinstance(result.exception, TapekitError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    return run


@pytest.mark.requirement("R036")
def test_the_example_of_the_guide() -> None:
    groups = (
        LunGroup(
            number=0,
            lun_count=5,
            library_name="IBM 3573-TL_1",
            target_ports=("510a09800000412d",),
            initiators=("0b", "0d"),
        ),
        LunGroup(
            number=1,
            lun_count=2,
            library_name="IBM 3573-TL_2",
            target_ports=("50050763124b4d6f",),
            initiators=("3d",),
        ),
    )
    paths = Paths(node="STSW-3070-2_cluster-01", is_balanced=False, paths=(), groups=groups)
    lines = list(config_listing(paths))
    words = [[cell for cell in line.split("  ") if cell] for line in lines]
    assert [[cell.strip() for cell in row] for row in words] == [
        ["Node", "LUN Group", "LUN Count", "Library Name", "Library Target Port", "Initiator"],
        ["-" * 22, "-" * 9, "-" * 9, "-" * 13, "-" * 19, "-" * 9],
        ["STSW-3070-2_cluster-01", "0", "5", "IBM 3573-TL_1", "510a09800000412d", "0b"],
        ["0d"],
        ["1", "2", "IBM 3573-TL_2", "50050763124b4d6f", "3d"],
        ["3 entries were displayed."],
    ]


@pytest.mark.requirement("R034")
@pytest.mark.requirement("R040")
def test_a_lun_group_is_what_shares_its_paths(typed: Callable[[str], str]) -> None:
    lines = typed("storage tape library config show -node Node1").splitlines()
    assert lines[2].split() == ["Node1", "0", "3", "ACME", "LIBRARY_1", "510a09800000412d", "0b"]
    assert lines[3].split() == ["0d"]
    assert lines[4] == "2 entries were displayed."


@pytest.mark.requirement("R034")
@pytest.mark.requirement("R035")
def test_paths_are_listed(typed: Callable[[str], str]) -> None:
    lines = typed("storage tape library path show").splitlines()
    assert lines[0] == "Node: Node1"
    assert [title.strip() for title in lines[1].split("  ") if title] == [
        "Device ID",
        "NDMP Path",
        "Library Name",
        "Initiator",
        "Target Port",
        "Access",
        "LUN Group",
        "LUN",
        "Path Errors",
        "Path Qual",
    ]
    cells = [[cell.strip() for cell in line.split("  ") if cell] for line in lines[3:5]]
    rest = ["ACME LIBRARY_1", "{}", "510a09800000412d", "multipath", "0", "1"]
    assert cells == [
        ["0b.5L1", "nrst0a", *(cell.format("0b") for cell in rest), "1", "failed"],
        ["0d.5L1", "nrst0a", *(cell.format("0d") for cell in rest), "0", "working"],
    ]
    assert lines[-1] == "6 entries were displayed."
    rows = json.loads(typed("storage tape library path show --json"))["paths"]
    assert [row["ndmp_path"] for row in rows] == ["nrst0a"] * 2 + ["nrst1a"] * 2 + ["mc0"] * 2


@pytest.mark.requirement("R034")
def test_paths_are_listed_by_initiator(typed: Callable[[str], str]) -> None:
    lines = typed("storage tape library path show-by-initiator").splitlines()
    assert [line.split()[0] for line in lines[3:9]] == ["0b"] * 3 + ["0d"] * 3
    assert lines[9] == "6 entries were displayed."


def test_another_node_is_refused(typed: Callable[[str], str]) -> None:
    with pytest.raises(TapekitError, match="Node2 is not the name of this node, which is Node1"):
        typed("storage tape library config show -node Node2")
