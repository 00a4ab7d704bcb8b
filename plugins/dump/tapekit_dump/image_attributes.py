"""What an image keeps of an object besides owner, mode and times, for people.

Attributes are told as what they are to the file servers that keep them: NT
and POSIX ACLs, DOS attributes, NT streams; all others by name. The one rule:
what cannot be read is still told by its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tapekit_dump.attributes import decode_set
from tapekit_dump.backup_report import readable
from tapekit_dump.dos_attributes import DOS_ATTRIBUTES, BadDosAttributes, decode_dos
from tapekit_dump.nt_acl import NT_ACL, decode_nt_acl
from tapekit_dump.nt_streams import stream_length, stream_name
from tapekit_dump.posix_acl import ACCESS_ACL, DEFAULT_ACL, acl_entries, minimal_acl
from tapekit_dump.security_descriptor import BadDescriptor, sid_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["PLAIN", "ObjectAttributes", "attribute_kinds", "attribute_lines", "read_attributes"]


class ObjectAttributes(msgspec.Struct, frozen=True, kw_only=True):
    """What the sets behind one object have."""

    posix_acl: int | None = None
    """Entries of the access ACL."""
    default_acl: int | None = None
    """Entries of the ACL that a directory hands down."""
    nt_acl: int | None = None
    """Access control entries of the NT ACL."""
    nt_owner: str | None = None
    """The SID that the NT ACL names as the owner."""
    dos_attributes: str | None = None
    """Of R read only, H hidden, S system, A archive, C compressed, O offline."""
    created_s: float | None = None
    """When the object was created, as Windows sees it."""
    nt_streams: dict[str, int] = msgspec.field(default_factory=dict)
    """Lengths of alternate data streams in bytes, by name."""
    others: dict[str, int] = msgspec.field(default_factory=dict)
    """Lengths of all other extended attributes in bytes, by name."""

    @property
    def has_acl(self) -> bool:
        """Whether more than the mode says who may do what."""
        return any(each is not None for each in (self.posix_acl, self.default_acl, self.nt_acl))


PLAIN: Final = ObjectAttributes()
"""An object without any."""


def read_attributes(sets: Iterable[bytes]) -> ObjectAttributes:
    """Tell what sets have; what is damaged in them a restore tells."""
    facts: dict[str, object] = {}
    streams: dict[str, int] = {}
    others: dict[str, int] = {}
    for blob in sets:
        for name, value in decode_set(blob)[0].items():
            found = _facts_of(name, value)
            stream = stream_name(name)
            if found is not None:
                facts |= found
            elif stream is not None:
                streams[_shown(stream)] = stream_length(value)
            else:
                others[_shown(name)] = len(value)
    if not (facts or streams or others):
        return PLAIN
    return msgspec.convert({**facts, "nt_streams": streams, "others": others}, ObjectAttributes)


def attribute_lines(attributes: ObjectAttributes) -> Iterator[str]:
    """The attributes for a person, a line each."""
    if attributes.posix_acl is not None:
        yield f"POSIX ACL: {attributes.posix_acl} entries"
    if attributes.default_acl is not None:
        yield f"default POSIX ACL: {attributes.default_acl} entries"
    if attributes.nt_acl is not None:
        owner = f", owner {attributes.nt_owner}" if attributes.nt_owner else ""
        yield f"NT ACL: {attributes.nt_acl} entries{owner}"
    if attributes.dos_attributes is not None:
        yield f"DOS attributes: {attributes.dos_attributes or 'none'}"
    for name, length in sorted(attributes.nt_streams.items()):
        yield f"NT stream {name}: {length} bytes"
    for name, length in sorted(attributes.others.items()):
        yield f"{name}: {length} bytes"


def attribute_kinds(attributes: ObjectAttributes) -> Iterator[tuple[str, int]]:
    """What there is of each kind, to be counted."""
    yield "NT ACL", attributes.nt_acl is not None
    yield "POSIX ACL", (attributes.posix_acl is not None) + (attributes.default_acl is not None)
    yield "DOS attributes", attributes.dos_attributes is not None
    yield "NT stream", len(attributes.nt_streams)
    yield "other attribute", len(attributes.others)


def _facts_of(name: str, value: bytes) -> dict[str, object] | None:
    """The fields that an attribute fills, ``None`` if it is a stream or
    another attribute, or cannot be read.
    """
    if name in {ACCESS_ACL, DEFAULT_ACL}:
        if name == ACCESS_ACL and value == minimal_acl(value):
            # It stands for one that was left out, and says what the mode says.
            return {}
        entries = acl_entries(value)
        field = "posix_acl" if name == ACCESS_ACL else "default_acl"
        return None if entries is None else {field: len(entries)}
    if name == NT_ACL:
        try:
            acl = decode_nt_acl(value)
        except BadDescriptor:
            return None
        owner = acl.descriptor.owner
        return {"nt_acl": acl.entries, "nt_owner": None if owner is None else sid_text(owner)}
    if name == DOS_ATTRIBUTES:
        try:
            dos = decode_dos(value)
        except BadDosAttributes:
            return None
        created = None if dos.created_ns is None else dos.created_ns / 10**9
        return {"dos_attributes": dos.letters, "created_s": created}
    return None


def _shown(name: str) -> str:
    return readable(name.encode("utf-8", "surrogateescape"))
