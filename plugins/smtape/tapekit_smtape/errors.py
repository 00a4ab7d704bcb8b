"""The errors of the SMTape engine.

All rows stand in ``errors.toml`` beside this module; texts that
administrators of tape backups know are quoted as they know them. Nothing
here is raised without a row.
"""

from __future__ import annotations

from typing import Final

from tapekit.errors import Catalogue

__all__ = ["CATALOGUE"]

CATALOGUE: Final = Catalogue.of("smtape", "tapekit_smtape")
