"""Extended attributes as the dump stream carries them, in both directions.

A set is a blob in the on-disk layout of ext2/3/4, always little-endian: a
table of entries at the front, values packed from the end. ACLs stand in it
in their short disk form and everywhere else in that of the system calls.
The one rule: no offset or length of a blob is used before it has been
checked, since a restore gets its blobs from a tape.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple, final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = [
    "ACLS",
    "BLOCK_MAGIC",
    "INODE_MAGIC",
    "SET_LIMIT",
    "decode_set",
    "encode_sets",
    "without_acls",
]

ACLS: Final = frozenset({"system.posix_acl_access", "system.posix_acl_default", "security.NTACL"})
"""Attributes that say who may do what."""

SET_LIMIT: Final = 4096
"""Largest blob in bytes; Debian's restore loses the file after a larger one."""

BLOCK_MAGIC: Final = 0xEA02_0000
"""Begins a set with a 32-byte header; offsets count from its start."""

INODE_MAGIC: Final = 0xEA02_0001
"""Begins a set from an inode's tail; offsets count from byte 4."""

_RECORD: Final = 1024
_BLOCK_HEADER: Final = struct.Struct("<IIII16x")
_INODE_HEADER_BYTES: Final = 4
_MAGIC: Final = struct.Struct("<I")
_ENTRY: Final = struct.Struct("<BBHIII")
"""name_len, name_index, value_offs, value_block, value_size, hash."""

_TERMINATOR_BYTES: Final = 4
_ROOM: Final = SET_LIMIT - _BLOCK_HEADER.size - _TERMINATOR_BYTES

_ACL_ACCESS: Final = "system.posix_acl_access"
_ACL_DEFAULT: Final = "system.posix_acl_default"
_ACL_NAMES: Final = frozenset({_ACL_ACCESS, _ACL_DEFAULT})

_PREFIXES: Final = {1: "user.", 4: "trusted.", 5: "lustre.", 6: "security."}
_WHOLE_NAMES: Final = {2: _ACL_ACCESS, 3: _ACL_DEFAULT}

_DISK_VERSION: Final = b"\1\0\0\0"
_CALL_VERSION: Final = b"\2\0\0\0"
_ACL_SHORT: Final = struct.Struct("<HH")
_ACL_LONG: Final = struct.Struct("<HHI")
_NAMED_TAGS: Final = frozenset({2, 8})
"""``ACL_USER`` and ``ACL_GROUP``: the tags that name somebody."""

_NO_ID: Final = 0xFFFF_FFFF


@final
class _Attribute(NamedTuple):
    """An attribute ready to be laid out."""

    prefix: int
    name: bytes
    value: bytes

    @property
    def length(self) -> int:
        return _padded(_ENTRY.size + len(self.name)) + _padded(len(self.value))


def encode_sets(
    attributes: Mapping[str, bytes], *, directory: bool
) -> tuple[list[bytes], list[str]]:
    """Lay attributes out as sets of at most :data:`SET_LIMIT` bytes.

    A directory gets one set, since Debian's restore keeps only the last;
    ACLs and security labels come first, so that a lack of room takes the
    others.

    :param attributes: by name such as ``user.a``, values as ``getxattr``
        gives them.
    :returns: the sets, and the names of attributes that fit in none.
    """
    sets: list[list[_Attribute]] = []
    rooms: list[int] = []
    unfit: list[str] = []
    for name in sorted(attributes, key=_precedence):
        attribute = _as_attribute(name, attributes[name])
        if attribute is None or not _place(attribute, sets, rooms, only_one=directory):
            unfit.append(name)
    return [_lay_out(members) for members in sets], unfit


def _precedence(name: str) -> int:
    if name in _ACL_NAMES:
        return 0
    return 1 if name.startswith("security.") else 2


def _as_attribute(name: str, value: bytes) -> _Attribute | None:
    """The attribute's form on disk, or ``None`` if it has none."""
    if name in _ACL_NAMES:
        acl = _acl_to_disk(value)
        index = 2 if name == _ACL_ACCESS else 3
        return None if acl is None else _Attribute(index, b"", acl)
    for index, prefix in _PREFIXES.items():
        if name.startswith(prefix):
            rest = name.removeprefix(prefix).encode("utf-8", "surrogateescape")
            return _Attribute(index, rest, value) if 0 < len(rest) < 256 else None
    return None


def _place(
    attribute: _Attribute, sets: list[list[_Attribute]], rooms: list[int], *, only_one: bool
) -> bool:
    """Put an attribute into the first set with room, a new one if need be."""
    length = attribute.length
    for number, room in enumerate(rooms):
        if length <= room:
            sets[number].append(attribute)
            rooms[number] -= length
            return True
    if length > _ROOM or (only_one and sets):
        return False
    sets.append([attribute])
    rooms.append(_ROOM - length)
    return True


