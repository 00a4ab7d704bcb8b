"""The plugin offers the inventory, and numbers the drives before work begins."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.lifecycle import InitPart, InitSite
from tapekit.hookspecs.tape_driver import OpenMode
from tapekit.kernel.memory_state import MemoryStateStore
from tapekit_tape_devices.plugin import TapeDevicesPlugin
from tapekit_tape_devices.settings import TapeDevicesSettings

NOW_S = 1_700_000_000.0

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.kernel import StackKernel


def assembled_plugin(*drivers: Any) -> Any:
    """The plugin when it has met these drivers."""
    plugin = TapeDevicesPlugin(TapeDevicesSettings())
    kernel: Any = SimpleNamespace(
        tape_drivers={driver.scheme: driver for driver in drivers},
        changer_drivers={},
        call_hook=lambda hook: [],
        state=MemoryStateStore(),
        clock=lambda: NOW_S,
        base_directory=Path("/nowhere"),
    )
    plugin.tapekit_on_assembled(kernel)
    return plugin


def test_a_stack_has_the_inventory_and_looks_for_no_drive_yet(
    assembled: Callable[..., StackKernel], plugin: Any, driver_of: Any
) -> None:
    driver = driver_of("m", None)
    offering = plugin("drives", tapekit_register_tape_drivers=lambda self: (driver,))
    kernel = assembled(TapeDevicesPlugin, offering)
    assert driver.looked == 0
    assert kernel.tape_inventory is not None
    assert [row.scheme for row in kernel.tape_inventory.drives()] == ["m"]


async def test_drives_are_numbered_before_work_begins(driver_of: Any) -> None:
    driver = driver_of("m", None)
    async with assembled_plugin(driver).tapekit_run():
        assert driver.looked == 1


async def test_a_driver_that_cannot_look_stops_the_start(inventory_of: Any) -> None:
    with pytest.raises(TapekitError) as reason:
        inventory_of().open("nrst0a", OpenMode.READ, "x")

    class FailingDriver:
        scheme = "bad"

        def discover(self) -> Any:
            raise reason.value

    with pytest.raises(TapekitError) as caught:
        async with assembled_plugin(FailingDriver()).tapekit_run():
            pass
    assert caught.value is reason.value


def test_the_command_group_is_offered(assembled: Callable[..., StackKernel]) -> None:
    kernel: Any = assembled(TapeDevicesPlugin)
    assert "tape" in kernel.command_groups({})


def test_a_new_site_has_the_plugin() -> None:
    assert TapeDevicesPlugin.init_part(InitSite(Path("/nowhere"), "127.0.0.1", 1)) == InitPart()
