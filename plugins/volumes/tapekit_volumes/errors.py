"""The errors of volumes.

All rows stand in ``errors.toml`` beside this module; nothing is raised
without one. What the operating system refuses is raised as the row that
tells an administrator what it means for a volume.
"""

from __future__ import annotations

from typing import Final

from tapekit.errors import Catalogue

__all__ = ["CATALOGUE"]

CATALOGUE: Final = Catalogue.of("volumes", "tapekit_volumes")
