"""Which logical units a target has.

The one rule: what is kept of a LUN is what goes on the wire, since people
write two of its forms alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekit.scsi.cdb import TAPE_COMMANDS
from tapekit.scsi.malformed import at_least, number
from tapekit.scsi_devices.conversation import Conversation

if TYPE_CHECKING:
    from tapekit.scsi.door import CdbDoor

__all__ = ["logical_unit", "report_luns"]

_HEAD_BYTES: Final = 8
_LUN_BYTES: Final = 8
_MOST_LUNS: Final = 1024
_PERIPHERAL, _FLAT = 0, 1
"""Addressing methods of a LUN (SAM)."""


def report_luns(door: CdbDoor, device: str) -> list[int]:
    """The logical units of a target, each as the first two bytes of its LUN.

    Those of a hierarchy, which need all eight bytes, are left out.

    :raises TapeError: the target does not answer, or cannot be understood.
    """
    talk = Conversation(door, device, TAPE_COMMANDS)
    room = _HEAD_BYTES + _MOST_LUNS * _LUN_BYTES
    data = talk.run("REPORT LUNS", room=room, allocation=room)
    return talk.decoded("REPORT LUNS", lambda: _luns(data))


def _luns(data: bytes) -> list[int]:
    at_least(data, _HEAD_BYTES, "the list of logical units")
    rows = data[_HEAD_BYTES : _HEAD_BYTES + number(data, 0, 4)]
    return [
        number(rows, start, 2)
        for start in range(0, len(rows) - _LUN_BYTES + 1, _LUN_BYTES)
        if rows[start] >> 6 in (_PERIPHERAL, _FLAT) and not any(rows[start + 2 : start + 8])
    ]


def logical_unit(lun: int) -> int:
    """The number of a logical unit, as people write it."""
    return lun & 0x3FFF if lun >> 14 == _FLAT else lun & 0xFF
