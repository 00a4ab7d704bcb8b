"""The SCSI devices of this host, as the kernel lists them in sysfs.

Nothing is opened and no command is sent: the kernel has asked each device
for its name and number when it found it. The one rule: a device that
vanishes while it is looked at is left out, and is no error.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.door import ScsiAddress
from tapekit.scsi.inquiry import (
    DeviceType,
    Inquiry,
    decode_designators,
    decode_serial,
)
from tapekit.scsi.malformed import Malformed
from tapekit.scsi_devices.identity import Identity, worldwide_name
from tapekit_scsi_sg.errors import CATALOGUE

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Attached", "Nexus", "attached_devices"]

_CLASS: Final = "class/scsi_generic"
_NEXUS: Final = re.compile(r"([0-9]+):([0-9]+):([0-9]+):([0-9]+)", re.ASCII)
_BRIDGES: Final = frozenset(kind for kind in DeviceType if kind.is_bridge)
_FLAT: Final = 1
"""The addressing method of a LUN above 255 (SAM)."""


class Nexus(NamedTuple):
    """Where the kernel has a device; in the order in which devices are listed."""

    host: int
    channel: int
    target: int
    lun: int
    """As people write it."""

    def __str__(self) -> str:
        return ":".join(map(str, self))

    @property
    def address(self) -> ScsiAddress:
        """The same, as drives and changers tell it."""
        return ScsiAddress(self.host, self.target, self.lun)


class Attached(NamedTuple):
    """A device that the kernel has found."""

    nexus: Nexus
    node: str
    """The name of its node, such as ``sg3``."""
    directory: Path
    """Its own folder in sysfs, with those of what it is attached to around it."""
    identity: Identity

    @property
    def kind(self) -> int:
        """A :class:`DeviceType`, or another number."""
        return self.identity.inquiry.type

    @property
    def address(self) -> str:
        """What it is opened by: which device, and where; another device in its
        place has another address.
        """
        serial = self.identity.serial
        return f"{serial}@{self.nexus}" if serial else str(self.nexus)

    @property
    def is_wanted(self) -> bool:
        """Whether it is a drive or a changer."""
        return self.kind in (DeviceType.TAPE, DeviceType.CHANGER)

    @property
    def is_bridge(self) -> bool:
        """Whether it may be a bridge or a router."""
        return self.kind in _BRIDGES


def attached_devices(sysfs: Path) -> list[Attached]:
    """All devices, of whatever type, in the order of their places.

    :raises TapeError: there is no list.
    """
    directory = sysfs / _CLASS
    try:
        entries = list(directory.iterdir())
    except FileNotFoundError:
        raise CATALOGUE.raised_as(
            TapeError,
            "no-generic-driver",
            condition=Condition.NO_DEVICE,
            directory=directory,
        ) from None
    except OSError as error:
        raise CATALOGUE.raised_as(
            TapeError,
            "unreadable",
            condition=Condition.NO_DEVICE,
            directory=directory,
            reason=error.strerror,
        ) from error
    found = (_attached(entry) for entry in entries)
    return sorted((one for one in found if one is not None), key=lambda one: one.nexus)


def _attached(entry: Path) -> Attached | None:
    try:
        directory = (entry / "device").resolve(strict=True)
        kind = int(_text(directory / "type"))
        inquiry = Inquiry(
            kind,
            _text(directory / "vendor"),
            _text(directory / "model"),
            _text(directory / "rev"),
        )
    except (OSError, ValueError):
        return None
    place = _NEXUS.fullmatch(directory.name)
    if place is None:
        return None
    host, channel, target, lun = map(int, place.groups())
    unit = lun & 0x3FFF if lun >> 14 == _FLAT else lun
    identity = Identity(inquiry, _serial(directory))
    return Attached(Nexus(host, channel, target, unit), entry.name, directory, identity)


def _serial(directory: Path) -> str:
    """The serial number, or the worldwide name; empty if neither is known."""
    try:
        serial = decode_serial((directory / "vpd_pg80").read_bytes())
        if serial:
            return serial
    except (OSError, Malformed):
        pass  # The device has no such page, or no page that can be read.
    try:
        return worldwide_name(decode_designators((directory / "vpd_pg83").read_bytes()))
    except (OSError, Malformed):
        return ""


def _text(file: Path) -> str:
    return file.read_text("ascii", "replace").strip(" \0\n")
