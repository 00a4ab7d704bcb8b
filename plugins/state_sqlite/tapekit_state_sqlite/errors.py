"""The errors of the state store.

All rows stand in ``errors.toml`` beside this module. SQLite's own codes are
sorted into them here, and nowhere else.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from tapekit.errors import Catalogue

if TYPE_CHECKING:
    from pathlib import Path

    from tapekit.errors import TapekitError

__all__ = ["CATALOGUE", "explained"]

CATALOGUE: Final = Catalogue.of("state_sqlite", "tapekit_state_sqlite")

_PRIMARY: Final = 0xFF
"""SQLite's extended result codes keep the primary one in the lowest byte."""


def explained(path: Path, doing: str, error: sqlite3.Error) -> TapekitError:
    """The row for what SQLite says; ``doing`` is ``opening`` or the like."""
    match getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY:
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return CATALOGUE.error("damaged", path=path, reason=error)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return CATALOGUE.error("busy", path=path, doing=doing)
        case _:
            return CATALOGUE.error("failed", path=path, doing=doing, reason=error)
