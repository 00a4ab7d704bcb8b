"""Settings of the backup log."""

from __future__ import annotations

from typing import Annotated

import msgspec

__all__ = ["EventlogSettings"]


class EventlogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table ``[eventlog]`` of a stack file."""

    directory: str = "log"
    """Folder of the files backup and backup.0 to backup.5. A relative path
    starts at the stack file."""
    timezone: str = "UTC"
    """The time zone of the lines and of the week, which begins on Sunday."""
    http_port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    """Port of 127.0.0.1 at which a browser reads the log, as a user of the
    stack; unset, there is none."""
