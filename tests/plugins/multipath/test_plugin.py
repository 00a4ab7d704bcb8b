"""In a stack, devices that are found once are listed with their one path, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tapekit.hookspecs.operations import NoRequest
from tapekit_multipath.operations import SHOW
from tapekit_multipath.plugin import MultipathPlugin
from tapekit_tape_devices.plugin import TapeDevicesPlugin

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.kernel import StackKernel


async def test_the_running_stack_lists_paths(
    assembled: Callable[..., StackKernel], plugin: Any, cable_of: Any
) -> None:
    cables = (cable_of("0b"), cable_of("0d"))
    offering = plugin(
        "cables",
        tapekit_register_tape_drivers=lambda self: cables,
        tapekit_register_changer_drivers=lambda self: cables,
    )
    kernel = assembled(TapeDevicesPlugin, MultipathPlugin, offering)
    assert kernel.tape_inventory is not None
    assert len(kernel.tape_inventory.drives()) == 2
    paths = await kernel.operations[SHOW.name].perform(NoRequest())
    assert (paths.node, paths.is_balanced) == (kernel.node_name, False)
    assert [row.device_id for row in paths.paths] == [
        f"{scheme}.5L{lun}" for lun in (1, 2, 9) for scheme in ("0b", "0d")
    ]
    assert "storage tape library config show" in kernel.command_groups({})


async def test_drives_without_raw_doors_have_no_paths(tape_stack: Any, typed: Any) -> None:
    async with tape_stack(MultipathPlugin) as kernel:
        listed = await typed(kernel, "storage tape library path show")
        assert listed.splitlines()[-1] == "0 entries were displayed."
        assert len(kernel.tape_inventory.drives()) == 2
