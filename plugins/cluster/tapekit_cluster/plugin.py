"""The plugin ``cluster``: wiring."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, final

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.lifecycle import Manifest
from tapekit_cluster.administration import Administration
from tapekit_cluster.board import Board
from tapekit_cluster.commands import command_groups
from tapekit_cluster.movement_commands import movement_command_groups
from tapekit_cluster.movements import StorageMovements
from tapekit_cluster.placing import ClusterPlacement
from tapekit_cluster.settings import ClusterSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.commands import CommandGroup
    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.operations import OfferedOperation
    from tapekit.hookspecs.placement import Placement

__all__ = ["ClusterPlugin"]


@final
class ClusterPlugin:
    """NDMP modes, LIFs, what sessions on them see, and movements of storage."""

    manifest: ClassVar[Manifest] = Manifest(
        name="cluster",
        summary="NDMP modes of the node, logical interfaces, and movements of storage",
        settings=ClusterSettings,
    )

    def __init__(self, settings: ClusterSettings) -> None:
        self._board: Final = Board()
        self._movements: Final = StorageMovements(self._settled)
        self._placement: Final = ClusterPlacement(settings, self._board, self._movements.load)
        self._administration: Final = Administration(settings, self._board, self._settled)
        self._kernel: Kernel | None = None

    @hookimpl
    def tapekit_on_assembled(self, kernel: Kernel) -> None:
        """Meet the state store."""
        self._kernel = kernel
        self._placement.settle(kernel.state)

    @hookimpl
    def tapekit_provide_placement(self) -> Placement:
        """Offer what knows the LIFs."""
        return self._placement

    @hookimpl
    def tapekit_register_operations(self) -> Sequence[OfferedOperation]:
        """Offer to switch modes, protocols and LIFs, and to move storage."""
        return (*self._administration.offered(), *self._movements.offered())

    @hookimpl
    def tapekit_register_command_groups(self) -> Sequence[CommandGroup]:
        """Offer the guide's commands."""
        return (*command_groups(self._settled), *movement_command_groups(self._settled))

    def _settled(self) -> Kernel:
        assert self._kernel is not None
        return self._kernel
