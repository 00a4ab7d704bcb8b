"""Devices say who they are in the layouts of SPC."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.scsi.inquiry import (
    Designator,
    DeviceType,
    Inquiry,
    decode_designators,
    decode_inquiry,
    decode_page_list,
    decode_serial,
    encode_designators,
    encode_inquiry,
    encode_page_list,
    encode_serial,
)
from tapekit.scsi.malformed import Malformed

TEXT = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E))


@given(
    st.builds(
        Inquiry,
        st.sampled_from(DeviceType),
        TEXT.map(lambda text: text[:8]),
        TEXT.map(lambda text: text[:16]),
        TEXT.map(lambda text: text[:4]),
    )
)
def test_what_is_written_is_read_again(inquiry: Inquiry) -> None:
    assert decode_inquiry(encode_inquiry(inquiry)) == inquiry


def test_the_standard_answer_is_padded_text() -> None:
    data = encode_inquiry(Inquiry(DeviceType.TAPE, "HP", "Ultrium 5-SCSI", "I3BS"))
    assert data[8:36] == b"HP      Ultrium 5-SCSI  I3BS"
    assert (data[0], data[1], data[4]) == (1, 0x80, 31)


@given(st.frozensets(st.integers(0, 255)))
def test_the_list_of_pages_is_read_again(pages: frozenset[int]) -> None:
    assert decode_page_list(encode_page_list(DeviceType.TAPE, pages)) == pages


@given(TEXT)
def test_a_serial_number_is_read_again(serial: str) -> None:
    assert decode_serial(encode_serial(DeviceType.CHANGER, serial)) == serial


DESIGNATOR = st.builds(
    Designator, st.integers(1, 3), st.integers(0, 10), st.binary(min_size=1, max_size=60)
)


@given(st.lists(DESIGNATOR, max_size=5), st.integers(0, 20))
def test_identifiers_are_read_as_far_as_they_came(designators: list[Designator], lost: int) -> None:
    data = encode_designators(DeviceType.TAPE, designators)
    assert decode_designators(data) == designators
    kept = decode_designators(data[: max(4, len(data) - lost)])
    assert kept == designators[: len(kept)]


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for decode in (decode_inquiry, decode_page_list, decode_serial, decode_designators):
        with suppress(Malformed):
            decode(data)


def test_another_page_is_refused_by_its_number() -> None:
    with pytest.raises(Malformed, match="page 80h came for 83h"):
        decode_designators(encode_serial(DeviceType.TAPE, "S1"))


def test_a_place_without_a_device_is_refused() -> None:
    with pytest.raises(Malformed, match="no device"):
        decode_inquiry(bytes((0x7F,)).ljust(36, b"\0"))
