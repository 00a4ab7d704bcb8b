"""Extended attributes as the dump stream carries them, in both directions.

A set is a blob in the on-disk layout of ext2/3/4, always little-endian: a
table of entries at the front, values packed from the end. ACLs stand in it
in their short disk form and everywhere else in that of the system calls.
What fits in none has a set of its own form (:mod:`tapekit_dump.large_attributes`).
The one rule: no offset or length of a blob is used before it has been
checked, since a restore gets its blobs from a tape.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit_dump.large_attributes import LARGE_MAGIC, VALUE_LIMIT, decode_large, encode_large
from tapekit_dump.nt_acl import NT_ACL
from tapekit_dump.posix_acl import ACCESS_ACL, DEFAULT_ACL, acl_entries, minimal_acl

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = [
    "ACLS",
    "BLOCK_MAGIC",
    "INODE_MAGIC",
    "SET_LIMIT",
    "decode_set",
    "encode_sets",
    "is_large_set",
    "with_mode_alone",
    "without_acls",
]

ACLS: Final = frozenset({ACCESS_ACL, DEFAULT_ACL, NT_ACL})
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

_ACL_NAMES: Final = frozenset({ACCESS_ACL, DEFAULT_ACL})

_PREFIXES: Final = {1: "user.", 4: "trusted.", 5: "lustre.", 6: "security."}
_WHOLE_NAMES: Final = {2: ACCESS_ACL, 3: DEFAULT_ACL}

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

    A directory gets one, since Debian's restore keeps only the last; ACLs and
    security labels come first into it. What these have no room for follows
    in large sets, which only tapekit reads.

    :param attributes: by name such as ``user.a``, values as ``getxattr``
        gives them.
    :returns: the sets, and the names of attributes that fit in none.
    """
    sets: list[list[_Attribute]] = []
    rooms: list[int] = []
    large: list[bytes] = []
    unfit: list[str] = []
    for name in sorted(attributes, key=_precedence):
        value = attributes[name]
        attribute = _as_attribute(name, value)
        if attribute is None or len(value) > VALUE_LIMIT:
            unfit.append(name)
        elif not _place(attribute, sets, rooms, only_one=directory):
            large.append(encode_large(name.encode("utf-8", "surrogateescape"), value))
    return [_lay_out(members) for members in sets] + large, unfit


def is_large_set(blob: bytes | memoryview) -> bool:
    """Whether a set has the form that only tapekit reads."""
    return len(blob) >= _MAGIC.size and _MAGIC.unpack_from(blob)[0] == LARGE_MAGIC


def _precedence(name: str) -> int:
    if name in _ACL_NAMES:
        return 0
    return 1 if name.startswith("security.") else 2


def _as_attribute(name: str, value: bytes) -> _Attribute | None:
    """The attribute's form on disk, or ``None`` if it has none."""
    if name in _ACL_NAMES:
        acl = _acl_to_disk(value)
        index = 2 if name == ACCESS_ACL else 3
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
    if is_large_set(data):
        return _decode_large(data)
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
    """The same sets, each as :func:`with_mode_alone` has it. A set that cannot
    be read whole stays as it is, so that whoever uses it finds that out.
    """
    kept: list[bytes] = []
    for blob in sets:
        found, problems = decode_set(blob)
        if problems or ACLS.isdisjoint(found):
            kept.append(blob)
        else:
            kept += encode_sets(with_mode_alone(found), directory=False)[0]
    return kept


def with_mode_alone(attributes: Mapping[str, bytes]) -> dict[str, bytes]:
    """Attributes without ACLs, but for what the mode needs of one: as long as
    there is an ACL, the group bits are those of everybody whom it names.
    """
    others = {name: value for name, value in attributes.items() if name not in ACLS}
    minimal = minimal_acl(attributes.get(ACCESS_ACL, b""))
    return others if minimal is None else others | {ACCESS_ACL: minimal}


def _decode_large(data: bytes) -> tuple[dict[str, bytes], list[str]]:
    found = decode_large(data)
    if isinstance(found, str):
        return {}, [found]
    name, value = found[0].decode("utf-8", "surrogateescape"), found[1]
    if b"\0" in found[0] or _as_attribute(name, value) is None:
        return {}, [f"no attribute has the name {found[0]!r} and such a value"]
    return {name: value}, []


def _entries(data: bytes, at: int, base: int) -> Iterator[tuple[str, bytes] | str]:
    """Walk the table of entries; gives an attribute or what is wrong."""
    room = len(data)
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
        elif (room := room - size) < 0:
            # Each name would be given the same bytes, a set of 64 KiB hundreds of MiB.
            yield f"the values of {name} and others before it overlap"
            return
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
    entries = acl_entries(value)
    if entries is None:
        return None
    parts = [_DISK_VERSION]
    for tag, permissions, who in entries:
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
