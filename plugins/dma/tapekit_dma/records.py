"""What the catalogue knows, as plain values.

A backup is kept together with its parts, the places on cartridges where it
lies. The one rule: a backup that is not ``GOOD`` is never restored from and
never built on.
"""

from __future__ import annotations

import enum
from typing import final

import msgspec

__all__ = ["Backup", "Cartridge", "Entry", "Part", "State"]


class State(enum.StrEnum):
    """What became of a backup."""

    RUNNING = "running"
    GOOD = "good"
    FAILED = "failed"


@final
class Cartridge(msgspec.Struct, frozen=True, kw_only=True):
    """A cartridge of a media set."""

    barcode: str
    media_set: str
    label: str | None = None
    """Identifier of the label on tape; ``None`` if there has been none."""
    next_label: str | None = None
    """Identifier of a label that is being written."""
    next_file: int = 1
    """The tape file that the next backup begins with; 0 is the label."""
    is_full: bool = False
    has_rest: bool = False
    """Whether a failed backup that has been forgotten since, or a catalogue tape file that
    was broken off, may have left something there."""
    complaint: str = ""
    """Why it is not written to until somebody has looked at it."""


@final
class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What of a backup lies in one tape file."""

    barcode: str
    label: str
    file: int
    offset: int
    """The first byte of the image that is here."""
    length: int = 0
    """Bytes; 0 in a backup that has not ended well."""


@final
class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """A backup, whatever became of it."""

    number: int = 0
    media_set: str
    server: str
    path: str
    butype: str
    level: int
    base: int | None = None
    """Number of the backup that this one builds on."""
    state: State = State.RUNNING
    started_at: float
    ended_at: float = 0.0
    bytes: int = 0
    record_size: int
    environment: tuple[tuple[str, str], ...] = ()
    """What the data server gave back; a restore hands it in again."""
    reason: str = ""
    """Why it failed."""

    @property
    def name(self) -> str:
        """How messages speak of it."""
        return f"backup {self.number} ({self.path}, level {self.level})"


@final
class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A backup with the places where it lies, in their order."""

    backup: Backup
    parts: tuple[Part, ...]

    @property
    def place(self) -> tuple[str, int] | None:
        """The label and the tape file where it begins, which no two backups
        share; ``None`` if it lies nowhere.
        """
        return (self.parts[0].label, self.parts[0].file) if self.parts else None
