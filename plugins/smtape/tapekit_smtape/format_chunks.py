"""Chunks: what an image is cut into (docs/formats/smtape.md).

A chunk is a header of 64 bytes and up to a megabyte of payload, each with a
checksum. Packing and reading do no input or output. The one rule: nothing
in a chunk is believed before its checksums are right.
"""

from __future__ import annotations

import enum
import struct
from typing import Final, NamedTuple

from crc32c import crc32c

from tapekit_smtape.errors import CATALOGUE

__all__ = [
    "FORMAT",
    "HEADER_BYTES",
    "LONGEST_PAYLOAD",
    "MAGIC",
    "Chunk",
    "ChunkKind",
    "check_payload",
    "pack_chunk_header",
    "parse_chunk_header",
]

MAGIC: Final = b"TKSMTAPE"
FORMAT: Final = 1
_SUPPORTED: Final = frozenset({FORMAT})
"""The version that is written and, once there is one, the one before."""

_HEADER: Final = struct.Struct(">8sHHI16sQQI8x")
_SUM: Final = struct.Struct(">I")
HEADER_BYTES: Final = _HEADER.size + _SUM.size
LONGEST_PAYLOAD: Final = (1 << 20) - HEADER_BYTES
"""Bytes; a whole chunk fits into a buffer of a data connection."""


class ChunkKind(enum.IntEnum):
    """What a chunk holds."""

    IMAGE_HEADER = 1
    RECORDS = 2
    IMAGE_END = 3


class Chunk(NamedTuple):
    """The header of a chunk."""

    kind: ChunkKind
    length: int
    """Bytes of the payload."""
    set_id: bytes
    """16 bytes, of the backup set."""
    stamp_ns: int
    """When the backup began, in ns since 1970."""
    sequence: int
    """Counts the chunks of an image from 0."""
    checksum: int
    """CRC-32C of the payload."""


def pack_chunk_header(chunk: Chunk) -> bytes:
    """The bytes of a chunk's header."""
    kind, length, *rest = chunk
    packed = _HEADER.pack(MAGIC, FORMAT, kind, length, *rest)
    return packed + _SUM.pack(crc32c(packed))


def parse_chunk_header(data: bytes | memoryview) -> Chunk:
    """Read a chunk's header.

    :raises TapekitError: it is none, damaged, or of another format.
    """
    magic, version, kind, length, set_id, stamp_ns, sequence, checksum = _HEADER.unpack(
        data[: _HEADER.size]
    )
    if magic != MAGIC:
        raise CATALOGUE.error("invalid-image-magic-number")
    if crc32c(data[: _HEADER.size]) != _SUM.unpack(data[_HEADER.size : HEADER_BYTES])[0]:
        raise CATALOGUE.error("invalid-image-checksum")
    if version not in _SUPPORTED or kind not in set(ChunkKind) or length > LONGEST_PAYLOAD:
        raise CATALOGUE.error("chunk-format-not-supported", version=version)
    return Chunk(ChunkKind(kind), length, set_id, stamp_ns, sequence, checksum)


def check_payload(chunk: Chunk, payload: bytes | memoryview) -> None:
    """Compare a payload with its checksum.

    :raises TapekitError: it is damaged.
    """
    if crc32c(payload) != chunk.checksum:
        raise CATALOGUE.error("invalid-image-checksum")
