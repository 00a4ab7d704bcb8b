"""The errors of the backup log: rows in ``errors.toml``."""

from __future__ import annotations

from typing import Final

from tapekit.errors import Catalogue

__all__ = ["CATALOGUE"]

CATALOGUE: Final = Catalogue.of("eventlog", "tapekit_eventlog")
