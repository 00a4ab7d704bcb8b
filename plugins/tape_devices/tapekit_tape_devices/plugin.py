"""The plugin: wiring of the inventory into a stack."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Final, final

import trio

from tapekit.errors import TapekitError
from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.commands import CommandGroup
from tapekit.hookspecs.lifecycle import InitPart, InitSite, Kernel, Manifest
from tapekit.hookspecs.tape_driver import WatchfulDriver
from tapekit_tape_devices import hookspecs
from tapekit_tape_devices.bridges import bridge_lines
from tapekit_tape_devices.commands import command_app
from tapekit_tape_devices.drive_administration import DriveAdministration
from tapekit_tape_devices.drive_commands import drive_groups
from tapekit_tape_devices.errors import CATALOGUE
from tapekit_tape_devices.guide_commands import guide_groups
from tapekit_tape_devices.inventory import Inventory
from tapekit_tape_devices.library_administration import LibraryAdministration
from tapekit_tape_devices.library_commands import library_app
from tapekit_tape_devices.offline import OfflineDrives
from tapekit_tape_devices.operations import BRIDGES, DEVICES, Bridges, Devices
from tapekit_tape_devices.settings import TapeDevicesSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from tapekit.hookspecs.operations import NoRequest, OfferedOperation
    from tapekit.hookspecs.tape_driver import TapeInventory
    from tapekit_tape_devices.hookspecs import DeviceNames

__all__ = ["TapeDevicesPlugin"]

_LOG: Final = logging.getLogger("tapekit.tape_devices")


@final
class TapeDevicesPlugin:
    """The stack's tape devices, over whatever drivers it has."""

    manifest: ClassVar[Manifest] = Manifest(
        name="tape_devices",
        summary="Tape drives and media changers under names, each open to one holder",
        settings=TapeDevicesSettings,
    )

    hookspecs: ClassVar = hookspecs

    def __init__(self, settings: TapeDevicesSettings) -> None:
        self._settings: Final = settings
        self._inventory: Final = Inventory()
        self._kernel: Kernel | None = None
        self._naming: DeviceNames | None = None
        self._renewing: Final = trio.Lock()
        self._administration: Final = DriveAdministration(
            self._inventory, lambda: self._settled().node_name
        )

    @hookimpl
    def tapekit_provide_tape_inventory(self) -> TapeInventory:
        """Offer the inventory."""
        return self._inventory

    @hookimpl
    def tapekit_register_command_groups(self) -> Sequence[CommandGroup]:
        """Offer ``tapekit tape`` and the commands of the guide."""
        app = command_app(lambda: self._inventory)
        group = CommandGroup("tape", "Tape devices and their drives", app)
        robots = library_app(lambda: self._settled().management)
        library = CommandGroup("library", "Libraries, their cartridges and robots", robots)
        return (group, library, *guide_groups(self._settled), *drive_groups(self._settled))

    @hookimpl
    def tapekit_register_operations(self) -> Sequence[OfferedOperation]:
        """Offer the list of devices, and what can be asked of drives."""
        libraries = LibraryAdministration(self._inventory)
        devices = DEVICES.performed_by(self._devices)
        bridges = BRIDGES.performed_by(self._bridges)
        return (devices, bridges, *libraries.offered(), *self._administration.offered())

    @hookimpl
    def tapekit_on_assembled(self, kernel: Kernel) -> None:
        """Meet the drivers, and those who judge drives and name devices."""
        self._kernel = kernel
        self._naming = _provided(kernel, "tapekit_provide_device_names")
        self._inventory.settle(
            kernel.tape_drivers,
            kernel.changer_drivers,
            qualifier=_provided(kernel, "tapekit_provide_drive_qualifier"),
            naming=self._naming,
            reservations=_provided(kernel, "tapekit_provide_reservations"),
            joiner=_provided(kernel, "tapekit_provide_path_joiner"),
            offline=OfflineDrives(kernel.state),
            clock=kernel.clock,
        )
        self._administration.settle(
            kernel.base_directory / self._settings.trace_directory, kernel.clock
        )

    @hookimpl
    def tapekit_run(self) -> AbstractAsyncContextManager[None]:
        """Number drives and changers before anybody can ask for one."""
        return self._numbered()

    @asynccontextmanager
    async def _numbered(self) -> AsyncIterator[None]:
        kernel = self._settled()
        drivers = (*kernel.tape_drivers.values(), *kernel.changer_drivers.values())
        watchful = {id(one): one for one in drivers if isinstance(one, WatchfulDriver)}
        await trio.to_thread.run_sync(self._inventory.discover)
        async with trio.open_nursery() as nursery:
            for driver in watchful.values():
                nursery.start_soon(self._follow, driver)
            try:
                yield
            finally:
                self._administration.close()
                nursery.cancel_scope.cancel()

    async def _follow(self, driver: WatchfulDriver) -> None:
        """Look again whenever a driver says that it is worth to."""
        while True:
            await driver.wait_for_change()
            try:
                await self._renew()
            except TapekitError as error:
                _LOG.warning("new devices were not looked for: %s", error.advice)

    async def _renew(self) -> None:
        async with self._renewing:
            if self._naming is None:
                await trio.to_thread.run_sync(self._inventory.renew)
            else:
                await self._naming.remember(self._inventory.renew)

    async def _devices(self, _request: NoRequest) -> Devices:
        node = self._settled().node_name
        return await trio.to_thread.run_sync(self._inventory.devices, node)

    async def _bridges(self, _request: NoRequest) -> Bridges:
        kernel = self._settled()
        drivers = (*kernel.tape_drivers.values(), *kernel.changer_drivers.values())
        found = await trio.to_thread.run_sync(bridge_lines, drivers)
        return Bridges(node=kernel.node_name, bridges=tuple(found))

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
