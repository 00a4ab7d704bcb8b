"""The error catalogue of virtual tape."""

from __future__ import annotations

from typing import Final

from tapekit.errors import Catalogue

__all__ = ["CATALOGUE"]

CATALOGUE: Final = Catalogue.of("vtape", "tapekit_vtape")
