"""INQUIRY: who a device is, in short and on its vital product data pages.

The one rule: texts are ASCII of fixed width, padded with spaces when written
and stripped when read, and what is not ASCII is shown and never believed.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit.scsi.malformed import Malformed, at_least, number

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "INQUIRY_BYTES",
    "Designator",
    "DeviceType",
    "Inquiry",
    "VitalPage",
    "decode_designators",
    "decode_inquiry",
    "decode_page_list",
    "decode_serial",
    "encode_designators",
    "encode_inquiry",
    "encode_page_list",
    "encode_serial",
    "text_of",
]

INQUIRY_BYTES: Final = 36
"""Bytes that every device answers at least."""

_SPC_3: Final = 5
_RESPONSE_FORMAT: Final = 2


class DeviceType(enum.IntEnum):
    """What a device is (SPC, peripheral device type)."""

    TAPE = 0x01
    PROCESSOR = 0x03
    CHANGER = 0x08
    CONTROLLER = 0x0C
    ENCLOSURE = 0x0D

    @property
    def is_bridge(self) -> bool:
        """Whether it is what bridges and routers are on the targets of the
        drives and changers behind them.
        """
        return self in (DeviceType.PROCESSOR, DeviceType.CONTROLLER, DeviceType.ENCLOSURE)


class VitalPage(enum.IntEnum):
    """Vital product data pages that are read or written here."""

    LIST = 0x00
    SERIAL = 0x80
    IDENTIFICATION = 0x83


class Inquiry(NamedTuple):
    """The standard answer; texts without padding."""

    type: int
    """A :class:`DeviceType`, or another device's number."""
    vendor: str
    """At most 8 characters."""
    product: str
    """At most 16 characters."""
    revision: str
    """At most 4 characters."""


class Designator(NamedTuple):
    """One identifier of a device (SPC, designation descriptor)."""

    code_set: int
    """1 for binary, 2 for ASCII, 3 for UTF-8."""
    type: int
    """1 for vendor, product and serial number, 3 for NAA."""
    identifier: bytes


def encode_inquiry(inquiry: Inquiry) -> bytes:
    """The answer to INQUIRY without a page; the medium is removable."""
    return bytes(
        (inquiry.type, 0x80, _SPC_3, _RESPONSE_FORMAT, INQUIRY_BYTES - 5, 0, 0, 0)
    ) + b"".join(
        (_padded(inquiry.vendor, 8), _padded(inquiry.product, 16), _padded(inquiry.revision, 4))
    )


def decode_inquiry(data: bytes) -> Inquiry:
    """Read the answer to INQUIRY without a page.

    :raises Malformed: it is too short, or no device is there (SPC,
        peripheral qualifier).
    """
    at_least(data, INQUIRY_BYTES, "INQUIRY data")
    if data[0] >> 5:
        raise Malformed(f"no device is there (peripheral qualifier {data[0] >> 5})")
    return Inquiry(data[0] & 0x1F, text_of(data[8:16]), text_of(data[16:32]), text_of(data[32:36]))


def encode_page_list(kind: int, pages: Iterable[int]) -> bytes:
    """The page that lists the others."""
    return _page(kind, VitalPage.LIST, bytes(sorted(pages)))


def decode_page_list(data: bytes) -> frozenset[int]:
    """The pages that a device has.

    :raises Malformed: it is another page, or too short.
    """
    return frozenset(_body(data, VitalPage.LIST))


def encode_serial(kind: int, serial: str) -> bytes:
    """The page with the serial number."""
    return _page(kind, VitalPage.SERIAL, serial.encode("ascii", "replace"))


def decode_serial(data: bytes) -> str:
    """The serial number.

    :raises Malformed: it is another page, or too short.
    """
    return text_of(_body(data, VitalPage.SERIAL))


def encode_designators(kind: int, designators: Iterable[Designator]) -> bytes:
    """The page with the identifiers of a device."""
    parts = (
        bytes((one.code_set, one.type, 0, len(one.identifier))) + one.identifier
        for one in designators
    )
    return _page(kind, VitalPage.IDENTIFICATION, b"".join(parts))


def decode_designators(data: bytes) -> list[Designator]:
    """The identifiers of a device; one that is cut off is left out.

    :raises Malformed: it is another page, or too short.
    """
    rest = _body(data, VitalPage.IDENTIFICATION)
    found = []
    while len(rest) >= 4 and len(rest) >= 4 + rest[3]:
        found.append(Designator(rest[0] & 0x0F, rest[1] & 0x0F, rest[4 : 4 + rest[3]]))
        rest = rest[4 + rest[3] :]
    return found


def text_of(data: bytes) -> str:
    """A text without its padding of spaces and zeros."""
    return data.decode("ascii", "replace").strip(" \0")


def _page(kind: int, page: int, body: bytes) -> bytes:
    return bytes((kind, page)) + len(body).to_bytes(2, "big") + body


def _body(data: bytes, page: VitalPage) -> bytes:
    """What follows the head of a page, as far as it was transferred."""
    at_least(data, 4, f"vital product data page {page:02X}h")
    if data[1] != page:
        raise Malformed(f"vital product data page {data[1]:02X}h came for {page:02X}h")
    return data[4 : 4 + number(data, 2, 2)]


def _padded(text: str, width: int) -> bytes:
    return text.encode("ascii", "replace")[:width].ljust(width)
