"""The index of a cartridge: a header, then a journal of fixed-size entries.

The payload file holds the bytes of all records end to end and nothing else;
where one record ends and the next begins, and where the filemarks are, is
told here by entries that are only ever appended. This module turns bytes
into entries and back and knows no file. The one rule: an entry that does
not carry its own place, the payload's length and a matching checksum is not
believed. ``docs/formats/vtape.md`` describes the same for other readers.
"""

from __future__ import annotations

import enum
import struct
import zlib
from typing import Final, NamedTuple

__all__ = [
    "ENTRY_BYTES",
    "FORMAT_VERSION",
    "FRAME_BYTES",
    "HEADER_BYTES",
    "LABEL_BYTES",
    "LONGEST_PACKED_RECORD",
    "MOST_OBJECTS",
    "Entry",
    "EntryKind",
    "Header",
    "HeaderError",
    "decode_entry",
    "decode_header",
    "encode_entry",
    "encode_header",
]

FRAME_BYTES: Final = 4 << 20
"""Records that one frame holds at most, in bytes, unless one alone is longer:
an entry of the index for each costs nothing, and reading one record
costs some milliseconds."""

LONGEST_PACKED_RECORD: Final = 64 << 20
"""Longest record that a frame may hold, so that nobody else's index makes a
reader take all memory."""

MOST_OBJECTS: Final = 1 << 48
"""Records and filemarks that a tape can have, far more than one ever has; a
position is at home in the fields of SCSI and NDMP."""

FORMAT_VERSION: Final = 2
"""The newest that can be read. Whatever version 1 can say is written so."""

_PLAIN_VERSION: Final = 1

_MAGIC: Final = b"TKVTAPE\n"
_WRITE_PROTECTED, _PACKED, _WORM = 1, 2, 4
LABEL_BYTES: Final = 32
"""Longest barcode, as in a SCSI volume tag."""

_HEADER: Final = struct.Struct(f">8sHHHHQQ{LABEL_BYTES}sB59xI")
_ENTRY: Final = struct.Struct(">IIQQII")
_CRC: Final = struct.Struct(">I")

HEADER_BYTES: Final = _HEADER.size
ENTRY_BYTES: Final = _ENTRY.size


class HeaderError(Exception):
    """The beginning of an index is not what this version can read."""


class Header(NamedTuple):
    """The attributes of a cartridge; sizes in bytes."""

    barcode: str
    capacity: int
    early_warning: int
    """Distance of the early-warning point from the capacity."""
    is_protected: bool = False
    is_packed: bool = False
    """Whether it has had records that were compressed."""
    is_worm: bool = False
    """Whether what has been written can never be overwritten."""
    density: int = 0
    """Density code of the generation that it belongs to, or 0 for all drives."""

    @property
    def version(self) -> int:
        """The format version of an index with this header."""
        is_plain = not (self.is_packed or self.is_worm or self.density)
        return _PLAIN_VERSION if is_plain else FORMAT_VERSION


class EntryKind(enum.IntEnum):
    """What an entry says."""

    RECORDS = 1
    """``objects`` records of ``length`` bytes each were appended."""
    FILEMARKS = 2
    """``objects`` filemarks were appended."""
    CUT = 3
    """Only the first ``objects`` objects (records and filemarks) remain."""
    PACKED = 4
    """``objects`` records of ``length`` bytes each were appended, compressed
    together into one frame."""


class Entry(NamedTuple):
    """One entry; ``end`` is the payload's length once it holds."""

    kind: EntryKind
    length: int
    objects: int
    end: int


def encode_header(header: Header) -> bytes:
    """The first :data:`HEADER_BYTES` bytes of an index."""
    packed = _HEADER.pack(
        _MAGIC,
        header.version,
        HEADER_BYTES,
        ENTRY_BYTES,
        _WRITE_PROTECTED * header.is_protected
        | _PACKED * header.is_packed
        | _WORM * header.is_worm,
        header.capacity,
        header.early_warning,
        header.barcode.encode("ascii"),
        header.density,
        0,
    )
    body = packed[: -_CRC.size]
    return body + _CRC.pack(zlib.crc32(body))


def decode_header(data: bytes) -> Header:
    """Read the attributes.

    :raises HeaderError: saying what is wrong, in a few words.
    """
    if len(data) < HEADER_BYTES:
        raise HeaderError(f"it has {len(data)} bytes, fewer than a header")
    magic, version, header_bytes, entry_bytes, flags, capacity, warning, label, density, crc = (
        _HEADER.unpack_from(data)
    )
    if magic != _MAGIC:
        raise HeaderError("it does not begin like an index")
    if not _PLAIN_VERSION <= version <= FORMAT_VERSION:
        raise HeaderError(
            f"it has format version {version}, and {FORMAT_VERSION} is the newest that can be read"
        )
    if zlib.crc32(data[: HEADER_BYTES - _CRC.size]) != crc:
        raise HeaderError("the checksum of its header does not match")
    if (header_bytes, entry_bytes) != (HEADER_BYTES, ENTRY_BYTES):
        raise HeaderError(f"its header claims sizes of {header_bytes} and {entry_bytes} bytes")
    return Header(
        barcode=label.rstrip(b"\0").decode("ascii", "replace"),
        capacity=capacity,
        early_warning=warning,
        is_protected=bool(flags & _WRITE_PROTECTED),
        is_packed=bool(flags & _PACKED),
        is_worm=bool(flags & _WORM),
        density=density if version > _PLAIN_VERSION else 0,
    )


def encode_entry(entry: Entry, sequence: int) -> bytes:
    """One entry, at place ``sequence`` of the journal (from 0)."""
    packed = _ENTRY.pack(
        entry.kind, entry.length, entry.objects, entry.end, sequence & 0xFFFF_FFFF, 0
    )
    body = packed[: -_CRC.size]
    return body + _CRC.pack(zlib.crc32(body))


def decode_entry(data: bytes | memoryview, sequence: int) -> Entry | None:
    """The entry in these bytes, or ``None`` if they are none."""
    if len(data) != ENTRY_BYTES:
        return None
    kind, length, objects, end, stored, crc = _ENTRY.unpack(data)
    if zlib.crc32(data[: -_CRC.size]) != crc or stored != sequence & 0xFFFF_FFFF:
        return None
    if kind not in _KINDS:
        return None
    return Entry(EntryKind(kind), length, objects, end)


_KINDS: Final = frozenset(EntryKind)