def _lay_out(members: list[_Attribute]) -> bytes:
    used = sum(member.length for member in members)
    size = -(-(_BLOCK_HEADER.size + used + _TERMINATOR_BYTES) // _RECORD) * _RECORD
    blob = bytearray(size)
    _BLOCK_HEADER.pack_into(blob, 0, BLOCK_MAGIC, 1, 1, 0)
    entry_at, value_at = _BLOCK_HEADER.size, size
    for prefix, name, value in members:
        value_at -= _padded(len(value))
        where = value_at if value else 0
        _ENTRY.pack_into(blob, entry_at, len(name), prefix, where, 0, len(value), 0)
        blob[entry_at + _ENTRY.size : entry_at + _ENTRY.size + len(name)] = name
        blob[value_at : value_at + len(value)] = value
        entry_at += _padded(_ENTRY.size + len(name))
    return bytes(blob)


def decode_set(blob: bytes | memoryview) -> tuple[dict[str, bytes], list[str]]:
    """Read one set, in either form.

    :returns: attributes by name with values as ``setxattr`` takes them, and
        a phrase for each thing that could not be read.
    """
    attributes: dict[str, bytes] = {}
    problems: list[str] = []
    data = bytes(blob)
    magic = _MAGIC.unpack_from(data)[0] if len(data) >= _MAGIC.size else None
    if magic == BLOCK_MAGIC:
        start, base = _BLOCK_HEADER.size, 0
    elif magic == INODE_MAGIC:
        start, base = _INODE_HEADER_BYTES, _INODE_HEADER_BYTES
    else:
        return attributes, [f"a set of {len(data)} bytes does not begin as one"]
    for found in _entries(data, start, base):
        if isinstance(found, str):
            problems.append(found)
        else:
            attributes[found[0]] = found[1]
    return attributes, problems


def without_acls(sets: Sequence[bytes]) -> list[bytes]:
    """The same sets without the ACLs in them. A set that cannot be read
    whole stays as it is, so that whoever uses it finds that out.
    """
    kept: list[bytes] = []
    for blob in sets:
        found, problems = decode_set(blob)
        if problems or ACLS.isdisjoint(found):
            kept.append(blob)
        else:
            others = {name: value for name, value in found.items() if name not in ACLS}
            kept += encode_sets(others, directory=False)[0]
    return kept


def _entries(data: bytes, at: int, base: int) -> Iterator[tuple[str, bytes] | str]:
    """Walk the table of entries; gives an attribute or what is wrong."""
    while at + _TERMINATOR_BYTES <= len(data) and data[at : at + _TERMINATOR_BYTES] != bytes(4):
        end = at + _ENTRY.size
        if end > len(data) or end + data[at] > len(data):
            yield f"the entry at byte {at} runs over the end of its set"
            return
        length, index, where, block, size, _ = _ENTRY.unpack_from(data, at)
        suffix = data[end : end + length]
        at += _padded(_ENTRY.size + length)
        name = _full_name(index, suffix)
        if name is None:
            yield f"no attribute has the name {suffix!r} under index {index}"
        elif block:
            yield f"the value of {name} is kept in another inode"
        elif size and base + where + size > len(data):
            yield f"the value of {name} lies outside its set"
        else:
            value = data[base + where : base + where + size]
            call_form = _acl_to_call(value) if name in _ACL_NAMES else value
            yield f"{name} is no ACL" if call_form is None else (name, call_form)


def _full_name(index: int, suffix: bytes) -> str | None:
    if b"\0" in suffix:
        return None
    if index in _WHOLE_NAMES:
        return None if suffix else _WHOLE_NAMES[index]
    if index not in _PREFIXES or not suffix:
        return None
    return _PREFIXES[index] + suffix.decode("utf-8", "surrogateescape")


def _acl_to_disk(value: bytes) -> bytes | None:
    """From the system calls' form to the disk's, or ``None`` if it is none."""
    if value[:4] != _CALL_VERSION or (len(value) - 4) % _ACL_LONG.size:
        return None
    parts = [_DISK_VERSION]
    for tag, permissions, who in _ACL_LONG.iter_unpack(value[4:]):
        if tag in _NAMED_TAGS:
            parts.append(_ACL_LONG.pack(tag, permissions, who))
        else:
            parts.append(_ACL_SHORT.pack(tag, permissions))
    return b"".join(parts)


def _acl_to_call(value: bytes) -> bytes | None:
    """From the disk's form to the system calls', or ``None`` if it is none."""
    if value[:4] != _DISK_VERSION:
        return None
    parts = [_CALL_VERSION]
    at = len(_DISK_VERSION)
    while at + _ACL_SHORT.size <= len(value):
        tag, permissions = _ACL_SHORT.unpack_from(value, at)
        who = _NO_ID
        at += _ACL_SHORT.size
        if tag in _NAMED_TAGS:
            named = value[at : at + 4]
            at += 4
            if len(named) < 4:
                return None
            who = int.from_bytes(named, "little")
        parts.append(_ACL_LONG.pack(tag, permissions, who))
    return b"".join(parts) if at == len(value) else None


def _padded(length: int) -> int:
    return (length + 3) & ~3
