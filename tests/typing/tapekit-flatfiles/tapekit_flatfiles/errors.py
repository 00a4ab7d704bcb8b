"""The plugin's catalogue; its rows are in ``errors.toml``."""

from typing import Final

from tapekit.errors import Catalogue

__all__ = ["CATALOGUE"]

CATALOGUE: Final = Catalogue.of("flatfiles", "tapekit_flatfiles")
