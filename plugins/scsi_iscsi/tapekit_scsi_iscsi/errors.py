"""The error catalogue of drives and changers on iSCSI targets."""

from __future__ import annotations

from typing import Final

from tapekit.errors import Catalogue

__all__ = ["CATALOGUE"]

CATALOGUE: Final = Catalogue.of("scsi_iscsi", "tapekit_scsi_iscsi")
"""The rows of ``errors.toml``."""
