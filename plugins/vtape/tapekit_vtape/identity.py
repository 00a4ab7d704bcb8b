"""Who virtual devices say they are, over the contract and over SCSI alike.

The one rule: a serial number names one device among all libraries.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit.scsi.door import ScsiAddress
from tapekit.scsi.inquiry import Designator, DeviceType, Inquiry
from tapekit_vtape.models import VIRTUAL
from tapekit_vtape.settings import MOST_DRIVES

if TYPE_CHECKING:
    from tapekit_vtape.models import DriveModel

__all__ = ["Identity", "changer_identity", "drive_identity"]

_VENDOR: Final = "TAPEKIT"
_REVISION: Final = "1"
_NAA_LOCAL: Final = 0x3
"""NAA designators that nobody has registered (SPC, locally assigned)."""


class Identity(NamedTuple):
    """A device's place, name and serial number."""

    address: ScsiAddress
    physical_path: str
    """As messages and listings show it."""
    inquiry: Inquiry
    serial: str

    @property
    def designators(self) -> tuple[Designator, ...]:
        """What tells the device apart from all others."""
        text = f"{self.inquiry.vendor:<8}{self.inquiry.product:<16}{self.serial}"
        digest = bytearray(hashlib.sha256(text.encode("ascii")).digest()[:8])
        digest[0] = _NAA_LOCAL << 4 | digest[0] & 0x0F
        return (Designator(1, 3, bytes(digest)), Designator(2, 1, text.encode("ascii")))


def drive_identity(
    library_serial: str, number: int, model: DriveModel = VIRTUAL, bus: int = 0
) -> Identity:
    """Drive ``number`` of the library with a serial number.

    :param bus: which library of the stack it is, from 0.
    """
    return Identity(
        ScsiAddress(bus, number, 0),
        _path(bus, number),
        Inquiry(DeviceType.TAPE, model.vendor, model.product, _REVISION),
        f"{library_serial}D{number:02}",
    )


def changer_identity(library_serial: str, bus: int = 0) -> Identity:
    """The changer of the library with a serial number; see :func:`drive_identity`."""
    # Behind all drives that there can ever be, so that it never moves.
    return Identity(
        ScsiAddress(bus, MOST_DRIVES, 0),
        _path(bus, MOST_DRIVES),
        Inquiry(DeviceType.CHANGER, _VENDOR, "VIRTUAL-LIBRARY", _REVISION),
        f"{library_serial}L00",
    )


def _path(bus: int, number: int) -> str:
    # Of the first library without the bus, as where there is only one.
    return f"v{bus or ''}.{number}"
