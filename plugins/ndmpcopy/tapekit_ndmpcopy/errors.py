"""The error catalogue of ndmpcopy."""

from __future__ import annotations

from typing import Final

from tapekit.errors import Catalogue

__all__ = ["CATALOGUE"]

CATALOGUE: Final = Catalogue.of("ndmpcopy", "tapekit_ndmpcopy")
