"""The plugin ``multipath``: wiring."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, final

import trio

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.lifecycle import Manifest
from tapekit_multipath.commands import command_groups
from tapekit_multipath.joiner import PathsOfDevices
from tapekit_multipath.operations import SHOW, Paths
from tapekit_multipath.settings import MultipathSettings
from tapekit_multipath.survey import survey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.commands import CommandGroup
    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.operations import NoRequest, OfferedOperation
    from tapekit_tape_devices.hookspecs import PathJoiner

__all__ = ["MultipathPlugin"]


@final
class MultipathPlugin:
    """Makes one device of its two paths."""

    manifest: ClassVar[Manifest] = Manifest(
        name="multipath",
        summary="Two paths to tape drives and media changers, and views of them",
        requires=("tape_devices",),
        settings=MultipathSettings,
    )

    def __init__(self, settings: MultipathSettings) -> None:
        self._settings: Final = settings
        self._paths: Final = PathsOfDevices(is_balanced=settings.load_balancing)
        self._kernel: Kernel | None = None

    @hookimpl
    def tapekit_on_assembled(self, kernel: Kernel) -> None:
        """Learn who names devices."""
        self._kernel = kernel

    @hookimpl
    def tapekit_provide_path_joiner(self) -> PathJoiner:
        """Join the devices of ``tape_devices``."""
        return self._paths

    @hookimpl
    def tapekit_register_operations(self) -> Sequence[OfferedOperation]:
        """Offer the list of paths."""
        return (SHOW.performed_by(self._show),)

    @hookimpl
    def tapekit_register_command_groups(self) -> Sequence[CommandGroup]:
        """Offer the commands of the guide."""
        return command_groups(self._settled)

    async def _show(self, _request: NoRequest) -> Paths:
        kernel = self._settled()
        rows, groups = await trio.to_thread.run_sync(survey, self._paths, kernel.tape_inventory)
        return Paths(
            node=kernel.node_name,
            is_balanced=self._settings.load_balancing,
            paths=rows,
            groups=groups,
        )

    def _settled(self) -> Kernel:
        assert self._kernel is not None
        return self._kernel
