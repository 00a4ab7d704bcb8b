"""The errors of the TLS transport; all rows stand in ``errors.toml``."""

from __future__ import annotations

from typing import Final

from tapekit.errors import Catalogue

__all__ = ["CATALOGUE"]

CATALOGUE: Final = Catalogue.of("transport_tls", "tapekit_transport_tls")
