"""ACLs that have more entries than are kept, and what stands in for them.

An NT ACL becomes one for its owner and the system, a POSIX ACL becomes that
of the mode alone, a default ACL of a directory goes. The one rule: nobody
but that owner and the system, who can give themselves every right, may do
more by what stands in than by the ACL itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit_dump.nt_acl import NT_ACL, decode_nt_acl, default_nt_acl, encode_nt_acl
from tapekit_dump.posix_acl import ACCESS_ACL, DEFAULT_ACL, acl_entries, minimal_acl
from tapekit_dump.security_descriptor import BadDescriptor

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ACES_KEPT", "TooLong", "count_entries", "stand_in", "within_limit"]

ACES_KEPT: Final = 1024
"""Entries of an ACL that are backed up, and restored, at most."""


_SHORTEST: Final = 4
"""Bytes that any entry has at least, so that few ACLs need to be counted."""


class TooLong(NamedTuple):
    """An ACL that was replaced."""

    name: str
    entries: int


def count_entries(name: str, value: bytes) -> int | None:
    """Entries of an ACL, ``None`` if the attribute is none or cannot be read."""
    if name == NT_ACL:
        try:
            return decode_nt_acl(value).entries
        except BadDescriptor:
            return None
    if name in {ACCESS_ACL, DEFAULT_ACL}:
        entries = acl_entries(value)
        return None if entries is None else len(entries)
    return None


def stand_in(name: str, value: bytes) -> bytes | None:
    """What takes the place of an ACL that cannot be kept, ``None`` if
    nothing does.
    """
    if name == NT_ACL:
        try:
            return encode_nt_acl(default_nt_acl(decode_nt_acl(value)))
        except BadDescriptor:
            return None
    return minimal_acl(value) if name == ACCESS_ACL else None


def within_limit(
    attributes: Mapping[str, bytes], limit: int = ACES_KEPT
) -> tuple[dict[str, bytes], list[TooLong]]:
    """Attributes with something in the place of each ACL that is too long."""
    kept, replaced = dict(attributes), []
    for name, value in attributes.items():
        if len(value) <= limit * _SHORTEST:
            continue
        entries = count_entries(name, value)
        if entries is not None and entries > limit:
            replaced.append(TooLong(name, entries))
            substitute = stand_in(name, value)
            if substitute is None:
                del kept[name]
            else:
                kept[name] = substitute
    return kept, replaced
