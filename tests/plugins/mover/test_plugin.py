"""The plugin offers movers made by its settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapekit.hookspecs.lifecycle import InitPart, InitSite
from tapekit_mover.mover import TapeMover
from tapekit_mover.plugin import MoverPlugin

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.kernel import StackKernel


def test_a_stack_with_the_plugin_has_movers(
    assembled: Callable[..., StackKernel], rig: Any
) -> None:
    kernel = assembled(MoverPlugin, tables="[mover]\nrecord_bytes = 65536\n")
    factory = kernel.movers
    assert factory is not None
    assert factory.default_record_size == 65536
    assert factory.largest_record_size == 262144
    mover = factory.create(rig.mover._tape, 1024, rig)
    assert isinstance(mover, TapeMover)


def test_a_new_site_has_the_plugin_with_its_defaults() -> None:
    assert MoverPlugin.init_part(InitSite(Path("/nowhere"), "127.0.0.1", 10000)) == InitPart()
