"""The errors of the native loops: rows in ``errors.toml``."""

from __future__ import annotations

from typing import Final

from tapekit.errors import Catalogue

__all__ = ["CATALOGUE"]

CATALOGUE: Final = Catalogue.of("dump_native", "tapekit_dump_native")
