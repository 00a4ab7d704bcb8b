"""Bridges and routers are listed, as many as a node may have."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, final

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.tape_driver import BridgeDescription
from tapekit_tape_devices.bridges import MOST_BRIDGES, bridge_lines

if TYPE_CHECKING:
    from collections.abc import Sequence


@final
class MemoryBridges:
    """A driver behind bridges."""

    scheme = "bridged"

    def __init__(self, count: int) -> None:
        self._count = count

    def discover(self) -> Sequence[Any]:
        return []

    def discover_changers(self) -> Sequence[Any]:
        return []

    def open_drive(self, address: str) -> Any:
        raise AssertionError(address)

    def discover_bridges(self) -> Sequence[BridgeDescription]:
        return [
            BridgeDescription(
                physical_path=f"5.{number}",
                vendor="ACME",
                product="ROUTER",
                revision="1",
                serial=f"R{number}",
            )
            for number in range(self._count)
        ]


def test_a_driver_of_drives_and_changers_is_asked_once() -> None:
    driver = MemoryBridges(2)
    assert [one.name for one in bridge_lines([driver, object(), driver])] == ["br0", "br1"]


@pytest.mark.requirement("R066")
def test_the_seventeenth_bridge_has_no_name(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert len(bridge_lines([MemoryBridges(MOST_BRIDGES)])) == MOST_BRIDGES == 16
        assert caplog.text == ""
        assert len(bridge_lines([MemoryBridges(9), MemoryBridges(8)])) == MOST_BRIDGES
    assert "17 bridges and routers are connected; those beyond 16 have no names" in caplog.text


async def test_the_command_lists_bridges(tape_stack: Any, plugin: Any, typed: Any) -> None:
    driver = MemoryBridges(1)
    bridged = plugin("bridged", tapekit_register_tape_drivers=lambda self: (driver,))
    async with tape_stack(bridged) as kernel:
        lines = (await typed(kernel, "storage bridge show")).splitlines()
        assert lines[0] == "Node: Node1"
        assert lines[3].split() == ["br0", "5.0", "R0", "ACME", "ROUTER", "1"]
        (row,) = json.loads(await typed(kernel, "storage bridge show -node local --json"))
        assert (row["name"], row["physical_path"]) == ("br0", "5.0")
        with pytest.raises(TapekitError, match="is not the name of this node"):
            await typed(kernel, "storage bridge show -node Node2")
