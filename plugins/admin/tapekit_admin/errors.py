"""The errors of the management socket."""

from __future__ import annotations

from typing import Final, final

from tapekit.errors import Catalogue, TapekitError

__all__ = ["CATALOGUE", "NotRunning"]

CATALOGUE: Final = Catalogue.of("admin", "tapekit_admin")


@final
class NotRunning(TapekitError):
    """No server of the stack runs."""
