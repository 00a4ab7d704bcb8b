"""``storage tape show`` and its kin list what the running server has."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from tapekit.cli.groups import group_command
from tapekit.errors import TapekitError
from tapekit.hookspecs.operations import NoRequest
from tapekit.hookspecs.tape_driver import OpenMode
from tapekit.testing import MemoryTape
from tapekit_tape_devices.guide_commands import guide_groups
from tapekit_tape_devices.operations import DEVICES
from tapekit_tape_devices.plugin import TapeDevicesPlugin

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.kernel import StackKernel


@pytest.fixture
def typed(inventory_of: Any, driver_of: Any, changers_of: Any) -> Callable[[str], str]:
    """What a command prints of a node with two drives and a changer."""
    inventory = inventory_of(driver_of("m", MemoryTape(), None), changers=[changers_of("c", 1)])
    inventory.open("nrst0a", OpenMode.READ, "session 1")

    def call(operation: object, request: object) -> Any:
        assert operation is DEVICES
        return inventory.devices("Node1")

    kernel: Any = SimpleNamespace(management=SimpleNamespace(call=call))

    def run(line: str) -> str:
        app = group_command(guide_groups(lambda: kernel))
        result = CliRunner().invoke(app, line.split())
        if isinstance(result.exception, TapekitError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    return run


@pytest.mark.requirement("R018")
def test_drives_and_changers_are_listed_together(typed: Callable[[str], str]) -> None:
    assert typed("storage tape show -node Node1").splitlines() == [
        "Node: Node1",
        "Device ID  Device Type    Description          Status",
        "---------  -------------  -------------------  ------",
        "m.0        tape drive     ACME MEMORY-TAPE     in use",
        "m.1        tape drive     ACME MEMORY-TAPE     free",
        "c.0        media changer  ACME MEMORY-LIBRARY  free",
    ]


def test_device_names_are_listed_if_asked(typed: Callable[[str], str]) -> None:
    lines = typed("storage tape show -device-names").splitlines()
    start = lines.index("ACME MEMORY-TAPE (m.1)")
    assert lines[start + 1 : start + 13] == [
        f"    {rewind}st1{letter}" for letter in "lmha" for rewind in ("r", "nr", "ur")
    ]
    assert lines[-2:] == ["ACME MEMORY-LIBRARY (c.0)", "    mc0"]


@pytest.mark.requirement("R018")
@pytest.mark.requirement("R025")
@pytest.mark.parametrize(
    "command", ["storage tape show-tape-drive", "system node hardware tape drive show"]
)
def test_drives_are_listed_with_their_serial_numbers(
    typed: Callable[[str], str], command: str
) -> None:
    assert typed(command).splitlines() == [
        "Node: Node1",
        "Device ID  Alias  Serial Number  Description       Revision  Used By",
        "---------  -----  -------------  ----------------  --------  ---------",
        "m.0        st0    m0             ACME MEMORY-TAPE  1         session 1",
        "m.1        st1    m1             ACME MEMORY-TAPE  1         -",
    ]
    rows = json.loads(typed(f"{command} --json"))
    assert [row["serial"] for row in rows] == ["m0", "m1"]


@pytest.mark.requirement("R018")
@pytest.mark.requirement("R025")
@pytest.mark.parametrize(
    "command", ["storage tape show-media-changer", "system node hardware tape library show"]
)
def test_changers_are_listed_with_their_serial_numbers(
    typed: Callable[[str], str], command: str
) -> None:
    assert typed(command).splitlines()[3:] == [
        "c.0        mc0    cL0            ACME MEMORY-LIBRARY  1         -"
    ]
    assert json.loads(typed(f"{command} --json"))[0]["aliases"] == ["mc0"]


def test_everything_comes_as_json(typed: Callable[[str], str]) -> None:
    devices = json.loads(typed("storage tape show --json"))
    assert (len(devices["drives"]), len(devices["changers"])) == (2, 1)
    assert devices["drives"][0]["holder"] == "session 1"


def test_another_node_is_refused(typed: Callable[[str], str]) -> None:
    typed("storage tape show -node local")
    with pytest.raises(TapekitError) as caught:
        typed("storage tape show -node Node2")
    assert str(caught.value) == "Node2 is not the name of this node, which is Node1"


async def test_the_running_stack_performs_the_operation(
    assembled: Callable[..., StackKernel], plugin: Any, driver_of: Any
) -> None:
    driver = driver_of("m", None)
    offering = plugin("drives", tapekit_register_tape_drivers=lambda self: (driver,))
    kernel = assembled(TapeDevicesPlugin, offering)
    devices = await kernel.operations[DEVICES.name].perform(NoRequest())
    assert devices.node == kernel.node_name
    assert [line.physical_path for line in devices.drives] == ["m.0"]
