"""What an administrator may set for tape devices."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["TapeDevicesSettings"]


class TapeDevicesSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table ``[tape_devices]`` of a stack file."""

    trace_directory: Annotated[str, Meta(min_length=1)] = "logs"
    """Folder of the traces of drives (storage tape trace), relative to the stack
    file's folder; it is made if need be."""
