"""Who is behind a logical unit, and which logical units a target has.

The one rule: a device is known by its serial number; where it is attached
may be another device's place tomorrow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.cdb import TAPE_COMMANDS
from tapekit.scsi.inquiry import (
    VitalPage,
    decode_designators,
    decode_inquiry,
    decode_page_list,
    decode_serial,
)
from tapekit.scsi.malformed import Malformed, at_least, number
from tapekit.scsi_devices.conversation import Conversation

if TYPE_CHECKING:
    from tapekit.scsi.door import CdbDoor
    from tapekit.scsi.inquiry import Designator, Inquiry

__all__ = ["Identity", "identify", "logical_unit", "report_luns"]

_ANSWER_BYTES: Final = 0xFF
_HEAD_BYTES: Final = 8
_LUN_BYTES: Final = 8
_MOST_LUNS: Final = 1024
_PERIPHERAL, _FLAT = 0, 1
"""Addressing methods of a LUN (SAM)."""

_BINARY: Final = 1
_NAA: Final = 3


class Identity(NamedTuple):
    """A device's name and number."""

    inquiry: Inquiry
    serial: str
    """Its serial number, or its worldwide name if it has none; may be empty."""


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


def identify(door: CdbDoor, device: str) -> Identity | None:
    """Who is behind a door; ``None`` if nobody is.

    :raises TapeError: the device does not answer, or cannot be understood.
    """
    talk = Conversation(door, device, TAPE_COMMANDS)
    try:
        data = talk.run("INQUIRY", room=_ANSWER_BYTES, allocation=_ANSWER_BYTES)
    except TapeError as error:
        if error.condition is not Condition.NO_DEVICE:
            raise
        return None
    try:
        inquiry = decode_inquiry(data)
    except Malformed:
        return None
    pages = _page(talk, VitalPage.LIST)
    known = talk.decoded("INQUIRY", lambda: decode_page_list(pages)) if pages else frozenset()
    return Identity(inquiry, _serial(talk, known))


def _serial(talk: Conversation, known: frozenset[int]) -> str:
    if VitalPage.SERIAL in known:
        page = _page(talk, VitalPage.SERIAL)
        serial = talk.decoded("INQUIRY", lambda: decode_serial(page))
        if serial:
            return serial
    if VitalPage.IDENTIFICATION in known:
        page = _page(talk, VitalPage.IDENTIFICATION)
        return _worldwide(talk.decoded("INQUIRY", lambda: decode_designators(page)))
    return ""


def _worldwide(designators: list[Designator]) -> str:
    names = (
        one.identifier.hex() for one in designators if one.type == _NAA and one.code_set == _BINARY
    )
    return next(names, "")


def _page(talk: Conversation, page: VitalPage) -> bytes:
    """A page of vital product data; empty if the device has none."""
    try:
        return talk.run("INQUIRY", room=_ANSWER_BYTES, vital=1, page=page, allocation=_ANSWER_BYTES)
    except TapeError as error:
        if error.condition is not Condition.BAD_REQUEST:
            raise
        return b""
