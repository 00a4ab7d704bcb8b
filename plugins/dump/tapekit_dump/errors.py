"""The errors of the dump engine.

All rows stand in ``errors.toml`` beside this module, in a part for backups
and one for restores. Nothing here is raised without a row.
"""

from __future__ import annotations

from typing import Final

from tapekit.errors import Catalogue

__all__ = ["CATALOGUE"]

CATALOGUE: Final = Catalogue.of("dump", "tapekit_dump")
