"""Sets of one attribute of any length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit_dump.large_attributes import decode_large, encode_large

SET = encode_large(b"user.a", b"value")


@given(st.binary(min_size=1, max_size=260), st.binary(max_size=65536))
def test_what_is_encoded_is_decoded(name: bytes, value: bytes) -> None:
    assert decode_large(encode_large(name, value)) == (name, value)


def test_the_layout_is_that_of_the_format() -> None:
    assert SET[:12].hex() == "746b786101000600" + "05000000"
    assert SET[16:] == b"user.avalue"


@pytest.mark.parametrize(
    ("blob", "problem"),
    [
        (SET[:15], "a set of 15 bytes is cut"),
        (SET[:4] + b"\2" + SET[5:], "a set has version 2"),
        (SET[:-1], "a set of 26 bytes says that it has more"),
        (SET[:8] + b"\0\0\1\1" + SET[12:], "a set of 27 bytes says that it has more"),
        (SET[:-1] + b"x", "the checksum of a set with 5 bytes is wrong"),
    ],
)
def test_damage_is_told(blob: bytes, problem: str) -> None:
    assert decode_large(blob) == problem
