"""The error catalogue of the data management application."""

from __future__ import annotations

from typing import Final, final

from tapekit.errors import Catalogue, TapekitError

__all__ = ["CATALOGUE", "OldCatalogueError"]

CATALOGUE: Final = Catalogue.of("dma", "tapekit_dma")


@final
class OldCatalogueError(TapekitError):
    """The tape tells of backups that the catalogue should know: no cartridge
    may be written to by such a catalogue.
    """
