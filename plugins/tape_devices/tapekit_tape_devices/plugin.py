"""The plugin: wiring of the inventory into a stack."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, ClassVar, Final, final

import trio

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.commands import CommandGroup
from tapekit.hookspecs.lifecycle import InitPart, InitSite, Kernel, Manifest, NoSettings
from tapekit_tape_devices.commands import command_app
from tapekit_tape_devices.inventory import Inventory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from tapekit.hookspecs.tape_driver import TapeInventory

__all__ = ["TapeDevicesPlugin"]


@final
class TapeDevicesPlugin:
    """The stack's tape devices, over whatever drivers it has."""

    manifest: ClassVar[Manifest] = Manifest(
        name="tape_devices", summary="Tape drives under names, each open to one holder"
    )

    def __init__(self, _settings: NoSettings) -> None:
        self._inventory: Final = Inventory()

    @hookimpl
    def tapekit_provide_tape_inventory(self) -> TapeInventory:
        """Offer the inventory."""
        return self._inventory

    @hookimpl
    def tapekit_register_command_groups(self) -> Sequence[CommandGroup]:
        """Offer ``tapekit tape``."""
        app = command_app(lambda: self._inventory)
        return (CommandGroup("tape", "Tape devices and their drives", app),)

    @hookimpl
    def tapekit_on_assembled(self, kernel: Kernel) -> None:
        """Meet the drivers."""
        self._inventory.settle(kernel.tape_drivers)

    @hookimpl
    def tapekit_run(self) -> AbstractAsyncContextManager[None]:
        """Number the drives before anybody can ask for one."""
        return self._numbered()

    @asynccontextmanager
    async def _numbered(self) -> AsyncIterator[None]:
        await trio.to_thread.run_sync(self._inventory.discover)
        yield

    @classmethod
    def init_part(cls, _site: InitSite) -> InitPart:
        """Take part in a new site; there is nothing to set."""
        return InitPart()
