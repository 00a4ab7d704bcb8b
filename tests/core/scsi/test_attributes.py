"""The memory of a cartridge is read as it was written, and cut answers as far as they go."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.scsi.attributes import (
    BARCODE,
    MAXIMUM_CAPACITY,
    MEDIUM_SERIAL,
    Attribute,
    binary,
    decode_attributes,
    encode_attribute_list,
    encode_attributes,
    text,
)
from tapekit.scsi.malformed import Malformed

MEMORY = (text(BARCODE, "VT0001L8"), binary(MAXIMUM_CAPACITY, 11444224, 8))


def test_an_answer_is_as_the_standard_says() -> None:
    assert encode_attributes(MEMORY).hex() == (
        "0000003200018000080000000000aea0000806010020" + b"VT0001L8".ljust(32).hex()
    )
    assert encode_attribute_list(MEMORY).hex() == "0000000400010806"


def test_attributes_before_the_first_one_wanted_are_left_out() -> None:
    assert list(decode_attributes(encode_attributes(MEMORY, 2))) == [BARCODE]
    assert decode_attributes(encode_attributes(MEMORY, BARCODE + 1)) == {}


@given(
    st.dictionaries(st.integers(0, 0xFFFF), st.binary(max_size=40), max_size=8),
    st.integers(0, 400),
)
def test_what_was_cut_off_is_left_out(memory: dict[int, bytes], kept: int) -> None:
    whole = encode_attributes(Attribute(name, 0, value) for name, value in memory.items())
    assert decode_attributes(whole) == memory
    cut = whole[: max(kept, 4)]
    found = decode_attributes(cut)
    assert found.items() <= memory.items()
    assert found == memory or len(cut) < len(whole)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(Malformed):
        assert decode_attributes(data).keys() <= set(range(1 << 16))


def test_an_answer_that_contradicts_itself_is_refused() -> None:
    serial = text(MEDIUM_SERIAL, "A")
    with pytest.raises(Malformed, match="0x0401 comes twice"):
        decode_attributes(encode_attributes([serial, serial]))
    with pytest.raises(Malformed, match="fewer than 4"):
        decode_attributes(b"\0\0\0")
