"""What an alias is bound to: a serial number, or a physical path name.

A serial number goes with a device wherever it is plugged in; a physical path
name goes with the place, whatever device is there. Both name a logical unit,
which is written only if it is not 0. The one rule: what is read is written
back the same, but for a logical unit of 0.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from tapekit_aliases.errors import CATALOGUE

if TYPE_CHECKING:
    from tapekit_tape_devices.hookspecs import Device

__all__ = ["Address", "PhysicalPath", "SerialNumber", "addresses_of", "parse_address"]

_LONGEST_SERIAL: Final = 32
"""Characters of a serial number between the brackets."""

_LUN: Final = "(?:L(0|[1-9][0-9]{0,4}))?"

_SERIAL: Final = re.compile(rf"SN\[([^\[\]]*)\]{_LUN}", re.ASCII | re.IGNORECASE)

_CHARACTERS: Final = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)
"""Letters and digits, and what some makers put between them."""

_PATH: Final = re.compile(rf"((?:[A-Za-z0-9_-]+:)?[A-Za-z0-9_-]+\.[0-9]+){_LUN}", re.ASCII)


class SerialNumber(NamedTuple):
    """A device by its serial number, such as ``SN[123456]L4``."""

    serial: str
    lun: int = 0

    @property
    def key(self) -> str:
        """Equal for all spellings of one serial number: case does not count."""
        return str(self).casefold()

    def __str__(self) -> str:
        return f"SN[{self.serial}]{_suffix(self.lun)}"


class PhysicalPath(NamedTuple):
    """A place by its physical path name, such as ``8.6`` or ``MY_SWITCH:5.3L2``:
    adapter and device, or switch, port and device.
    """

    place: str
    """All but the logical unit."""
    lun: int = 0

    @property
    def key(self) -> str:
        """The name itself: its case counts, as that of switches does."""
        return str(self)

    def __str__(self) -> str:
        return f"{self.place}{_suffix(self.lun)}"


Address: TypeAlias = SerialNumber | PhysicalPath


def parse_address(text: str) -> Address:
    """Read a serial number or a physical path name.

    :raises TapekitError: it is neither.
    """
    serial = _SERIAL.fullmatch(text)
    if serial is None:
        path = _PATH.fullmatch(text)
        if path is None:
            raise CATALOGUE.error("bad-mapping", mapping=text)
        return PhysicalPath(path[1], int(path[2] or 0))
    if not _is_serial(serial[1]):
        raise CATALOGUE.error("bad-serial", mapping=text, limit=_LONGEST_SERIAL)
    return SerialNumber(serial[1], int(serial[2] or 0))


def addresses_of(device: Device) -> tuple[Address, ...]:
    """All that leads to a device: its serial number, if it has one that can
    be written, and its physical path name.
    """
    path = _PATH.fullmatch(device.physical_path)
    # A driver of another make may name its places in a way of its own.
    place = PhysicalPath(device.physical_path)
    if path is not None:
        place = PhysicalPath(path[1], int(path[2] or 0))
    serial = device.serial.strip()
    return (SerialNumber(serial, place.lun), place) if _is_serial(serial) else (place,)


def _is_serial(text: str) -> bool:
    return len(text) <= _LONGEST_SERIAL and _CHARACTERS.fullmatch(text) is not None


def _suffix(lun: int) -> str:
    return f"L{lun}" if lun else ""
