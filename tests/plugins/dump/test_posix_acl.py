"""POSIX ACLs, and the mode of what has to do without one."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit_dump.posix_acl import AclEntry, acl_entries, minimal_acl, mode_without

NO_ID = 2**32 - 1


def acl(*entries: tuple[int, int] | tuple[int, int, int]) -> bytes:
    return b"\2\0\0\0" + b"".join(struct.pack("<HHI", *(*each, NO_ID)[:3]) for each in entries)


NAMED = acl((1, 6), (2, 7, 1234), (4, 5), (16, 6), (32, 0))
"""Mode 0660 with an owning group that may not write."""


def test_entries_are_read() -> None:
    assert acl_entries(NAMED) == (
        AclEntry(1, 6, NO_ID),
        AclEntry(2, 7, 1234),
        AclEntry(4, 5, NO_ID),
        AclEntry(16, 6, NO_ID),
        AclEntry(32, 0, NO_ID),
    )


def test_without_its_acl_an_object_has_the_rights_of_its_group() -> None:
    assert minimal_acl(NAMED) == acl((1, 6), (4, 4), (32, 0))
    assert mode_without(0o2660, NAMED) == 0o2640


@given(st.lists(st.integers(0, 7), min_size=4, max_size=4), st.integers(0, 0o7777))
def test_nobody_gets_more_rights(rights: list[int], mode: int) -> None:
    owner, group, mask, other = rights
    value = acl((1, owner), (2, 7, 5), (4, group), (16, mask), (32, other))
    narrowed = mode_without(mode, value)
    assert narrowed & mode == narrowed
    assert narrowed >> 3 & 7 & ~(group & mask) == 0
    assert narrowed & ~0o070 == mode & ~0o070


@pytest.mark.parametrize("value", [b"", b"\1\0\0\0", NAMED[:-1], acl((1, 7), (32, 7))])
def test_what_is_no_acl_gives_the_group_nothing(value: bytes) -> None:
    assert minimal_acl(value) is None
    assert mode_without(0o777, value) == 0o707
