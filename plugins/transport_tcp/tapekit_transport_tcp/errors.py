"""The errors of the TCP transport.

All rows stand in ``errors.toml`` beside this module; nothing is raised
without one. What merely breaks a data connection is no row but
:class:`tapekit.segments.ConnectionBroken`: the engine that meets it knows
what it was doing.
"""

from __future__ import annotations

from typing import Final

from tapekit.errors import Catalogue

__all__ = ["CATALOGUE"]

CATALOGUE: Final = Catalogue.of("transport_tcp", "tapekit_transport_tcp")
