"""The three forms of a position, and what each can tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.scsi.malformed import Malformed
from tapekit.scsi.position import (
    EXTENDED,
    LONG,
    SHORT,
    Position,
    decode_position,
    encode_position,
)

BIG = st.none() | st.integers(0, (1 << 64) - 1)


@given(
    st.builds(
        Position,
        BIG,
        BIG,
        st.integers(0, 255),
        is_beginning=st.booleans(),
        is_beyond_warning=st.booleans(),
    )
)
def test_each_form_tells_what_it_can(position: Position) -> None:
    assert decode_position(encode_position(position, LONG), LONG) == position
    without_file = position._replace(file_id=None)
    assert decode_position(encode_position(position, EXTENDED), EXTENDED) == without_file
    short = decode_position(encode_position(position, SHORT), SHORT)
    is_small = position.object_id is not None and position.object_id < 1 << 32
    assert short == (without_file if is_small else without_file._replace(object_id=None))


def test_the_long_form_of_a_drive() -> None:
    data = bytes.fromhex("00000000 00000000 0000000000000006 0000000000000003") + bytes(8)
    assert decode_position(data, LONG) == Position(6, 3)


def test_a_drive_that_has_lost_its_place_says_so() -> None:
    assert decode_position(bytes.fromhex("14").ljust(20, b"\0"), SHORT).object_id is None


@given(st.sampled_from([SHORT, LONG, EXTENDED]), st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(form: int, data: bytes) -> None:
    try:
        decode_position(data, form)
    except Malformed:
        assert len(data) < 32


def test_a_short_answer_is_refused() -> None:
    with pytest.raises(Malformed, match="19 bytes, fewer than 20"):
        decode_position(bytes(19), SHORT)
