"""Security descriptors, there and back, and bytes that only look like some."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit_dump.security_descriptor import (
    SYSTEM,
    Ace,
    Acl,
    BadDescriptor,
    SecurityDescriptor,
    decode_descriptor,
    encode_descriptor,
    grant,
    sid_text,
)

sids = st.builds(
    lambda authority, subs: (
        bytes([1, len(subs)]) + authority + struct.pack(f"<{len(subs)}I", *subs)
    ),
    st.binary(min_size=6, max_size=6),
    st.lists(st.integers(0, 2**32 - 1), max_size=15),
)
aces = st.builds(Ace, st.integers(0, 255), st.integers(0, 255), st.binary(max_size=80))
acls = st.builds(Acl, st.sampled_from([2, 4]), st.lists(aces, max_size=20).map(tuple))


@st.composite
def descriptors(draw: st.DrawFn) -> SecurityDescriptor:
    sacl, dacl = draw(st.none() | acls), draw(st.none() | acls)
    control = 0x8000 | (0x10 if sacl else 0) | draw(st.sampled_from([4] if dacl else [0, 4]))
    return SecurityDescriptor(control, draw(st.none() | sids), draw(st.none() | sids), sacl, dacl)


@given(descriptors(), st.integers(0, 100))
def test_what_is_encoded_is_decoded(descriptor: SecurityDescriptor, front: int) -> None:
    data = bytes(front) + encode_descriptor(descriptor, front)
    assert decode_descriptor(data, front, 0) == descriptor
    assert decode_descriptor(encode_descriptor(descriptor)) == descriptor


@given(descriptors(), st.data())
def test_hostile_bytes_are_read_or_refused(
    descriptor: SecurityDescriptor, data: st.DataObject
) -> None:
    value = bytearray(encode_descriptor(descriptor))
    for _ in range(data.draw(st.integers(1, 4))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = decode_descriptor(bytes(value[: data.draw(st.integers(0, len(value)))]))
    except BadDescriptor:
        return
    for acl in (decoded.sacl, decoded.dacl):
        assert acl is None or len(acl.entries) * 4 <= len(value)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "it is cut"),
        (struct.pack("<BxHIIII", 2, 0, 0, 0, 0, 0), "its revision is 2"),
        (struct.pack("<BxHIIII", 1, 0, 99, 0, 0, 0), "a SID at byte 99 lies outside it"),
        (
            struct.pack("<BxHIIII", 1, 0, 20, 0, 0, 0) + b"\1\x10" + bytes(90),
            "what stands at byte 20 is no SID",
        ),
        (struct.pack("<BxHIIII", 1, 4, 0, 0, 0, 99), "an ACL at byte 99 lies outside it"),
        (
            struct.pack("<BxHIIII", 1, 4, 0, 0, 0, 20) + struct.pack("<BxHHxx", 2, 7, 0),
            "an ACL at byte 20 has 7 bytes",
        ),
        (
            struct.pack("<BxHIIII", 1, 4, 0, 0, 0, 20) + struct.pack("<BxHHxx", 2, 8, 3),
            "an ACL ends at byte 28, before its 3 entries",
        ),
        (
            struct.pack("<BxHIIII", 1, 4, 0, 0, 0, 20)
            + struct.pack("<BxHHxx", 2, 12, 1)
            + struct.pack("<BBH", 0, 0, 5),
            "the entry at byte 28 has 5 bytes",
        ),
    ],
)
def test_what_is_wrong_is_told(value: bytes, reason: str) -> None:
    with pytest.raises(BadDescriptor, match=reason):
        decode_descriptor(value)


def test_an_acl_is_as_long_as_its_size_can_say() -> None:
    descriptor = SecurityDescriptor(4, None, None, None, Acl(2, (grant(SYSTEM),) * 3276))
    assert decode_descriptor(encode_descriptor(descriptor)).dacl == descriptor.dacl
    with pytest.raises(BadDescriptor, match="an ACL cannot have"):
        encode_descriptor(descriptor._replace(dacl=Acl(2, (grant(SYSTEM),) * 3277)))


def test_sids_are_shown_as_windows_does() -> None:
    assert sid_text(SYSTEM) == "S-1-5-18"
    assert sid_text(b"\1\2" + bytes(5) + b"\5" + struct.pack("<2I", 32, 544)) == "S-1-5-32-544"
