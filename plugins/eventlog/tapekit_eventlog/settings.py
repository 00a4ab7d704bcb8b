"""Settings of the backup log."""

from __future__ import annotations

import msgspec

__all__ = ["EventlogSettings"]


class EventlogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table ``[eventlog]`` of a stack file."""

    directory: str = "log"
    """Folder of the files backup and backup.0 to backup.5. A relative path
    starts at the stack file."""
    timezone: str = "UTC"
    """The time zone of the lines and of the week, which begins on Sunday."""
