"""The settings of extension class 0x2050."""

from __future__ import annotations

from typing import Annotated

import msgspec

__all__ = ["SnapextSettings"]


class SnapextSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table ``[snapext]`` of a stack file."""

    entries_at_once: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 1000
    """How many entries a reply of SNAP_DIR_LIST has at most."""
