"""The error catalogue of tape reservations."""

from __future__ import annotations

from typing import Final

from tapekit.errors import Catalogue

__all__ = ["CATALOGUE"]

CATALOGUE: Final = Catalogue.of("reservations", "tapekit_reservations")
