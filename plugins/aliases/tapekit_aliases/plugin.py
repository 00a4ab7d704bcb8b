"""The plugin ``aliases``: wiring."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, ClassVar, Final, final

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.commands import CommandGroup
from tapekit.hookspecs.lifecycle import Manifest, NoSettings
from tapekit_aliases.administration import Administration
from tapekit_aliases.commands import command_app
from tapekit_aliases.naming import AliasNaming

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.operations import OfferedOperation
    from tapekit_tape_devices.hookspecs import DeviceNames

__all__ = ["AliasesPlugin"]


@final
class AliasesPlugin:
    """Names drives and changers by aliases that last."""

    manifest: ClassVar[Manifest] = Manifest(
        name="aliases",
        summary="Lasting names of tape drives and media changers",
        requires=("tape_devices",),
    )

    def __init__(self, _settings: NoSettings) -> None:
        self._naming: Final = AliasNaming()
        self._kernel: Kernel | None = None
        self._administration: Final = Administration(
            self._naming, lambda: self._settled().node_name
        )

    @hookimpl
    def tapekit_on_assembled(self, kernel: Kernel) -> None:
        """Meet the state store."""
        self._kernel = kernel
        self._naming.settle(kernel.state)

    @hookimpl
    def tapekit_provide_device_names(self) -> DeviceNames:
        """Name the devices of ``tape_devices``."""
        return self._naming

    @hookimpl
    def tapekit_register_operations(self) -> Sequence[OfferedOperation]:
        """Offer to show, set and clear aliases."""
        return self._administration.offered()

    @hookimpl
    def tapekit_register_command_groups(self) -> Sequence[CommandGroup]:
        """Offer ``tapekit storage tape alias``."""
        app = command_app(self._settled)
        summary = "Aliases of tape drives and media changers"
        return (CommandGroup("storage tape alias", summary, app),)

    @hookimpl
    def tapekit_run(self) -> AbstractAsyncContextManager[None]:
        """Write down the aliases of devices that are new."""
        return self._kept()

    @asynccontextmanager
    async def _kept(self) -> AsyncIterator[None]:
        # ``tape_devices`` has looked for devices before: it is required.
        await self._administration.keep_new()
        yield

    def _settled(self) -> Kernel:
        assert self._kernel is not None
        return self._kernel
