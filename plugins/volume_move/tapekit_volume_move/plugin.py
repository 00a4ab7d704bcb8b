"""The plugin ``volume_move``: wiring."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, final

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.commands import CommandGroup
from tapekit.hookspecs.lifecycle import Manifest, NoSettings
from tapekit_volume_move.commands import command_app
from tapekit_volume_move.moves import VolumeMoves

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.operations import OfferedOperation

__all__ = ["VolumeMovePlugin"]


@final
class VolumeMovePlugin:
    """Moves volumes to other aggregates."""

    manifest: ClassVar[Manifest] = Manifest(
        name="volume_move",
        summary="Moves volumes between aggregates while backups run",
        requires=("smtape", "snapmirror", "state_sqlite", "volumes"),
    )

    def __init__(self, settings: NoSettings) -> None:
        """There is nothing to set."""
        del settings
        self._moves: Final = VolumeMoves()
        self._kernel: Kernel | None = None

    @hookimpl
    def tapekit_on_assembled(self, kernel: Kernel) -> None:
        """Meet the volumes.

        :raises TapekitError: there are none that can be moved.
        """
        self._kernel = kernel
        self._moves.settle(kernel)

    @hookimpl
    def tapekit_register_operations(self) -> Sequence[OfferedOperation]:
        """Offer what ``tapekit volume move`` asks for."""
        return self._moves.operations()

    @hookimpl
    def tapekit_register_command_groups(self) -> Sequence[CommandGroup]:
        """Offer ``tapekit volume move``."""
        app = command_app(self._settled)
        return (CommandGroup("volume move", "Moves of volumes between aggregates", app),)

    @hookimpl
    def tapekit_run(self, kernel: Kernel) -> AbstractAsyncContextManager[None]:
        """Let moves run."""
        del kernel
        return self._moves.running()

    def _settled(self) -> Kernel:
        assert self._kernel is not None
        return self._kernel
