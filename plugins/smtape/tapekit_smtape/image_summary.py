"""What an image says of itself at its beginning.

The one rule: only what has proved to be whole is told.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, final

import msgspec

from tapekit.segments import BUFFER_BYTES, Batch
from tapekit.streams import StreamReader
from tapekit_smtape.reader import ImageReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from tapekit_smtape.format_header import CopyRow

__all__ = ["CopySummary", "ImageSummary", "summarize", "summary_lines"]

_NANOSECONDS: Final = 1_000_000_000


class CopySummary(msgspec.Struct, frozen=True, kw_only=True):
    """A Snapshot copy in an image."""

    name: str
    identifier: str
    created_at_s: int


class ImageSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The header of an image."""

    volume: str
    kind: str
    """``baseline`` or ``incremental``."""
    backup_set_id: str
    created_at_s: int
    base: str | None
    """Identifier of the Snapshot copy that it builds on."""
    copies: tuple[CopySummary, ...]
    security_style: str
    snaplock: str


@final
class _FileSource:
    """Bytes of an open file as the end of a data connection."""

    def __init__(self, file: BinaryIO) -> None:
        self._file: Final = file

    def get(self) -> Batch | None:
        """The next bytes."""
        data = self._file.read(BUFFER_BYTES)
        return Batch.of([memoryview(data)]) if data else None


def summarize(file: BinaryIO) -> ImageSummary:
    """Read an image's header.

    :raises TapekitError: the file does not begin with an image.
    :raises OSError: it cannot be read.
    """
    reader = ImageReader(StreamReader(_FileSource(file)))
    header = reader.header()
    return ImageSummary(
        volume=header.volume,
        kind="baseline" if header.base is None else "incremental",
        backup_set_id=str(uuid.UUID(bytes=reader.set_id)),
        created_at_s=reader.stamp_ns // _NANOSECONDS,
        base=header.base,
        copies=tuple(_copy(row) for row in header.copies),
        security_style=header.security_style,
        snaplock=header.snaplock,
    )


def summary_lines(summary: ImageSummary) -> Iterator[str]:
    """The same for people; times are in UTC."""
    yield f"Volume:         {summary.volume}"
    yield f"Image:          {summary.kind}"
    yield f"Backup set ID:  {summary.backup_set_id}"
    yield f"Made:           {_time(summary.created_at_s)}"
    if summary.base is not None:
        yield f"Builds on:      Snapshot copy {summary.base}"
    yield f"Security style: {summary.security_style}"
    yield f"Snapshot copies, oldest first: {len(summary.copies)}"
    for copy in summary.copies:
        yield f"  {_time(copy.created_at_s)}  {copy.name}  ({copy.identifier})"


def _copy(row: CopyRow) -> CopySummary:
    return CopySummary(name=row.name, identifier=row.identifier, created_at_s=row.created_at_s)


def _time(time_s: int) -> str:
    try:
        return f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%d %H:%M:%S}"
    except (OverflowError, ValueError, OSError):
        return f"{time_s} s"
