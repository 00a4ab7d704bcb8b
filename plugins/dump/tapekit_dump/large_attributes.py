"""Extended attributes that no classic set has room for, each in one of its own.

Long ACLs and NT streams have up to 64 KiB, classic sets 4. The stream carries
them behind headers of another kind, which other readers pass over. The one
rule: a set is used only if its length and its checksum are right.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

__all__ = ["LARGE_MAGIC", "VALUE_LIMIT", "decode_large", "encode_large"]

LARGE_MAGIC: Final = int.from_bytes(b"tkxa", "little")
"""Begins a set with one attribute."""

VALUE_LIMIT: Final = 1 << 16
"""Bytes of a value, as Linux limits them."""

_VERSION: Final = 1
_HEAD: Final = struct.Struct("<IHHII")
"""Magic, version, length of the name, length of the value, CRC-32 of both."""


def encode_large(name: bytes, value: bytes) -> bytes:
    """The set of one attribute.

    :param name: with its prefix, such as ``user.a``.
    """
    checksum = zlib.crc32(value, zlib.crc32(name))
    return _HEAD.pack(LARGE_MAGIC, _VERSION, len(name), len(value), checksum) + name + value


def decode_large(data: bytes) -> tuple[bytes, bytes] | str:
    """Name and value of a set that begins with the magic, or what is wrong."""
    if len(data) < _HEAD.size:
        return f"a set of {len(data)} bytes is cut"
    _, version, name_length, value_length, checksum = _HEAD.unpack_from(data)
    if version != _VERSION:
        return f"a set has version {version}"
    if _HEAD.size + name_length + value_length > len(data) or value_length > VALUE_LIMIT:
        return f"a set of {len(data)} bytes says that it has more"
    end = _HEAD.size + name_length
    name, value = data[_HEAD.size : end], data[end : end + value_length]
    if zlib.crc32(value, zlib.crc32(name)) != checksum:
        return f"the checksum of a set with {value_length} bytes is wrong"
    return name, value
