"""The catalogue of this plugin's errors."""

from __future__ import annotations

from typing import Final

from tapekit.errors import Catalogue

__all__ = ["CATALOGUE"]

CATALOGUE: Final = Catalogue.of("snapmirror", "tapekit_snapmirror")
