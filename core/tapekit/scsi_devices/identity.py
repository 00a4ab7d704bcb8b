"""Who is behind a door: a device's name and number.

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
    text_of,
)
from tapekit.scsi.malformed import Malformed
from tapekit.scsi_devices.conversation import Conversation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapekit.scsi.door import CdbDoor
    from tapekit.scsi.inquiry import Designator, Inquiry

__all__ = ["Identity", "Make", "identify", "make_of", "worldwide_name"]

_ANSWER_BYTES: Final = 0xFF
_BINARY: Final = 1
_OF_VENDOR, _NAA = 1, 3
"""Types of designators (SPC): with a vendor at the beginning, and worldwide."""

_VENDOR_BYTES: Final = 8


class Identity(NamedTuple):
    """A device's name and number."""

    inquiry: Inquiry
    serial: str
    """Its serial number, or its worldwide name if it has none; may be empty."""


class Make(NamedTuple):
    """Who made a device, and what it is of theirs."""

    vendors: frozenset[str]
    """Its vendor, and those whom its identifiers name."""
    product: str
    revision: str


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
        return worldwide_name(talk.decoded("INQUIRY", lambda: decode_designators(page)))
    return ""


def make_of(door: CdbDoor, device: str) -> Make:
    """Who made the device behind a door.

    :raises TapeError: it does not answer, or cannot be understood.
    """
    talk = Conversation(door, device, TAPE_COMMANDS)
    data = talk.run("INQUIRY", room=_ANSWER_BYTES, allocation=_ANSWER_BYTES)
    inquiry = talk.decoded("INQUIRY", lambda: decode_inquiry(data))
    vendors = frozenset({inquiry.vendor, *_vendors_named(talk)})
    return Make(vendors, inquiry.product, inquiry.revision)


def _vendors_named(talk: Conversation) -> Iterator[str]:
    """The vendors that the identifiers of a device begin with; none if these
    cannot be read, since nothing else depends on them.
    """
    try:
        if VitalPage.IDENTIFICATION not in decode_page_list(_page(talk, VitalPage.LIST)):
            return
        named = decode_designators(_page(talk, VitalPage.IDENTIFICATION))
    except Malformed:
        return
    for one in named:
        if one.type == _OF_VENDOR:
            yield text_of(one.identifier[:_VENDOR_BYTES])


def worldwide_name(designators: list[Designator]) -> str:
    """The name that the device has everywhere; empty if it tells none."""
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
