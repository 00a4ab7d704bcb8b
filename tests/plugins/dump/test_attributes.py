from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit_dump.attributes import BLOCK_MAGIC, SET_LIMIT, decode_set, encode_sets

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
def test_a_directory_gets_one_set_and_the_rest_is_named(attributes: dict[str, bytes]) -> None:
    blobs, unfit = encode_sets(attributes, directory=True)
    assert len(blobs) <= 1
    kept = decoded(blobs)
    assert kept.keys() | set(unfit) == attributes.keys()
    assert not kept.keys() & set(unfit)


def test_acls_and_labels_win_over_other_attributes_of_a_directory() -> None:
    attributes = {"user.big": bytes(3900), "security.selinux": bytes(200), ACL: CALL_FORM}
    blobs, unfit = encode_sets(attributes, directory=True)
    assert unfit == ["user.big"]
    assert decoded(blobs).keys() == {"security.selinux", ACL}


@pytest.mark.parametrize(("size", "fits"), [(4036, True), (4040, True), (4041, False)])
def test_one_value_may_fill_a_set(size: int, fits: bool) -> None:
    blobs, unfit = encode_sets({"user.a": b"x" * size}, directory=False)
    assert (unfit == []) is fits
    assert decoded(blobs) == ({"user.a": b"x" * size} if fits else {})


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
