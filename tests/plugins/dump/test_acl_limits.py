"""ACLs of too many entries, and what takes their place."""

from __future__ import annotations

import struct

import pytest
from tests.plugins.dump.nt_acls import OWNER, nt_acl

from tapekit_dump.acl_limits import ACES_KEPT, TooLong, count_entries, stand_in, within_limit
from tapekit_dump.nt_acl import NT_ACL, decode_nt_acl
from tapekit_dump.posix_acl import ACCESS_ACL, DEFAULT_ACL, acl_entries


def posix_acl(named: int) -> bytes:
    no_id = 2**32 - 1
    entries = [(1, 7, no_id), *((2, 7, who) for who in range(named))]
    entries += [(4, 5, no_id), (16, 7, no_id), (32, 0, no_id)]
    return b"\2\0\0\0" + b"".join(struct.pack("<HHI", *entry) for entry in entries)


@pytest.mark.requirement("R232")
def test_an_acl_is_kept_up_to_its_limit() -> None:
    kept = {NT_ACL: nt_acl(ACES_KEPT), ACCESS_ACL: posix_acl(ACES_KEPT - 4), "user.a": b"1"}
    assert within_limit(kept) == (kept, [])


def test_longer_acls_become_default_acls() -> None:
    attributes = {
        NT_ACL: nt_acl(1025),
        ACCESS_ACL: posix_acl(1021),
        DEFAULT_ACL: posix_acl(1022),
        "user.a": b"1",
    }
    kept, replaced = within_limit(attributes)
    assert replaced == [
        TooLong(NT_ACL, 1025),
        TooLong(ACCESS_ACL, 1025),
        TooLong(DEFAULT_ACL, 1026),
    ]
    assert kept.keys() == {NT_ACL, ACCESS_ACL, "user.a"}
    default = decode_nt_acl(kept[NT_ACL])
    assert (default.entries, default.descriptor.owner) == (2, OWNER)
    assert [(tag, rights) for tag, rights, _ in acl_entries(kept[ACCESS_ACL]) or ()] == [
        (1, 7),
        (4, 5),
        (32, 0),
    ]


def test_what_cannot_be_read_is_left_alone() -> None:
    attributes = {NT_ACL: b"junk", ACCESS_ACL: b"junk"}
    assert within_limit(attributes) == (attributes, [])
    assert count_entries("user.a", b"") is None
    assert stand_in(NT_ACL, b"junk") is None
