"""The memory in a virtual cartridge, as READ ATTRIBUTE tells it (SPC).

The one rule: what tells one cartridge from another, barcode and serial
number, never changes while the cartridge exists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekit.scsi.attributes import (
    BARCODE,
    MAXIMUM_CAPACITY,
    MEDIUM_MANUFACTURER,
    MEDIUM_SERIAL,
    MEDIUM_TYPE,
    REMAINING_CAPACITY,
    binary,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.scsi.attributes import Attribute
    from tapekit_vtape.drive import VtapeDrive

__all__ = ["cartridge_attributes"]

_MANUFACTURER: Final = "TAPEKIT"
_DATA, _WRITTEN_ONCE = 0x00, 0x80


def cartridge_attributes(drive: VtapeDrive) -> Sequence[Attribute]:
    """What the cartridge in a drive tells; nothing without one that the drive
    reads. What remains is behind the end of the data, wherever the head is.

    :raises TapeError: the cartridge is in use or cannot be read.
    """
    extents, medium = drive.extents(), drive.medium()
    if medium is None or extents is None:
        return ()
    return (
        binary(REMAINING_CAPACITY, max(0, extents.end - extents.data) >> 20, 8),
        binary(MAXIMUM_CAPACITY, medium.capacity >> 20, 8),
        text(MEDIUM_MANUFACTURER, _MANUFACTURER),
        text(MEDIUM_SERIAL, medium.barcode),
        binary(MEDIUM_TYPE, _WRITTEN_ONCE if medium.is_worm else _DATA, 1),
        text(BARCODE, medium.barcode),
    )
