"""Mode parameters: a header, a block descriptor, and pages of settings.

Both lengths of the header, for MODE SENSE and MODE SELECT. The one rule: a
length that the bytes announce never reaches beyond the bytes that are there.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tapekit.scsi.malformed import Malformed, at_least, number

__all__ = [
    "ALL_PAGES",
    "COMPRESSION_PAGE",
    "CONFIGURATION_PAGE",
    "ELEMENT_ADDRESS_PAGE",
    "BlockDescriptor",
    "ElementAddresses",
    "ElementRange",
    "ModeData",
    "ModePage",
    "decode_element_addresses",
    "decode_mode",
    "encode_element_addresses",
    "encode_mode",
]

COMPRESSION_PAGE: Final = 0x0F
CONFIGURATION_PAGE: Final = 0x10
ELEMENT_ADDRESS_PAGE: Final = 0x1D
ALL_PAGES: Final = 0x3F
"""Asks for every page."""

_PROTECTED: Final = 0x80
_DESCRIPTOR_BYTES: Final = 8
_SUBPAGE_FORMAT: Final = 0x40


class BlockDescriptor(NamedTuple):
    """How blocks are written."""

    density: int
    """Density code; 0 and 7Fh leave it as it is."""
    block_length: int
    """Bytes of a fixed block, or 0 for blocks of any length."""


class ModePage(NamedTuple):
    """One page without its two bytes of head."""

    code: int
    body: bytes


class ModeData(NamedTuple):
    """What MODE SENSE answers and MODE SELECT brings."""

    medium_type: int = 0
    is_protected: bool = False
    buffered_mode: int = 0
    """0 answers a write when it is on the medium, 1 when it is in the buffer."""
    descriptor: BlockDescriptor | None = None
    pages: tuple[ModePage, ...] = ()


class ElementRange(NamedTuple):
    """Neighbouring elements of one type."""

    first: int
    number: int


class ElementAddresses(NamedTuple):
    """Where the elements of a changer are (SMC, element address assignment)."""

    transport: ElementRange
    storage: ElementRange
    import_export: ElementRange
    drives: ElementRange


def encode_mode(data: ModeData, *, is_long: bool) -> bytes:
    """Mode parameters with a header of 8 bytes (``is_long``) or of 4.

    :raises ValueError: the pages do not fit under the short header.
    """
    descriptor = b""
    if data.descriptor is not None:
        density, length = data.descriptor
        descriptor = bytes((density, 0, 0, 0, 0)) + length.to_bytes(3, "big")
    pages = b"".join(bytes((page.code, len(page.body))) + page.body for page in data.pages)
    specific = _PROTECTED * data.is_protected | data.buffered_mode << 4
    body = descriptor + pages
    if is_long:
        head = (len(body) + 6).to_bytes(2, "big") + bytes((data.medium_type, specific, 0, 0))
        return head + len(descriptor).to_bytes(2, "big") + body
    if len(body) + 3 > 0xFF:
        raise ValueError(f"{len(body)} bytes of mode parameters need the long header")
    return bytes((len(body) + 3, data.medium_type, specific, len(descriptor))) + body


def decode_mode(data: bytes, *, is_long: bool) -> ModeData:
    """Read mode parameters; a page that is cut off is left out.

    :raises Malformed: too short, or a block descriptor of another size.
    """
    start = 8 if is_long else 4
    at_least(data, start, "a mode parameter header")
    announced = number(data, 0, 2) + 2 if is_long else data[0] + 1
    descriptor_bytes = number(data, 6, 2) if is_long else data[3]
    medium_type, specific = data[2:4] if is_long else data[1:3]
    # A list for MODE SELECT announces nothing: its length is in the command.
    is_announced = announced > (2 if is_long else 1)
    body = data[start:announced] if is_announced else data[start:]
    if descriptor_bytes not in (0, _DESCRIPTOR_BYTES) or descriptor_bytes > len(body):
        raise Malformed(f"a block descriptor of {descriptor_bytes} bytes")
    return ModeData(
        medium_type=medium_type,
        is_protected=bool(specific & _PROTECTED),
        buffered_mode=specific >> 4 & 0x07,
        descriptor=BlockDescriptor(body[0], number(body, 5, 3)) if descriptor_bytes else None,
        pages=tuple(_pages(body[descriptor_bytes:])),
    )


def _pages(rest: bytes) -> list[ModePage]:
    found = []
    while len(rest) >= 2:
        has_subpage = rest[0] & _SUBPAGE_FORMAT
        start = 4 if has_subpage else 2
        length = number(rest, 2, 2) if has_subpage else rest[1]
        if len(rest) < start + length:
            break
        if not has_subpage:
            found.append(ModePage(rest[0] & 0x3F, rest[start : start + length]))
        rest = rest[start + length :]
    return found


def encode_element_addresses(addresses: ElementAddresses) -> ModePage:
    """Page 1Dh of a changer."""
    pairs = b"".join(
        one.first.to_bytes(2, "big") + one.number.to_bytes(2, "big") for one in addresses
    )
    return ModePage(ELEMENT_ADDRESS_PAGE, pairs + bytes(2))


def decode_element_addresses(page: ModePage) -> ElementAddresses:
    """Read page 1Dh of a changer.

    :raises Malformed: it is another page, or too short.
    """
    if page.code != ELEMENT_ADDRESS_PAGE:
        raise Malformed(f"mode page {page.code:02X}h came for {ELEMENT_ADDRESS_PAGE:02X}h")
    at_least(page.body, 16, "the element address assignment page")
    return ElementAddresses(
        *(
            ElementRange(number(page.body, at, 2), number(page.body, at + 2, 2))
            for at in range(0, 16, 4)
        )
    )
