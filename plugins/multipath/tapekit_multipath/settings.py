"""What an administrator may set for paths."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["MultipathSettings"]


class MultipathSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table ``[multipath]`` of a stack file."""

    load_balancing: bool = False
    """Whether devices are spread over their paths. Otherwise every device is
    opened over the path that was found first, as long as that works."""
