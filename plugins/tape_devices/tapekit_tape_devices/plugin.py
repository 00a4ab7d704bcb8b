"""The plugin: wiring of the inventory into a stack."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Final, final

import trio

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.commands import CommandGroup
from tapekit.hookspecs.lifecycle import InitPart, InitSite, Kernel, Manifest, NoSettings
from tapekit_tape_devices import hookspecs
from tapekit_tape_devices.commands import command_app
from tapekit_tape_devices.errors import CATALOGUE
from tapekit_tape_devices.guide_commands import guide_groups
from tapekit_tape_devices.inventory import Inventory
from tapekit_tape_devices.operations import DEVICES, Devices

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from tapekit.hookspecs.operations import NoRequest, OfferedOperation
    from tapekit.hookspecs.tape_driver import TapeInventory

__all__ = ["TapeDevicesPlugin"]


@final
class TapeDevicesPlugin:
    """The stack's tape devices, over whatever drivers it has."""

    manifest: ClassVar[Manifest] = Manifest(
        name="tape_devices",
        summary="Tape drives and media changers under names, each open to one holder",
    )

    hookspecs: ClassVar = hookspecs

    def __init__(self, _settings: NoSettings) -> None:
        self._inventory: Final = Inventory()
        self._kernel: Kernel | None = None

    @hookimpl
    def tapekit_provide_tape_inventory(self) -> TapeInventory:
        """Offer the inventory."""
        return self._inventory

    @hookimpl
    def tapekit_register_command_groups(self) -> Sequence[CommandGroup]:
        """Offer ``tapekit tape`` and the commands of the guide."""
        app = command_app(lambda: self._inventory)
        group = CommandGroup("tape", "Tape devices and their drives", app)
        return (group, *guide_groups(self._settled))

    @hookimpl
    def tapekit_register_operations(self) -> Sequence[OfferedOperation]:
        """Offer the list of devices."""
        return (DEVICES.performed_by(self._devices),)

    @hookimpl
    def tapekit_on_assembled(self, kernel: Kernel) -> None:
        """Meet the drivers, and those who judge drives and name devices."""
        self._kernel = kernel
        self._inventory.settle(
            kernel.tape_drivers,
            kernel.changer_drivers,
            qualifier=_provided(kernel, "tapekit_provide_drive_qualifier"),
            naming=_provided(kernel, "tapekit_provide_device_names"),
        )

    @hookimpl
    def tapekit_run(self) -> AbstractAsyncContextManager[None]:
        """Number drives and changers before anybody can ask for one."""
        return self._numbered()

    @asynccontextmanager
    async def _numbered(self) -> AsyncIterator[None]:
        await trio.to_thread.run_sync(self._inventory.discover)
        yield

    async def _devices(self, _request: NoRequest) -> Devices:
        node = self._settled().node_name
        return await trio.to_thread.run_sync(self._inventory.devices, node)

    def _settled(self) -> Kernel:
        assert self._kernel is not None
        return self._kernel

    @classmethod
    def init_part(cls, _site: InitSite) -> InitPart:
        """Take part in a new site; there is nothing to set."""
        return InitPart()


def _provided(kernel: Kernel, hook: str) -> Any:
    """The one answer to a hook.

    :raises TapekitError: there are two.
    """
    answers = kernel.call_hook(hook)
    if len(answers) > 1:
        plugins = " and ".join(plugin for plugin, _ in answers)
        raise CATALOGUE.error("two-providers", hook=hook, plugins=plugins)
    return answers[0][1] if answers else None
