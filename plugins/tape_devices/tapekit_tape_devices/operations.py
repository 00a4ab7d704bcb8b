"""What an administrator can ask of tape devices in a running stack."""

from __future__ import annotations

from typing import Final

import msgspec

from tapekit.hookspecs.operations import NoRequest, Operation

__all__ = ["DEVICES", "DeviceLine", "Devices"]


class DeviceLine(msgspec.Struct, frozen=True, kw_only=True):
    """A tape drive or a media changer."""

    physical_path: str
    description: str
    """The names for people of its vendor and product, or else those that it
    gives itself."""
    aliases: tuple[str, ...]
    """Its logical names, such as ``st0``."""
    device_names: tuple[str, ...]
    """What a backup application opens."""
    serial: str
    revision: str
    holder: str | None
    """Who has it open."""
    is_online: bool = True
    """Whether it may be opened: an administrator can take a drive offline."""


class Devices(msgspec.Struct, frozen=True, kw_only=True):
    """The tape devices of a node."""

    node: str
    drives: tuple[DeviceLine, ...]
    changers: tuple[DeviceLine, ...]


DEVICES: Final = Operation(
    name="tape_devices.devices",
    summary="List the tape drives and media changers, and who has them",
    request=NoRequest,
    reply=Devices,
)
