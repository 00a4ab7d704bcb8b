"""The error catalogue of drives and changers of this host."""

from __future__ import annotations

from typing import Final

from tapekit.errors import Catalogue

__all__ = ["CATALOGUE"]

CATALOGUE: Final = Catalogue.of("scsi_sg", "tapekit_scsi_sg")
"""The rows of ``errors.toml``."""
