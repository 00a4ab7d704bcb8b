"""The image header: which volume an image is of, and which copies are in it
(docs/formats/smtape.md).

It is a JSON text, so that anybody can read it from the first bytes of a
tape. The one rule: a header that lacks anything is no header.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from tapekit_smtape.errors import CATALOGUE

__all__ = ["MOST_COPIES", "CopyRow", "ImageHeader", "decode_header", "encode_header"]

MOST_COPIES: Final = 255

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
_Time = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class CopyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A Snapshot copy in an image."""

    name: _Name
    identifier: _Name
    created_at_s: _Time


class ImageHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What an image is of."""

    volume: str
    """``/vserver/volume`` that it was made of."""
    base: _Name | None
    """Identifier of the copy that it builds on; none for a baseline."""
    copies: Annotated[tuple[CopyRow, ...], msgspec.Meta(min_length=1, max_length=MOST_COPIES)]
    """Oldest first."""
    root: Annotated[int, msgspec.Meta(ge=1)]
    """Inode number of the volume's top directory."""
    security_style: str = "unix"
    snaplock: str = "none"
    vm_align_sectors: int = 0


def encode_header(header: ImageHeader) -> bytes:
    """The payload of an image header's chunk."""
    return msgspec.json.encode(header)


def decode_header(payload: bytes | memoryview) -> ImageHeader:
    """Read an image header.

    :raises TapekitError: it is none.
    """
    try:
        header = msgspec.json.decode(payload, type=ImageHeader)
    except msgspec.DecodeError as error:
        raise CATALOGUE.error("image-header-missing-or-corrupted") from error
    identifiers = {copy.identifier for copy in header.copies} | {header.base}
    if len(identifiers) != len(header.copies) + 1 or header.root >= 2**64:
        raise CATALOGUE.error("image-header-missing-or-corrupted")
    return header
