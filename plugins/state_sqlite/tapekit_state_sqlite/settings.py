"""The settings of the state store."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["StateSqliteSettings"]


class StateSqliteSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the state is kept."""

    path: Annotated[str, Meta(min_length=1)] = "state/tapekit.sqlite"
    """The state file, relative to the stack file's folder. It is made if it
    does not exist, and must be on a local file system."""
    busy_timeout_s: Annotated[float, Meta(ge=0, le=600)] = 10.0
    """Seconds to wait while another program holds the file."""
