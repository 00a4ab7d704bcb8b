"""Medium auxiliary memory: what a cartridge knows of itself (SPC, READ ATTRIBUTE).

Attributes are an identifier, a format and some bytes each. The one rule:
lengths are followed as far as there are bytes, and no further.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit.scsi.malformed import Malformed, at_least, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "ATTRIBUTE_LIST",
    "ATTRIBUTE_VALUES",
    "Attribute",
    "BARCODE",
    "MAXIMUM_CAPACITY",
    "MEDIUM_MANUFACTURER",
    "MEDIUM_SERIAL",
    "MEDIUM_TYPE",
    "REMAINING_CAPACITY",
    "binary",
    "decode_attributes",
    "encode_attribute_list",
    "encode_attributes",
    "text",
]

ATTRIBUTE_VALUES: Final = 0x00
"""Service action of READ ATTRIBUTE: with values."""
ATTRIBUTE_LIST: Final = 0x01
"""Service action of READ ATTRIBUTE: identifiers alone."""

REMAINING_CAPACITY: Final = 0x0000
"""Of the partition, in MiB."""
MAXIMUM_CAPACITY: Final = 0x0001
"""Of the partition, in MiB."""
MEDIUM_MANUFACTURER: Final = 0x0400
MEDIUM_SERIAL: Final = 0x0401
MEDIUM_TYPE: Final = 0x0408
"""0 for data, 80h for what is written once."""
BARCODE: Final = 0x0806

_BINARY, _ASCII = 0, 1
_READ_ONLY: Final = 0x80
_FIRST_OF_HOST: Final = 0x0800
_HEAD_BYTES: Final = 5
_LENGTH_BYTES: Final = 4

_WIDTHS: Final = {MEDIUM_MANUFACTURER: 8, MEDIUM_SERIAL: 32, BARCODE: 32}
"""Bytes of attributes that are text."""


class Attribute(NamedTuple):
    """One of them."""

    identifier: int
    format: int
    value: bytes


def binary(identifier: int, value: int, length: int) -> Attribute:
    """An attribute that is a number of so many bytes."""
    return Attribute(identifier, _BINARY, value.to_bytes(length, "big"))


def text(identifier: int, value: str) -> Attribute:
    """An attribute that is ASCII, as long as the standard makes it."""
    width = _WIDTHS[identifier]
    return Attribute(identifier, _ASCII, value.encode("ascii")[:width].ljust(width))


def encode_attributes(attributes: Iterable[Attribute], first: int = 0) -> bytes:
    """The answer of READ ATTRIBUTE with values.

    :param first: attributes with lower identifiers are left out.
    """
    rows = b"".join(
        identifier.to_bytes(2, "big")
        + bytes([form | (_READ_ONLY if identifier < _FIRST_OF_HOST else 0)])
        + len(value).to_bytes(2, "big")
        + value
        for identifier, form, value in sorted(attributes)
        if identifier >= first
    )
    return len(rows).to_bytes(_LENGTH_BYTES, "big") + rows


def encode_attribute_list(attributes: Iterable[Attribute]) -> bytes:
    """The answer of READ ATTRIBUTE with identifiers alone."""
    rows = b"".join(one.identifier.to_bytes(2, "big") for one in sorted(attributes))
    return len(rows).to_bytes(_LENGTH_BYTES, "big") + rows


def decode_attributes(data: bytes) -> Mapping[int, bytes]:
    """The values in an answer of READ ATTRIBUTE, by identifiers. What the
    allocation length has cut off is left out.

    :raises Malformed: the answer is too short to have a length, or has an
        attribute twice.
    """
    at_least(data, _LENGTH_BYTES, "READ ATTRIBUTE data")
    stop = min(len(data), _LENGTH_BYTES + number(data, 0, _LENGTH_BYTES))
    found: dict[int, bytes] = {}
    at = _LENGTH_BYTES
    while at + _HEAD_BYTES <= stop:
        length = number(data, at + 3, 2)
        if at + _HEAD_BYTES + length > stop:
            break
        identifier = number(data, at, 2)
        if identifier in found:
            raise Malformed(f"attribute {identifier:#06x} comes twice")
        found[identifier] = data[at + _HEAD_BYTES : at + _HEAD_BYTES + length]
        at += _HEAD_BYTES + length
    return found
