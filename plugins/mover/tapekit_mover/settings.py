"""What an administrator may set for the mover."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from tapekit.segments import BUFFER_BYTES

__all__ = ["MoverSettings"]

_SMALLEST_RECORD: Final = 512


class MoverSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of the plugin ``mover``."""

    record_bytes: Annotated[int, msgspec.Meta(ge=_SMALLEST_RECORD, le=BUFFER_BYTES)] = 10240
    """Record size in bytes until a backup application sets one."""

    largest_record_bytes: Annotated[int, msgspec.Meta(ge=_SMALLEST_RECORD, le=BUFFER_BYTES)] = (
        262144
    )
    """Largest record size in bytes that a backup application may set."""

    run_bytes: Annotated[int, msgspec.Meta(ge=BUFFER_BYTES, le=1 << 30)] = 8 << 20
    """How many bytes of whole records go to or come from a drive in one call."""

    least_tape_mib: Annotated[int, msgspec.Meta(ge=0, le=1 << 30)] = 0
    """Capacity in MiB that a tape must have if a backup is to go on to another
    one; a smaller tape ends the backup where it is full. 0 takes any."""

    def __post_init__(self) -> None:
        """Refuse a default that could not be set."""
        if self.record_bytes > self.largest_record_bytes:
            raise ValueError(
                f"record_bytes ({self.record_bytes}) must not be more than "
                f"largest_record_bytes ({self.largest_record_bytes})"
            )
