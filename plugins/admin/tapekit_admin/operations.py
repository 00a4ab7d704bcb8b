"""The operations of the plugin itself: what runs here."""

from __future__ import annotations

from typing import Final

import msgspec

from tapekit.hookspecs.operations import NoRequest, Operation

__all__ = ["STATUS", "StackStatus"]


class StackStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What a running stack says of itself."""

    node: str
    directory: str
    """The folder of the stack file."""
    version: str
    process: int
    started_s: float
    """Seconds since 1970."""
    is_draining: bool
    """Whether it stops, and only lets running jobs end."""


STATUS: Final = Operation(
    name="admin.status",
    summary="Tell what runs here, and since when",
    request=NoRequest,
    reply=StackStatus,
)
