"""Mode parameters with both headers, cut off anywhere."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.scsi.malformed import Malformed
from tapekit.scsi.mode import (
    COMPRESSION_PAGE,
    BlockDescriptor,
    ElementAddresses,
    ElementRange,
    ModeData,
    ModePage,
    decode_element_addresses,
    decode_mode,
    encode_element_addresses,
    encode_mode,
)

PAGES = st.lists(st.builds(ModePage, st.integers(0, 0x3E), st.binary(max_size=30)), max_size=4).map(
    tuple
)
DATA = st.builds(
    ModeData,
    medium_type=st.integers(0, 255),
    is_protected=st.booleans(),
    buffered_mode=st.integers(0, 7),
    descriptor=st.none()
    | st.builds(BlockDescriptor, st.integers(0, 255), st.integers(0, 0xFF_FFFF)),
    pages=PAGES,
)
RANGES = st.builds(ElementRange, st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))


@given(DATA, st.booleans())
def test_what_is_written_is_read_again(data: ModeData, is_long: bool) -> None:
    assert decode_mode(encode_mode(data, is_long=is_long), is_long=is_long) == data


@given(DATA, st.booleans(), st.data())
def test_pages_are_read_as_far_as_they_came(
    data: ModeData, is_long: bool, draw: st.DataObject
) -> None:
    encoded = encode_mode(data, is_long=is_long)
    least = (8 if is_long else 4) + (8 if data.descriptor else 0)
    kept = encoded[: draw.draw(st.integers(least, len(encoded)))]
    found = decode_mode(kept, is_long=is_long).pages
    assert found == data.pages[: len(found)]


@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_read_or_refused(data: bytes, is_long: bool) -> None:
    with suppress(Malformed):
        assert all(page.code < 0x40 for page in decode_mode(data, is_long=is_long).pages)


def test_a_list_for_mode_select_announces_nothing() -> None:
    data = bytes.fromhex("00 00 10 08 5a 000000 00 000200 0f 02 abcd")
    assert decode_mode(data, is_long=False) == ModeData(
        buffered_mode=1,
        descriptor=BlockDescriptor(0x5A, 512),
        pages=(ModePage(COMPRESSION_PAGE, b"\xab\xcd"),),
    )


def test_a_block_descriptor_of_another_size_is_refused() -> None:
    with pytest.raises(Malformed, match="4 bytes"):
        decode_mode(bytes.fromhex("00 00 10 04 00000000"), is_long=False)


def test_pages_that_need_the_long_header_are_refused_under_the_short_one() -> None:
    with pytest.raises(ValueError, match="long header"):
        encode_mode(ModeData(pages=(ModePage(1, bytes(255)),)), is_long=False)


@given(st.builds(ElementAddresses, RANGES, RANGES, RANGES, RANGES))
def test_element_addresses_are_read_again(addresses: ElementAddresses) -> None:
    assert decode_element_addresses(encode_element_addresses(addresses)) == addresses


@pytest.mark.parametrize("page", [ModePage(0x1D, bytes(15)), ModePage(0x1F, bytes(18))])
def test_another_page_has_no_element_addresses(page: ModePage) -> None:
    with pytest.raises(Malformed, match=r"mode page 1Fh|15 bytes"):
        decode_element_addresses(page)
