from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit_dump.attributes import (
    BLOCK_MAGIC,
    SET_LIMIT,
    decode_set,
    encode_sets,
    is_large_set,
    without_acls,
)
from tapekit_dump.large_attributes import encode_large

ACL = "system.posix_acl_access"
DEFAULT_ACL = "system.posix_acl_default"
CALL_FORM = bytes.fromhex(
    "02000000 01000600ffffffff 02000600d2040000 04000400ffffffff 10000600ffffffff 20000400ffffffff"
)
DISK_FORM = bytes.fromhex("01000000 01000600 02000600d2040000 04000400 10000600 20000400")

names = st.builds(
    lambda prefix, rest: prefix + rest.decode("utf-8", "surrogateescape"),
    st.sampled_from(["user.", "trusted.", "security.", "lustre."]),
    st.binary(min_size=1, max_size=200).filter(lambda rest: b"\0" not in rest),
)
small_sets = st.dictionaries(names, st.binary(max_size=300), max_size=12)


def decoded(blobs: list[bytes]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for blob in blobs:
        attributes, problems = decode_set(blob)
        assert problems == []
        assert not attributes.keys() & found.keys()
        found |= attributes
    return found


def test_one_attribute_is_laid_out_as_the_kernel_does() -> None:
    (blob,), unfit = encode_sets({"user.a": b"v1"}, directory=False)
    expected = bytearray(1024)
    expected[:16] = bytes.fromhex("000002ea 01000000 01000000 00000000")
    expected[32:49] = bytes.fromhex("0101fc03 00000000 02000000 00000000 61")
    expected[0x3FC:0x3FE] = b"v1"
    assert blob == bytes(expected)
    assert unfit == []


def test_a_set_from_an_inode_counts_offsets_from_byte_four() -> None:
    blob = bytearray(256)
    blob[:4] = bytes.fromhex("010002ea")
    blob[4:21] = bytes.fromhex("0101f800 00000000 02000000 00000000 61")
    blob[0xFC:0xFE] = b"v1"
    assert decode_set(bytes(blob)) == ({"user.a": b"v1"}, [])


def test_acls_change_form_on_the_way() -> None:
    (blob,), _ = encode_sets({ACL: CALL_FORM, DEFAULT_ACL: CALL_FORM}, directory=True)
    assert blob.count(DISK_FORM) == 2
    assert decode_set(blob) == ({ACL: CALL_FORM, DEFAULT_ACL: CALL_FORM}, [])


@given(small_sets)
def test_what_is_encoded_is_decoded(attributes: dict[str, bytes]) -> None:
    blobs, unfit = encode_sets(attributes, directory=False)
    assert unfit == []
    assert all(len(blob) <= SET_LIMIT and len(blob) % 1024 == 0 for blob in blobs)
    assert decoded(blobs) == attributes


@given(st.dictionaries(names, st.binary(max_size=2000), max_size=20))
def test_a_directory_gets_one_common_set_and_large_ones(attributes: dict[str, bytes]) -> None:
    blobs, unfit = encode_sets(attributes, directory=True)
    assert unfit == []
    assert decoded(blobs) == attributes
    assert [is_large_set(blob) for blob in blobs] == [False] * bool(blobs) + [True] * (
        len(blobs) - 1
    )


def test_acls_and_labels_come_first_into_the_set_of_a_directory() -> None:
    attributes = {"user.big": bytes(3900), "security.selinux": bytes(200), ACL: CALL_FORM}
    (common, large), unfit = encode_sets(attributes, directory=True)
    assert unfit == []
    assert decode_set(common)[0].keys() == {"security.selinux", ACL}
    assert decode_set(large)[0].keys() == {"user.big"}


@pytest.mark.parametrize(("size", "is_large"), [(4036, False), (4040, False), (4041, True)])
def test_one_value_may_fill_a_set(size: int, is_large: bool) -> None:
    (blob,), unfit = encode_sets({"user.a": b"x" * size}, directory=False)
    assert unfit == []
    assert is_large_set(blob) is is_large
    assert decoded([blob]) == {"user.a": b"x" * size}


@pytest.mark.requirement("R232")
@pytest.mark.parametrize("directory", [False, True])
def test_acls_of_any_length_are_carried(directory: bool) -> None:
    long = CALL_FORM[:4] + CALL_FORM[4:] * 300
    attributes = {ACL: long, "security.NTACL": bytes(65536), "user.a": b"1"}
    blobs, unfit = encode_sets(attributes, directory=directory)
    assert unfit == []
    assert decoded(blobs) == attributes


def test_longer_values_than_linux_has_are_named() -> None:
    assert encode_sets({"user.a": bytes(65537)}, directory=False) == ([], ["user.a"])


@pytest.mark.parametrize(
    ("name", "value"), [(b"system.nfs4_acl", b""), (b"user.a\0b", b""), (ACL.encode(), b"junk")]
)
def test_a_large_set_has_no_other_names(name: bytes, value: bytes) -> None:
    attributes, (problem,) = decode_set(encode_large(name, value))
    assert attributes == {}
    assert problem == f"no attribute has the name {name!r} and such a value"


def test_damage_of_a_large_set_is_told() -> None:
    blob = encode_large(b"user.a", b"1")
    assert decode_set(blob[:-1] + b"2") == (
        {},
        ["the checksum of a set with 1 bytes is wrong"],
    )


@pytest.mark.requirement("R137")
def test_without_acls_the_rights_of_the_group_remain() -> None:
    sets, _ = encode_sets(
        {ACL: CALL_FORM, DEFAULT_ACL: CALL_FORM, "security.NTACL": b"1", "user.a": b"2"},
        directory=False,
    )
    minimal = bytes.fromhex("02000000 01000600ffffffff 04000400ffffffff 20000400ffffffff")
    assert decoded(without_acls(sets)) == {ACL: minimal, "user.a": b"2"}


@pytest.mark.parametrize(
    "name", ["system.nfs4_acl", "user.", "other.a", "user." + "x" * 256, "plain"]
)
def test_names_that_the_format_lacks_are_named(name: str) -> None:
    assert encode_sets({name: b"v"}, directory=False) == ([], [name])


@pytest.mark.parametrize("value", [b"", b"\1\0\0\0", CALL_FORM[:-1], b"\3\0\0\0"])
def test_what_is_no_acl_is_named(value: bytes) -> None:
    assert encode_sets({ACL: value}, directory=False) == ([], [ACL])


def damaged(at: int, change: bytes) -> bytes:
    (blob,), _ = encode_sets({"user.a": b"v1", "user.b": b"v2"}, directory=False)
    return blob[:at] + change + blob[at + len(change) :]


@pytest.mark.parametrize(
    ("blob", "problem"),
    [
        (b"", "a set of 0 bytes does not begin as one"),
        (b"\0" * 1024, "a set of 1024 bytes does not begin as one"),
        (damaged(32, b"\1\x09"), "no attribute has the name b'a' under index 9"),
        (damaged(34, b"\xff\xff"), "the value of user.a lies outside its set"),
        (damaged(40, b"\xff\xff\xff\xff"), "the value of user.a lies outside its set"),
        (damaged(36, b"\1"), "the value of user.a is kept in another inode"),
        (damaged(48, b"\0"), "no attribute has the name b'\\x00' under index 1"),
        (damaged(32, b"\0\1"), "no attribute has the name b'' under index 1"),
        (damaged(32, b"\1\2"), "no attribute has the name b'a' under index 2"),
        (damaged(32, b"\0\2"), "system.posix_acl_access is no ACL"),
    ],
)
def test_damage_is_told(blob: bytes, problem: str) -> None:
    _, problems = decode_set(blob)
    assert problem in problems


def test_the_good_attributes_of_a_damaged_set_are_kept() -> None:
    attributes, problems = decode_set(damaged(34, b"\xff\xff"))
    assert attributes == {"user.b": b"v2"}
    assert len(problems) == 1


def test_an_entry_that_runs_over_the_end_stops_the_walk() -> None:
    blob = struct.pack("<IIII16x", BLOCK_MAGIC, 1, 1, 0) + b"\xff\1\0\0" + bytes(20)
    assert decode_set(blob) == ({}, ["the entry at byte 32 runs over the end of its set"])


@pytest.mark.parametrize("cut", range(len(DISK_FORM)))
def test_a_cut_acl_is_refused_or_shorter(cut: int) -> None:
    blob = struct.pack("<IIII16x", BLOCK_MAGIC, 1, 1, 0)
    blob += struct.pack("<BBHIII", 0, 2, 1024 - cut, 0, cut, 0)
    attributes, problems = decode_set(blob.ljust(1024 - cut, b"\0") + DISK_FORM[:cut])
    assert len(attributes) + len(problems) == 1
    assert all(CALL_FORM.startswith(value) for value in attributes.values())


@given(st.binary(max_size=600), st.booleans())
def test_any_bytes_are_read_without_an_error(tail: bytes, in_inode: bool) -> None:
    head = bytes.fromhex("010002ea" if in_inode else "000002ea")
    attributes, problems = decode_set(head + tail)
    assert all(len(value) <= 2 * len(tail) for value in attributes.values())
    assert all(isinstance(problem, str) for problem in problems)


def test_values_do_not_share_the_bytes_of_their_set() -> None:
    """A small set of thousands of names would otherwise become hundreds of MiB."""
    blob = bytearray(4096)
    struct.pack_into("<IIII", blob, 0, BLOCK_MAGIC, 1, 1, 0)
    for number in range(100):
        at = 32 + 20 * number
        struct.pack_into("<BBHIII4s", blob, at, 4, 1, 0, 0, 2048, 0, b"%04d" % number)
    found, problems = decode_set(bytes(blob))
    assert list(found) == ["user.0000", "user.0001"]
    assert problems == ["the values of user.0002 and others before it overlap"]
