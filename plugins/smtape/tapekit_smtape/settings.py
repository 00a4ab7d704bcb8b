"""Settings of the SMTape engine, as the stack file has them under ``[smtape]``."""

from __future__ import annotations

import msgspec

__all__ = ["SmtapeSettings"]


class SmtapeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How images are made."""

    spool_directory: str | None = None
    """Folder for temporary files, which have no name and hold what a backup
    of several Snapshot copies knows of them, about 100 bytes for each object;
    the system's own if not set. A relative path starts at the stack file."""
