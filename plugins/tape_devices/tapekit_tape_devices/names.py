"""Names of tape devices, such as ``nrst0a``: rewind type, drive, compression.

Names are read strictly, because ``st0`` and ``st00`` are different names: a
number has one spelling only. Nothing here knows whether a drive exists.
"""

from __future__ import annotations

import re
from itertools import product
from typing import Final, NamedTuple

from tapekit.hookspecs.tape_driver import DeviceRow

__all__ = ["COMPRESSIONS", "DeviceName", "device_rows", "parse_name"]

COMPRESSIONS: Final = "lmha"
"""Low, medium, high and highest compression, in the order of listings."""

_REWIND_TYPES: Final = ("r", "nr", "ur")

_NAME: Final = re.compile(rf"(r|nr|ur)st(0|[1-9][0-9]{{0,8}})([{COMPRESSIONS}])", re.ASCII)


class DeviceName(NamedTuple):
    """A name taken apart."""

    rewind_type: str
    """``r`` rewinds when closed, ``nr`` does not, ``ur`` unloads."""
    drive: int
    compression: str

    def __str__(self) -> str:
        return f"{self.rewind_type}st{self.drive}{self.compression}"

    @property
    def row(self) -> DeviceRow:
        """The device as listings show it."""
        return DeviceRow(
            name=str(self),
            rewinds=self.rewind_type == "r",
            unloads=self.rewind_type == "ur",
            compression=self.compression,
        )


def parse_name(name: str) -> DeviceName | None:
    """Take a name apart; ``None`` if it is not one."""
    match = _NAME.fullmatch(name)
    return DeviceName(match[1], int(match[2]), match[3]) if match else None


def device_rows(drive: int) -> tuple[DeviceRow, ...]:
    """All twelve devices of a drive, in the order of listings."""
    return tuple(
        DeviceName(rewind_type, drive, compression).row
        for compression, rewind_type in product(COMPRESSIONS, _REWIND_TYPES)
    )
