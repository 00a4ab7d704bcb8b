"""Reports of elements are taken apart, joined and cut as SMC has it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.scsi.element_report import (
    cut_report,
    join_report,
    report_length,
    split_report,
)
from tapekit.scsi.elements import Element, ElementType, decode_elements, encode_elements
from tapekit.scsi.malformed import Malformed

ALL = 0xFFFF
KINDS = st.dictionaries(
    st.integers(0, ALL), st.tuples(st.sampled_from(ElementType), st.booleans()), max_size=12
)
FLAGS = st.booleans()


def report(told: list[Element], *, tags: bool, identifiers: bool) -> bytes:
    """What a changer answers."""
    ordered = sorted(told, key=lambda one: (one.type, one.address))
    return encode_elements(ordered, with_tags=tags, with_identifiers=identifiers)


def elements(kinds: dict[int, tuple[ElementType, bool]]) -> list[Element]:
    """Elements at these addresses, some of them full."""
    return [
        Element(
            address=address,
            type=kind,
            is_full=is_full,
            volume_tag=f"T{address:05}" if is_full else None,
            source=address // 2 if is_full else None,
            drive_serial=f"D{address:05}" if kind is ElementType.DRIVE else None,
        )
        for address, (kind, is_full) in kinds.items()
    ]


@given(KINDS, FLAGS, FLAGS, st.integers(0, 14))
def test_a_report_is_joined_of_those_of_its_types(
    kinds: dict[int, tuple[ElementType, bool]], tags: bool, identifiers: bool, most: int
) -> None:
    told = elements(kinds)
    pages = [
        page
        for kind in reversed(ElementType)
        for page in split_report(
            report([one for one in told if one.type is kind], tags=True, identifiers=identifiers)
        )
    ]
    joined = join_report(pages if tags else [page.without_tags() for page in pages], most)
    lowest = sorted(told, key=lambda one: one.address)[:most]
    assert joined == report(lowest, tags=tags, identifiers=identifiers)
    assert report_length(joined) == len(joined)


@given(KINDS, FLAGS, FLAGS, st.integers(0, 900))
def test_a_report_is_cut_between_descriptors(
    kinds: dict[int, tuple[ElementType, bool]], tags: bool, identifiers: bool, room: int
) -> None:
    told = elements(kinds)
    whole = report(told, tags=tags, identifiers=identifiers)
    cut = cut_report(whole, room)
    assert len(cut) <= room
    assert whole.startswith(cut)
    if room < 8:
        assert cut == whole[:room]
        return
    some, every = decode_elements(cut), decode_elements(whole)
    assert some == every[: len(some)]
    if len(cut) < len(whole):
        following = encode_elements(
            [every[len(some)]], with_tags=tags, with_identifiers=identifiers
        )
        is_new_page = not some or some[-1].type is not every[len(some)].type
        assert len(cut) + len(following) - 8 - (0 if is_new_page else 8) > room


DRIVES = [
    Element(address=n, type=ElementType.DRIVE, is_full=True, volume_tag="T1", drive_serial="D1")
    for n in (1, 2)
]


def test_an_identifier_that_was_cut_off_is_left_out() -> None:
    whole = report(DRIVES, tags=True, identifiers=True)
    (page,) = split_report(whole[:-1])
    assert {len(one) for one in page.descriptors} == {page.size}
    found = decode_elements(join_report([page], ALL))
    assert [one.drive_serial for one in found] == ["D1", None]
    assert [one.volume_tag for one in found] == ["T1", "T1"]


def test_a_tag_that_lacks_its_number_is_told() -> None:
    whole = report(DRIVES, tags=True, identifiers=False)
    assert join_report(split_report(whole[:-8]), ALL) == whole


@pytest.mark.parametrize("lacking", [9, 60, 112])
def test_a_report_of_which_more_lacks_is_refused(lacking: int) -> None:
    whole = report(DRIVES, tags=True, identifiers=False)
    with pytest.raises(Malformed, match=r"an element descriptor has|elements came of 2"):
        split_report(whole[:-lacking])


@given(st.binary(max_size=200))
def test_any_bytes_are_taken_apart_or_refused(data: bytes) -> None:
    try:
        pages = split_report(data)
    except Malformed:
        return
    assert sum(len(page.descriptors) for page in pages) == int.from_bytes(data[2:4], "big")
    joined = join_report(pages, ALL)
    assert report_length(joined) == len(joined)


def test_elements_that_the_robot_reaches_say_so() -> None:
    kinds = [ElementType.TRANSPORT, ElementType.STORAGE, ElementType.IMPORT_EXPORT]
    told = [Element(address=kind, type=kind, is_full=False, is_accessible=False) for kind in kinds]
    data = bytearray(report(told, tags=True, identifiers=False))
    data[-50] &= ~0x30
    pages = [page.accessible() for page in split_report(bytes(data))]
    assert [page.descriptors[0][2] for page in pages] == [0x00, 0x08, 0x38]
