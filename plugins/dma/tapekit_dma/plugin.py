"""The plugin ``dma``: wiring of the commands of backups and restores."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, final

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.commands import CommandGroup
from tapekit.hookspecs.lifecycle import Kernel, Manifest
from tapekit_dma.catalog_commands import catalog_app
from tapekit_dma.media_commands import media_app
from tapekit_dma.run_commands import backup_app, restore_app
from tapekit_dma.settings import DmaSettings, require_names
from tapekit_dma.site import Site

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DmaPlugin"]


@final
class DmaPlugin:
    """A small data management application."""

    manifest: ClassVar[Manifest] = Manifest(
        name="dma",
        summary="Backups to tape libraries and restores: tapekit backup, restore, catalog, media",
        requires=("ndmp_v4",),
        settings=DmaSettings,
    )

    def __init__(self, settings: DmaSettings) -> None:
        self._site: Final = Site(settings)

    @hookimpl
    def tapekit_register_command_groups(self) -> Sequence[CommandGroup]:
        """Offer ``tapekit backup``, ``restore``, ``catalog`` and ``media``."""
        return (
            CommandGroup("backup", "Backups to a media set", backup_app(self._site)),
            CommandGroup("restore", "Restores from a media set", restore_app(self._site)),
            CommandGroup("catalog", "What was backed up, and where it is", catalog_app(self._site)),
            CommandGroup("media", "Cartridges of media sets", media_app(self._site)),
        )

    @hookimpl
    def tapekit_on_assembled(self, kernel: Kernel) -> None:
        """Find the catalogue beside the stack file, and check all names."""
        require_names(self._site.settings)
        self._site.settle(kernel)
