"""The errors of Snapshot copies by btrfs.

All rows stand in ``errors.toml`` beside this module; what the operating
system refuses is raised by the method as one of them, with the path and its
reason. Nothing is raised without a row.
"""

from __future__ import annotations

from typing import Final

from tapekit.errors import Catalogue

__all__ = ["CATALOGUE"]

CATALOGUE: Final = Catalogue.of("snap_btrfs", "tapekit_snap_btrfs")
