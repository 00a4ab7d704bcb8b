"""The errors of volume moves; all rows stand in ``errors.toml`` beside this module."""

from __future__ import annotations

from typing import Final

from tapekit.errors import Catalogue

__all__ = ["CATALOGUE"]

CATALOGUE: Final = Catalogue.of("volume_move", "tapekit_volume_move")
