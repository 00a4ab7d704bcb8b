"""Settings of the NDMP server."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

__all__ = ["NdmpV4Settings", "sessions_for_memory"]

_GIB: Final = 1 << 30

# NDMP sessions by the machine's memory: below the first figure the first
# count, and so on. A machine sold as 16 GB reports a little less.
_SESSIONS: Final = ((15 * _GIB, 8), (23 * _GIB, 20))
_MOST_SESSIONS: Final = 36


def sessions_for_memory(memory: int) -> int:
    """How many NDMP sessions a machine with so many bytes of memory serves."""
    for below, sessions in _SESSIONS:
        if memory < below:
            return sessions
    return _MOST_SESSIONS


class NdmpV4Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table ``[ndmp_v4]`` of a stack file."""

    vendor: str = "tapekit"
    """Vendor name that CONFIG_GET_SERVER_INFO gives."""
    product: str = "tapekit NDMP server"
    """Product name that CONFIG_GET_SERVER_INFO gives."""
    sessions: Annotated[int, Meta(ge=1, le=1000)] | None = None
    """Sessions at one time; without it 8, 20 or 36 by the machine's memory
    (below 16 GB, below 24 GB, more)."""
    queue_bytes: Annotated[int, Meta(ge=65536, le=1 << 30)] = 1 << 20
    """Bytes of notifications that may wait for a slow client before its
    engine waits for it."""
