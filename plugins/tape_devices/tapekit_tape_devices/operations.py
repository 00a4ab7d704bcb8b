"""What an administrator can ask of tape devices in a running stack."""

from __future__ import annotations

from typing import Final

import msgspec

from tapekit.hookspecs.operations import NoRequest, Operation

__all__ = ["BRIDGES", "DEVICES", "BridgeLine", "Bridges", "DeviceLine", "Devices"]


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


class BridgeLine(msgspec.Struct, frozen=True, kw_only=True):
    """A bridge or a router."""

    name: str
    """Its number in words, such as ``br0``."""
    physical_path: str
    description: str
    serial: str
    revision: str


class Bridges(msgspec.Struct, frozen=True, kw_only=True):
    """The bridges and routers of a node."""

    node: str
    bridges: tuple[BridgeLine, ...]


BRIDGES: Final = Operation(
    name="tape_devices.bridges",
    summary="List the bridges and routers before tape drives and media changers",
    request=NoRequest,
    reply=Bridges,
)
DEVICES: Final = Operation(
    name="tape_devices.devices",
    summary="List the tape drives and media changers, and who has them",
    request=NoRequest,
    reply=Devices,
)
