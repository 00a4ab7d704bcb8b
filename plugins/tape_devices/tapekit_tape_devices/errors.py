"""The error catalogue of tape devices."""

from __future__ import annotations

from typing import Final

from tapekit.errors import Catalogue

__all__ = ["CATALOGUE"]

CATALOGUE: Final = Catalogue.of("tape_devices", "tapekit_tape_devices")
