"""NT ACLs as Samba keeps them: the extended attribute ``security.NTACL``.

A security descriptor stands behind a seal, by which Samba notices that
somebody has changed permissions behind its back: nothing in version 1, a
hash in 2 and 3, two hashes with a text and a time in 4. Seals are kept as
they are, since owner and POSIX ACL that they stand for come back too. The
one rule: an ACL made here has version 1, because no seal could be right.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from tapekit_dump.security_descriptor import (
    DACL_PRESENT,
    SYSTEM,
    Acl,
    BadDescriptor,
    SecurityDescriptor,
    decode_descriptor,
    encode_descriptor,
    grant,
)

__all__ = ["NT_ACL", "NtAcl", "decode_nt_acl", "default_nt_acl", "encode_nt_acl"]

NT_ACL: Final = "security.NTACL"

_UNSEALED: Final = 1
_VERSIONS: Final = frozenset({1, 2, 3, 4})
_HEAD: Final = struct.Struct("<HHI")
"""The version, once more as the arm of a union, and a pointer that says
nothing but that something follows."""

_POINTER: Final = struct.Struct("<I")
_FIRST_POINTER: Final = 0x0002_0000
_SECOND_POINTER: Final = 0x0002_0004
_HASH: Final = {2: 16, 3: 2 + 64, 4: 2 + 64}
"""Bytes of the first hash, with the kind of it from version 3 on."""

_TIME_AND_HASH: Final = 8 + 64
_ACL_REVISION: Final = 2


class NtAcl(NamedTuple):
    """What one attribute says."""

    version: int
    seal: bytes
    """What stands before the descriptor besides pointers, without padding
    at its end."""
    descriptor: SecurityDescriptor

    @property
    def entries(self) -> int:
        """Access control entries of the longer of its two ACLs."""
        acls = (self.descriptor.dacl, self.descriptor.sacl)
        return max((len(acl.entries) for acl in acls if acl is not None), default=0)


def decode_nt_acl(value: bytes) -> NtAcl:
    """Read the attribute's value.

    :raises BadDescriptor: it is none, or of a version that is not known.
    """
    if len(value) < _HEAD.size:
        raise BadDescriptor("it is cut")
    version, arm, pointer = _HEAD.unpack_from(value)
    if version not in _VERSIONS or arm != version or not pointer:
        raise BadDescriptor(f"it begins as version {version}, arm {arm}")
    begin = _HEAD.size + (_POINTER.size if version != _UNSEALED else 0)
    end = _end_of_seal(value, version, begin)
    # Samba counts offsets from the beginning of the value.
    descriptor = decode_descriptor(value, _aligned(end), 0)
    return NtAcl(version, value[begin:end], descriptor)


def encode_nt_acl(acl: NtAcl) -> bytes:
    """The attribute's value.

    :raises BadDescriptor: an ACL is longer than its size can say.
    """
    front = _HEAD.pack(acl.version, acl.version, _FIRST_POINTER)
    if acl.version != _UNSEALED:
        front += _POINTER.pack(_SECOND_POINTER) + acl.seal
    front = front.ljust(_aligned(len(front)), b"\0")
    return front + encode_descriptor(acl.descriptor, len(front))


def default_nt_acl(acl: NtAcl) -> NtAcl:
    """What stands in for an ACL that cannot be kept: owner and group as they
    were, everything allowed to the owner and to the system, nothing to
    anybody else, as Windows has it for objects without an ACL.
    """
    old = acl.descriptor
    allowed = tuple(grant(sid) for sid in (old.owner, SYSTEM) if sid is not None)
    dacl = Acl(_ACL_REVISION, allowed)
    return NtAcl(_UNSEALED, b"", SecurityDescriptor(DACL_PRESENT, old.owner, old.group, None, dacl))


def _end_of_seal(value: bytes, version: int, begin: int) -> int:
    if version == _UNSEALED:
        return begin
    end = begin + _HASH[version]
    if version == max(_VERSIONS):
        text_end = value.find(b"\0", end)
        if text_end < 0:
            raise BadDescriptor("its seal has no end")
        end = _aligned(text_end + 1) + _TIME_AND_HASH
    return end


def _aligned(length: int) -> int:
    return (length + 3) & ~3
