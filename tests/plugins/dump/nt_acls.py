"""NT ACLs as Samba 4.17 packs them, and such of any length."""

from __future__ import annotations

from tapekit_dump.nt_acl import NtAcl, encode_nt_acl
from tapekit_dump.security_descriptor import DACL_PRESENT, SYSTEM, Acl, SecurityDescriptor, grant

__all__ = ["OWNER", "OWNER_TEXT", "SAMBA", "SAMBA_DEFAULT", "nt_acl"]

OWNER = bytes.fromhex("010500000000000515000000010000000200000003000000e8030000")
OWNER_TEXT = "S-1-5-21-1-2-3-1000"

# O:S-1-5-21-1-2-3-1000 G:S-1-5-21-1-2-3-513
# D:(A;OICI;0x1f01ff;;;S-1-5-21-1-2-3-1000)(D;;0x2;;;WD)(A;;0x1ff;;;SY)
_SIDS = OWNER.hex() + "01050000000000051500000001000000020000000300000001020000"
_DACL = (
    "040054000300000000032400ff011f00" + OWNER.hex() + "0100140002000000010100000000000100000000"
    "00001400ff010000010100000000000512000000"
)
_HASH = bytes(range(1, 65)).hex()
_SYSTEM_HASH = bytes(range(101, 165)).hex()
_TIME = "221100eeffc0d001"

SAMBA = {
    1: "0100010000000200" + "010004801c000000380000000000000054000000" + _SIDS + _DACL,
    2: "020002000000020004000200" + bytes(range(1, 17)).hex()
    + "0100048030000000" + "4c000000" + "00000000" + "68000000" + _SIDS + _DACL,
    3: "0300030000000200040002000100" + _HASH + "0000"
    + "0100048064000000" + "80000000" + "00000000" + "9c000000" + _SIDS + _DACL,
    4: "0400040000000200040002000100" + _HASH + b"posix_acl\0".hex() + _TIME + _SYSTEM_HASH
    + "01000480b4000000" + "d0000000" + "00000000" + "ec000000" + _SIDS + _DACL,
}  # fmt: skip
"""The same ACL in each version of the attribute, in hex digits."""

SAMBA_DEFAULT = (
    "0100010000000200" + "010004801c000000380000000000000054000000" + _SIDS
    + "020040000200000000002400ff011f00" + OWNER.hex()
    + "00001400ff011f00010100000000000512000000"
)  # fmt: skip
"""``D:(A;;0x1f01ff;;;S-1-5-21-1-2-3-1000)(A;;0x1f01ff;;;SY)`` with the same owner and group."""


def nt_acl(entries: int) -> bytes:
    """The value of an attribute with so many entries."""
    dacl = Acl(2, tuple(grant(SYSTEM) for _ in range(entries)))
    return encode_nt_acl(NtAcl(1, b"", SecurityDescriptor(DACL_PRESENT, OWNER, SYSTEM, None, dacl)))
