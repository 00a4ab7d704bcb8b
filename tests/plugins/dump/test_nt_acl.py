"""NT ACLs, byte for byte as Samba packs them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.plugins.dump.nt_acls import OWNER, SAMBA, SAMBA_DEFAULT, nt_acl

from tapekit_dump.nt_acl import NtAcl, decode_nt_acl, default_nt_acl, encode_nt_acl
from tapekit_dump.security_descriptor import (
    DACL_PRESENT,
    SYSTEM,
    BadDescriptor,
    SecurityDescriptor,
    sid_text,
)

SEALS = {
    1: st.just(b""),
    2: st.binary(min_size=16, max_size=16),
    3: st.binary(min_size=66, max_size=66),
}
NOBODY = SecurityDescriptor(0x8000, None, None, None, None)


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_each_version_of_samba_is_read_and_written(version: int) -> None:
    value = bytes.fromhex(SAMBA[version])
    acl = decode_nt_acl(value)
    assert (acl.version, acl.entries) == (version, 3)
    assert acl.descriptor.owner == OWNER
    assert acl.descriptor.dacl is not None
    assert [entry.kind for entry in acl.descriptor.dacl.entries] == [0, 1, 0]
    assert sid_text(acl.descriptor.dacl.entries[2].body[4:]) == "S-1-5-18"
    assert encode_nt_acl(acl) == value


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_the_default_is_what_samba_would_write(version: int) -> None:
    acl = decode_nt_acl(bytes.fromhex(SAMBA[version]))
    assert encode_nt_acl(default_nt_acl(acl)).hex() == SAMBA_DEFAULT


def test_without_an_owner_the_default_allows_the_system_alone() -> None:
    default = default_nt_acl(NtAcl(1, b"", NOBODY))
    assert default.descriptor.control == DACL_PRESENT
    assert default.descriptor.dacl is not None
    assert [entry.body[4:] for entry in default.descriptor.dacl.entries] == [SYSTEM]


@given(st.data(), st.sampled_from([1, 2, 3]))
def test_any_seal_is_kept(data: st.DataObject, version: int) -> None:
    acl = NtAcl(version, data.draw(SEALS[version]), NOBODY)
    assert decode_nt_acl(encode_nt_acl(acl)) == acl
    assert acl.entries == 0


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\1\0\1\0",
        b"\5\0\5\0\0\0\2\0" + bytes(40),
        b"\1\0\2\0\0\0\2\0" + bytes(40),
        b"\1\0\1\0\0\0\0\0" + bytes(40),
        bytes.fromhex(SAMBA[4])[:80] + b"x" * 100,
        bytes.fromhex(SAMBA[1])[:-1],
    ],
)
def test_what_is_no_nt_acl_is_refused(value: bytes) -> None:
    with pytest.raises(BadDescriptor):
        decode_nt_acl(value)


@given(st.sampled_from([1, 2, 3, 4]), st.integers(0, 319), st.binary(min_size=1, max_size=8))
def test_hostile_bytes_are_read_or_refused(version: int, at: int, change: bytes) -> None:
    value = bytearray.fromhex(SAMBA[version])
    value[at : at + len(change)] = change
    try:
        acl = decode_nt_acl(bytes(value))
    except BadDescriptor:
        return
    assert acl.entries <= len(value) // 4


def test_entries_are_counted() -> None:
    assert decode_nt_acl(nt_acl(1500)).entries == 1500
