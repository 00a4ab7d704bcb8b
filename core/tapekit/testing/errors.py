"""The error rows of the test aids.

The aids raise rows as drivers do, so that code under test meets the same
classes and facts. The one rule: a row stands in ``errors.toml`` or it
cannot be raised.
"""

from __future__ import annotations

from typing import Final

from tapekit.errors import Catalogue

__all__ = ["CATALOGUE"]

CATALOGUE: Final = Catalogue.of("testing", "tapekit.testing")
