"""Names of devices: tapes such as ``nrst0a`` (rewind type, logical name of the
drive, compression), and media changers such as ``mc0``.

Names are read strictly, because ``st0`` and ``st00`` are different logical
names: digits are text here. Nothing here knows whether a drive exists.
"""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit.hookspecs.tape_driver import DeviceRow

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "COMPRESSIONS",
    "DeviceName",
    "changer_name",
    "device_rows",
    "drive_name",
    "known",
    "number_in",
    "parse_name",
]

COMPRESSIONS: Final = "lmha"
"""Low, medium, high and highest compression, in the order of listings."""

_REWIND_TYPES: Final = ("r", "nr", "ur")

_NAME: Final = re.compile(f"(r|nr|ur)(st[0-9]{{1,9}})([{COMPRESSIONS}])", re.ASCII)

_NUMBERED: Final = re.compile("(?:st|mc)(0|[1-9][0-9]{0,8})", re.ASCII)


class DeviceName(NamedTuple):
    """A name taken apart."""

    rewind_type: str
    """``r`` rewinds when closed, ``nr`` does not, ``ur`` unloads."""
    drive: str
    """The drive's logical name, such as ``st0``."""
    compression: str

    def __str__(self) -> str:
        return f"{self.rewind_type}{self.drive}{self.compression}"

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
    return DeviceName(match[1], match[2], match[3]) if match else None


def device_rows(drive: str) -> tuple[DeviceRow, ...]:
    """All twelve devices of a drive's logical name, in the order of listings."""
    return tuple(
        DeviceName(rewind_type, drive, compression).row
        for compression, rewind_type in product(COMPRESSIONS, _REWIND_TYPES)
    )


def drive_name(number: int) -> str:
    """The logical name of a drive that goes by its number."""
    return f"st{number}"


def changer_name(number: int) -> str:
    """The name of a media changer that goes by its number."""
    return f"mc{number}"


def number_in(name: str) -> int | None:
    """The number that :func:`drive_name` or :func:`changer_name` has made a
    name of; ``None`` if neither has.
    """
    match = _NUMBERED.fullmatch(name)
    return int(match[1]) if match else None


def known(names: Sequence[str], kind: str) -> str:
    """The names that there are, for a message."""
    if not names:
        return f"no {kind} has a name"
    if len(names) == 1:
        return f"the {kind} is {names[0]}"
    if [number_in(name) for name in names] == list(range(len(names))):
        return f"the {kind}s are {names[0]} to {names[-1]}"
    return f"the {kind}s are {', '.join(names)}"
