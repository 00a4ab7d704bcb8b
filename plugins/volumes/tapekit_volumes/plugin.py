"""Volumes as a plugin: manifest, settings and hooks.

Everything else stands in the modules beside this one, which know nothing of
plugins. Volumes can be judged only once all Snapshot methods are known, so
the storage that is offered first is settled when the stack is assembled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, final

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.commands import CommandGroup
from tapekit.hookspecs.lifecycle import InitPart, Manifest
from tapekit_volumes.aggregates import aggregates_of
from tapekit_volumes.commands import volume_app
from tapekit_volumes.moves import VolumeMoves, finishing_moves
from tapekit_volumes.settings import VolumesSettings
from tapekit_volumes.site import first_volume
from tapekit_volumes.snapshots import SnapshotKeeper
from tapekit_volumes.states import VolumeStates
from tapekit_volumes.storage import VolumeStorage
from tapekit_volumes.withheld import WithheldFiles

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager

    from tapekit.hookspecs.lifecycle import InitSite, Kernel
    from tapekit.hookspecs.storage import Storage

__all__ = ["VolumesPlugin"]


@final
class VolumesPlugin:
    """Volumes on local directories."""

    manifest: ClassVar[Manifest] = Manifest(
        name="volumes",
        summary="Storage virtual machines and volumes on local directories",
        settings=VolumesSettings,
    )

    def __init__(self, settings: VolumesSettings) -> None:
        self._settings: Final = settings
        self._storage: Final = VolumeStorage()

    @classmethod
    def init_part(cls, site: InitSite) -> InitPart:
        """Make the first volume of a new site."""
        return first_volume(site)

    @hookimpl
    def tapekit_provide_storage(self) -> Storage:
        """Offer the volumes."""
        return self._storage

    @hookimpl
    def tapekit_register_command_groups(self) -> Sequence[CommandGroup]:
        """Offer ``tapekit volume``."""
        app = volume_app(self._storage)
        return (CommandGroup("volume", "Volumes and their Snapshot copies", app),)

    @hookimpl
    def tapekit_on_assembled(self, kernel: Kernel) -> None:
        """Judge the volumes of the settings, before anything runs."""
        keeper, states = SnapshotKeeper(kernel), VolumeStates(kernel)
        moves = VolumeMoves(kernel, keeper, states, lambda: self._storage.volumes, self._settings)
        moves.judge()
        self._storage.settle(
            moves.locate,
            keeper,
            WithheldFiles(kernel.state),
            states,
            aggregates_of(self._settings),
            moves,
        )

    @hookimpl
    def tapekit_run(self, kernel: Kernel) -> AbstractAsyncContextManager[None]:
        """Finish moves and remove what a crash has left, then be ready."""
        return finishing_moves(kernel, self._storage.moves)
