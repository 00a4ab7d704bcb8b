"""Elements of a library, and READ ELEMENT STATUS that tells them.

What a changer answers is walked by the sizes that it states itself, as far as
bytes came: libraries announce more than they send, and send more than they
announce. The one rule: an element is told only when all of its fixed part
has come.
"""

from __future__ import annotations

import enum
from itertools import groupby
from typing import TYPE_CHECKING, Final

import msgspec

from tapekit.scsi.inquiry import text_of
from tapekit.scsi.malformed import at_least, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Element", "ElementType", "decode_elements", "encode_elements"]


class ElementType(enum.IntEnum):
    """What an element is (SMC, element type codes)."""

    TRANSPORT = 1
    """The arm."""
    STORAGE = 2
    """A slot."""
    IMPORT_EXPORT = 3
    """A mail slot behind a door."""
    DRIVE = 4
    """A tape drive (SMC, data transfer element)."""


class Element(msgspec.Struct, frozen=True, kw_only=True):
    """One place of a library (SMC, READ ELEMENT STATUS)."""

    address: int
    """Element address, 0 to 65535; arbitrary, never assumed to start anywhere."""
    type: ElementType
    is_full: bool
    volume_tag: str | None = None
    """The barcode, without padding; ``None`` if empty or unreadable."""
    source: int | None = None
    """The storage element from which the cartridge came, if the robot knows."""
    is_accessible: bool = True
    """Whether the robot can reach what is there."""
    was_imported: bool = False
    """An operator put it there, not the robot."""
    exception: tuple[int, int] | None = None
    """Additional sense code and qualifier of what is wrong with the element."""
    drive_serial: str | None = None
    """For a drive: its serial number, as the changer tells it."""


_HEADER_BYTES: Final = 8
_FIXED_BYTES: Final = 12
_TAG_BYTES: Final = 36
_TAG_TEXT_BYTES: Final = 32
_PRIMARY_TAG, _ALTERNATE_TAG = 0x80, 0x40
_FULL, _IMPORTED, _EXCEPTION, _ACCESS = 0x01, 0x02, 0x04, 0x08
_SOURCE_VALID: Final = 0x80
_ASCII: Final = 2
_TYPES: Final = frozenset(ElementType)


def encode_elements(
    elements: Iterable[Element], *, with_tags: bool, with_identifiers: bool
) -> bytes:
    """The answer of a changer: elements of a type stand together.

    :param with_tags: whether barcodes were asked for (VOLTAG).
    :param with_identifiers: whether drives' serial numbers were asked for
        (DVCID).
    """
    told = list(elements)
    pages = b"".join(
        _page(kind, list(group), with_tags=with_tags, with_identifiers=with_identifiers)
        for kind, group in groupby(told, lambda element: element.type)
    )
    first = min((element.address for element in told), default=0)
    return (
        first.to_bytes(2, "big") + len(told).to_bytes(2, "big") + len(pages).to_bytes(4, "big")
    ) + pages


def _page(
    kind: ElementType, elements: list[Element], *, with_tags: bool, with_identifiers: bool
) -> bytes:
    identifiers = [
        (element.drive_serial or "").encode("ascii", "replace") if with_identifiers else b""
        for element in elements
    ]
    # All descriptors of a page have one size.
    room = max(map(len, identifiers))
    descriptors = [
        _descriptor(element, with_tags=with_tags)
        + (bytes((_ASCII, 0, 0, len(serial))) + serial.ljust(room, b"\0") if room else bytes(4))
        for element, serial in zip(elements, identifiers, strict=True)
    ]
    size = len(descriptors[0])
    head = bytes((kind, _PRIMARY_TAG * with_tags)) + size.to_bytes(2, "big")
    return head + (size * len(descriptors)).to_bytes(4, "big") + b"".join(descriptors)


def _descriptor(element: Element, *, with_tags: bool) -> bytes:
    flags = (
        _FULL * element.is_full
        | _IMPORTED * element.was_imported
        | _EXCEPTION * (element.exception is not None)
        | _ACCESS * element.is_accessible
    )
    if element.type is ElementType.IMPORT_EXPORT:
        flags |= 0x30  # the robot both imports and exports there
    data = bytearray(_FIXED_BYTES)
    data[0:2] = element.address.to_bytes(2, "big")
    data[2] = flags
    data[4:6] = bytes(element.exception or (0, 0))
    if element.source is not None:
        data[9] |= _SOURCE_VALID
        data[10:12] = element.source.to_bytes(2, "big")
    if with_tags:
        tag = (element.volume_tag or "").encode("ascii", "replace")[:_TAG_TEXT_BYTES]
        data += tag.ljust(_TAG_TEXT_BYTES if tag else 0).ljust(_TAG_BYTES, b"\0")
    return bytes(data)


def decode_elements(data: bytes) -> list[Element]:
    """Read the answer of a changer, as much of it as came.

    :raises Malformed: not even its header came.
    """
    at_least(data, _HEADER_BYTES, "element status data")
    rest = data[_HEADER_BYTES:]
    found: list[Element] = []
    while len(rest) >= _HEADER_BYTES:
        kind, flags, size, length = rest[0], rest[1], number(rest, 2, 2), number(rest, 5, 3)
        page = rest[_HEADER_BYTES : _HEADER_BYTES + length]
        rest = rest[_HEADER_BYTES + length :]
        if kind in _TYPES and size >= _FIXED_BYTES:
            found.extend(_elements(ElementType(kind), flags, size, page))
    return found


def _elements(kind: ElementType, flags: int, size: int, page: bytes) -> Iterator[Element]:
    for start in range(0, len(page), size):
        descriptor = page[start : start + size]
        if len(descriptor) >= _FIXED_BYTES:
            yield _element(kind, flags, descriptor)


def _element(kind: ElementType, flags: int, data: bytes) -> Element:
    state = data[2]
    tag, rest = "", data[_FIXED_BYTES:]
    if flags & _PRIMARY_TAG:
        tag, rest = text_of(rest[:_TAG_TEXT_BYTES]), rest[_TAG_BYTES:]
    if flags & _ALTERNATE_TAG:
        rest = rest[_TAG_BYTES:]
    return Element(
        address=number(data, 0, 2),
        type=kind,
        is_full=bool(state & _FULL),
        volume_tag=tag if tag and state & _FULL else None,
        source=number(data, 10, 2) if data[9] & _SOURCE_VALID else None,
        is_accessible=bool(state & _ACCESS),
        was_imported=kind is ElementType.IMPORT_EXPORT and bool(state & _IMPORTED),
        exception=(data[4], data[5]) if state & _EXCEPTION else None,
        drive_serial=_identifier(rest) if kind is ElementType.DRIVE else None,
    )


def _identifier(data: bytes) -> str | None:
    """A device identifier in text; of vendor, product and serial number the
    last word.
    """
    if len(data) < 4 or not data[3] or data[0] & 0x0F != _ASCII:
        return None
    if len(data) < 4 + data[3]:
        # Part of a serial number may be another drive's.
        return None
    words = text_of(data[4 : 4 + data[3]]).split()
    return words[-1] if words else None
