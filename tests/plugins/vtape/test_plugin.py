"""The plugin offers drives of the library beside the stack file."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tapekit.hookspecs.lifecycle import InitSite
from tapekit.hookspecs.tape_driver import OpenMode
from tapekit_tape_devices.plugin import TapeDevicesPlugin
from tapekit_vtape.plugin import VtapePlugin
from tapekit_vtape.settings import VtapeSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tapekit.kernel import StackKernel


def test_a_new_site_has_a_library_that_the_stack_uses(
    assembled: Callable[..., StackKernel], tmp_path: Path
) -> None:
    part = VtapePlugin.init_part(InitSite(tmp_path, "127.0.0.1", 10000))
    assert msgspec.convert(tomllib.loads(part.settings), VtapeSettings) == VtapeSettings()
    assert part.created == ("vtape: 2 virtual tape drives and 8 cartridges",)
    kernel = assembled(TapeDevicesPlugin, VtapePlugin, tables=f"[vtape]\n{part.settings}")
    inventory = kernel.tape_inventory
    assert inventory is not None
    assert [row.description.physical_path for row in inventory.drives()] == ["v.0", "v.1"]
    tape = inventory.open("nrst1a", OpenMode.READ_WRITE, "test")
    tape.drive.write_records([memoryview(b"data")], 4)
    tape.close()
    tape = inventory.open("rst1a", OpenMode.READ, "test")
    assert tape.drive.status().position == (0, 1)
    tape.close()


@pytest.mark.requirement("R061")
@pytest.mark.requirement("R062")
def test_an_unload_device_goes_through_the_library(
    assembled: Callable[..., StackKernel], tmp_path: Path
) -> None:
    """Two drives hold the first cartridges, so the third one follows the first."""
    table = VtapePlugin.init_part(InitSite(tmp_path, "127.0.0.1", 10000)).settings
    kernel = assembled(TapeDevicesPlugin, VtapePlugin, tables=f"[vtape]\n{table}")
    inventory = kernel.tape_inventory
    assert inventory is not None
    for text in (b"one", b"two"):
        tape = inventory.open("urst0a", OpenMode.READ_WRITE, "test")
        tape.drive.write_records([memoryview(text)], 3)
        tape.close()
    changer = inventory.open_changer("mc0", "test")
    state = {one.address: one.volume_tag for one in changer.changer.elements() if one.is_full}
    assert state == {
        256: "VT0004",
        257: "VT0002",
        1024: "VT0001",
        1026: "VT0003",
        1028: "VT0005",
        1029: "VT0006",
        1030: "VT0007",
        1031: "VT0008",
    }
    changer.changer.move(256, 1027)
    for slot, text in ((1024, b"one"), (1026, b"two")):
        changer.changer.move(slot, 256)
        tape = inventory.open("nrst0a", OpenMode.READ, "test")
        assert tape.drive.read_record(3) == text
        tape.close()
        changer.changer.move(256, slot)
    changer.close()


def test_a_second_init_leaves_the_library_alone(tmp_path: Path) -> None:
    site = InitSite(tmp_path, "127.0.0.1", 10000)
    VtapePlugin.init_part(site)
    before = (tmp_path / "vtape" / "library.json").read_bytes()
    assert VtapePlugin.init_part(site).created == ()
    assert (tmp_path / "vtape" / "library.json").read_bytes() == before


def test_the_command_group_is_offered(assembled: Callable[..., StackKernel]) -> None:
    kernel: Any = assembled(TapeDevicesPlugin, VtapePlugin)
    assert {"tape", "vtape"} <= set(kernel.command_groups({}))
