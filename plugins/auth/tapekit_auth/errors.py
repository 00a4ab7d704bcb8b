"""The errors of logins and users.

All rows stand in ``errors.toml`` beside this module; nothing is raised
without one. No fact of any row is a secret.
"""

from __future__ import annotations

from typing import Final

from tapekit.errors import Catalogue

__all__ = ["CATALOGUE"]

CATALOGUE: Final = Catalogue.of("auth", "tapekit_auth")
