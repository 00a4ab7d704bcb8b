"""Element status as changers send it, right and wrong."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.scsi.elements import Element, ElementType, decode_elements, encode_elements
from tapekit.scsi.malformed import Malformed

TAG = st.text(st.characters(min_codepoint=0x30, max_codepoint=0x5A), min_size=1, max_size=32)


@st.composite
def elements(draw: Any) -> Element:
    kind = draw(st.sampled_from(ElementType))
    is_full = draw(st.booleans())
    return Element(
        address=draw(st.integers(0, 0xFFFF)),
        type=kind,
        is_full=is_full,
        volume_tag=draw(st.none() | TAG) if is_full else None,
        source=draw(st.none() | st.integers(0, 0xFFFF)),
        is_accessible=draw(st.booleans()),
        was_imported=kind is ElementType.IMPORT_EXPORT and draw(st.booleans()),
        exception=draw(st.none() | st.tuples(st.integers(0, 255), st.integers(0, 255))),
        drive_serial=draw(st.none() | TAG) if kind is ElementType.DRIVE else None,
    )


LISTS = st.lists(elements(), max_size=12).map(lambda told: sorted(told, key=lambda one: one.type))


@given(LISTS)
def test_what_is_told_is_read_again(told: list[Element]) -> None:
    data = encode_elements(told, with_tags=True, with_identifiers=True)
    assert decode_elements(data) == told
    assert int.from_bytes(data[5:8], "big") == len(data) - 8


@given(LISTS, st.data())
def test_elements_are_read_as_far_as_they_came(told: list[Element], draw: st.DataObject) -> None:
    data = encode_elements(told, with_tags=False, with_identifiers=False)
    kept = decode_elements(data[: draw.draw(st.integers(8, len(data)))])
    assert [one.address for one in kept] == [one.address for one in told[: len(kept)]]
    assert {one.volume_tag for one in kept} <= {None}


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        decode_elements(data)
    except Malformed:
        assert len(data) < 8


@given(st.sampled_from(ElementType), st.integers(0, 64), st.binary(max_size=200))
def test_any_page_is_walked_by_the_size_that_it_states(
    kind: ElementType, size: int, body: bytes
) -> None:
    head = bytes((kind, 0xC0)) + size.to_bytes(2, "big") + len(body).to_bytes(4, "big")
    found = decode_elements(bytes(8) + head + body)
    assert len(found) <= (len(body) + size) // size if size else not found


def test_descriptors_of_a_real_library() -> None:
    """A drive with a tape, told with tag and vendor, product and serial number."""
    tag = b"TK0001L6".ljust(32) + bytes(4)
    serial = b"IBM     ULT3580-TD6     00078B1234"
    descriptor = (
        bytes.fromhex("0100 09 00 00 00 00 00 00 81 0400")
        + tag
        + bytes((2, 1, 0, len(serial)))
        + serial
    )
    page = bytes((4, 0x80)) + len(descriptor).to_bytes(2, "big") + bytes(1)
    page += len(descriptor).to_bytes(3, "big") + descriptor
    data = bytes.fromhex("0100 0001 00") + len(page).to_bytes(3, "big") + page
    assert decode_elements(data) == [
        Element(
            address=256,
            type=ElementType.DRIVE,
            is_full=True,
            volume_tag="TK0001L6",
            source=1024,
            drive_serial="00078B1234",
        )
    ]


def test_less_than_a_header_is_refused() -> None:
    with pytest.raises(Malformed, match="element status data has 7 bytes"):
        decode_elements(bytes(7))


def test_a_serial_number_that_is_cut_off_is_not_told() -> None:
    drives = [
        Element(address=n, type=ElementType.DRIVE, is_full=False, drive_serial=f"DRV000{n}")
        for n in (1, 2)
    ]
    data = encode_elements(drives, with_tags=True, with_identifiers=True)
    assert [one.drive_serial for one in decode_elements(data[:-3])] == ["DRV0001", None]
