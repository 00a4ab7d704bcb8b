"""POSIX ACLs in the form of the system calls: entries, and what remains without them.

An ACL that names users or groups takes the place of the group bits of the
mode, which are then its mask; the owning group's own rights stand in the
ACL alone. So whoever leaves an ACL away has to take them from there. The one
rule: what is made here never allows more to anybody than the ACL did.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

__all__ = [
    "ACCESS_ACL",
    "DEFAULT_ACL",
    "AclEntry",
    "acl_entries",
    "minimal_acl",
    "mode_without",
]

ACCESS_ACL: Final = "system.posix_acl_access"
DEFAULT_ACL: Final = "system.posix_acl_default"

_VERSION: Final = b"\2\0\0\0"
_ENTRY: Final = struct.Struct("<HHI")
_OWNER: Final = 0x01
_GROUP: Final = 0x04
_MASK: Final = 0x10
_OTHER: Final = 0x20
_NO_ID: Final = 0xFFFF_FFFF
_MINIMAL: Final = frozenset({_OWNER, _GROUP, _OTHER})
_ALL: Final = 0o7


class AclEntry(NamedTuple):
    """Who, and which rights; the number only where the tag names somebody."""

    tag: int
    rights: int
    who: int


def acl_entries(value: bytes) -> tuple[AclEntry, ...] | None:
    """The entries of an ACL, ``None`` if the value is none."""
    if value[:4] != _VERSION or (len(value) - 4) % _ENTRY.size:
        return None
    return tuple(AclEntry(*fields) for fields in _ENTRY.iter_unpack(value[4:]))


def minimal_acl(value: bytes) -> bytes | None:
    """The ACL of owner, owning group and others alone, ``None`` if the value
    lacks one of these.
    """
    rights = _rights(value)
    if rights is None:
        return None
    owner, group, other = rights
    entries = ((_OWNER, owner, _NO_ID), (_GROUP, group, _NO_ID), (_OTHER, other, _NO_ID))
    return _VERSION + b"".join(_ENTRY.pack(*entry) for entry in entries)


def mode_without(mode: int, value: bytes) -> int:
    """The mode of an object that has to do without its ACL."""
    rights = _rights(value)
    if rights is None:
        return mode & ~0o070
    return mode & ~0o070 | (mode & rights[1] << 3)


def _rights(value: bytes) -> tuple[int, int, int] | None:
    """What owner, owning group and others may do, each of them at most."""
    by_tag = {entry.tag: entry.rights & _ALL for entry in acl_entries(value) or ()}
    if not by_tag.keys() >= _MINIMAL:
        return None
    group = by_tag[_GROUP] & by_tag.get(_MASK, _ALL)
    return by_tag[_OWNER], group, by_tag[_OTHER]
