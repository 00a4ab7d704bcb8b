"""Windows security descriptors in self-relative form: owner, group, ACLs.

The layout is that of MS-DTYP 2.4.6, little-endian: a head with offsets, then
what they lead to. Entries of ACLs keep their bytes, since what they grant is
for a file server to understand. The one rule: no offset, size or count is
used before it has been checked against what is there.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

__all__ = [
    "DACL_PRESENT",
    "FULL_CONTROL",
    "SYSTEM",
    "Ace",
    "Acl",
    "BadDescriptor",
    "SecurityDescriptor",
    "decode_descriptor",
    "encode_descriptor",
    "grant",
    "sid_text",
]

DACL_PRESENT: Final = 0x0004
_SACL_PRESENT: Final = 0x0010
_SELF_RELATIVE: Final = 0x8000

FULL_CONTROL: Final = 0x001F_01FF
"""The access mask that allows everything with a file."""

SYSTEM: Final = bytes.fromhex("010100000000000512000000")
"""``S-1-5-18``, the system itself."""

_REVISION: Final = 1
_ALLOWED: Final = 0
_HEAD: Final = struct.Struct("<BxHIIII")
"""revision, control, then where owner, group, SACL and DACL are."""

_ACL: Final = struct.Struct("<BxHHxx")
"""revision, size, count."""

_ACE: Final = struct.Struct("<BBH")
"""type, flags, size."""

_SID_HEAD: Final = 8
_SUB_AUTHORITIES: Final = 15


class BadDescriptor(ValueError):
    """Bytes that are no security descriptor, with what is wrong."""


class Ace(NamedTuple):
    """An entry of an ACL."""

    kind: int
    """``ACE_TYPE``: 0 allows, 1 denies, 2 audits, and more."""
    flags: int
    body: bytes
    """Everything behind its size: the access mask, the SID and what else
    the type has."""


class Acl(NamedTuple):
    """A list of entries, in the order in which they are looked at."""

    revision: int
    entries: tuple[Ace, ...]


class SecurityDescriptor(NamedTuple):
    """Who owns an object and who may do what with it."""

    control: int
    owner: bytes | None
    """The owner's SID."""
    group: bytes | None
    sacl: Acl | None
    """What is to be audited."""
    dacl: Acl | None
    """Who may do what; ``None`` with :data:`DACL_PRESENT` allows everything
    to everybody."""


def decode_descriptor(data: bytes, at: int = 0, base: int | None = None) -> SecurityDescriptor:
    """Read a descriptor that begins at ``at``.

    :param base: where its offsets count from, if not from ``at``.
    :raises BadDescriptor: it is none.
    """
    base = at if base is None else base
    if at + _HEAD.size > len(data):
        raise BadDescriptor("it is cut")
    revision, control, *places = _HEAD.unpack_from(data, at)
    if revision != _REVISION:
        raise BadDescriptor(f"its revision is {revision}")
    owner, group, sacl, dacl = (base + place if place else None for place in places)
    return SecurityDescriptor(
        control,
        None if owner is None else _sid_at(data, owner),
        None if group is None else _sid_at(data, group),
        _acl_at(data, sacl) if sacl is not None and control & _SACL_PRESENT else None,
        _acl_at(data, dacl) if dacl is not None and control & DACL_PRESENT else None,
    )


def encode_descriptor(descriptor: SecurityDescriptor, base: int = 0) -> bytes:
    """The bytes of a descriptor.

    :param base: how far before the descriptor its offsets count from.
    :raises BadDescriptor: an ACL is longer than its size can say.
    """
    parts = (
        descriptor.owner,
        descriptor.group,
        None if descriptor.sacl is None else _acl_bytes(descriptor.sacl),
        None if descriptor.dacl is None else _acl_bytes(descriptor.dacl),
    )
    places, tail = [], b""
    for part in parts:
        places.append(0 if part is None else base + _HEAD.size + len(tail))
        tail += part or b""
    control = descriptor.control | _SELF_RELATIVE
    return _HEAD.pack(_REVISION, control, *places) + tail


def grant(sid: bytes) -> Ace:
    """The entry that allows everything to somebody."""
    return Ace(_ALLOWED, 0, struct.pack("<I", FULL_CONTROL) + sid)


def sid_text(sid: bytes) -> str:
    """A SID as Windows shows it, such as ``S-1-5-18``."""
    authority = int.from_bytes(sid[2:_SID_HEAD], "big")
    rest = struct.unpack(f"<{sid[1]}I", sid[_SID_HEAD:])
    return "-".join(map(str, ("S", sid[0], authority, *rest)))


def _sid_at(data: bytes, at: int) -> bytes:
    if at + _SID_HEAD > len(data):
        raise BadDescriptor(f"a SID at byte {at} lies outside it")
    count = data[at + 1]
    end = at + _SID_HEAD + 4 * count
    if data[at] != _REVISION or count > _SUB_AUTHORITIES or end > len(data):
        raise BadDescriptor(f"what stands at byte {at} is no SID")
    return data[at:end]


def _acl_at(data: bytes, at: int) -> Acl:
    if at + _ACL.size > len(data):
        raise BadDescriptor(f"an ACL at byte {at} lies outside it")
    revision, size, count = _ACL.unpack_from(data, at)
    end = at + size
    if size < _ACL.size or end > len(data):
        raise BadDescriptor(f"an ACL at byte {at} has {size} bytes")
    entries, at = [], at + _ACL.size
    for _ in range(count):
        if at + _ACE.size > end:
            raise BadDescriptor(f"an ACL ends at byte {end}, before its {count} entries")
        kind, flags, length = _ACE.unpack_from(data, at)
        if length < _ACE.size or at + length > end:
            raise BadDescriptor(f"the entry at byte {at} has {length} bytes")
        entries.append(Ace(kind, flags, data[at + _ACE.size : at + length]))
        at += length
    return Acl(revision, tuple(entries))


def _acl_bytes(acl: Acl) -> bytes:
    body = b"".join(
        _ACE.pack(entry.kind, entry.flags, _ACE.size + len(entry.body)) + entry.body
        for entry in acl.entries
    )
    if _ACL.size + len(body) > 0xFFFF:
        raise BadDescriptor(f"an ACL cannot have {len(body)} bytes")
    return _ACL.pack(acl.revision, _ACL.size + len(body), len(acl.entries)) + body
