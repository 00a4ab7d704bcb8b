"""Finding repeated inode numbers."""

from __future__ import annotations

from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from tapekit_dump import hard_links
from tapekit_dump.hard_links import UNTRUSTED, HardLinks
from tapekit_dump.maps import ROOT
from tapekit_dump.spool import SpoolRoom

ROOM = SpoolRoom(None, 200)
INODES = st.lists(
    st.lists(st.one_of(st.integers(1, 50), st.integers(1, 2**64 - 1)), max_size=20).map(sorted)
)


@given(INODES)
def test_repeated_numbers_are_found(slices: list[list[int]]) -> None:
    seen: set[int] = set()
    with closing(HardLinks(ROOM)) as links:
        for inodes in slices:
            expected = []
            for index, inode in enumerate(inodes):
                if inode in seen:
                    expected.append(index)
                seen.add(inode)
            assert links.seen_before(inodes) == expected


@given(st.lists(st.integers(1, 30), max_size=60), st.integers(1, 5), st.integers(1, 8))
def test_each_link_gets_the_number_of_its_first_sight(
    inodes: list[int], looked_up: int, scanned: int
) -> None:
    records = ROOM.spool()
    first: dict[int, int] = {}
    expected = []
    with closing(HardLinks(ROOM, looked_up_at_once=looked_up, scanned_at_once=scanned)) as links:
        for inode in inodes:
            if inode in first:
                links.add(inode, records.append(bytes(4)))
                expected.append(first[inode])
            else:
                first[inode] = ROOT + len(first)
                links.remember([inode])
        assert links.resolve(records) == len(expected)
    numbers = records.read(0, records.length)
    assert [
        int.from_bytes(numbers[at : at + 4], "little") for at in range(0, len(numbers), 4)
    ] == expected
    records.close()


def test_untrusted_number_is_nobodys() -> None:
    records = ROOM.spool()
    place = records.append(bytes(4))
    with closing(HardLinks(ROOM)) as links:
        links.remember([UNTRUSTED, 77])
        links.add(77, place)
        links.resolve(records)
    assert records.read(0, 4) == (3).to_bytes(4, "little")
    records.close()


def test_memory_is_a_bit_for_each_number() -> None:
    assert hard_links._PAGE_BYTES * 8 == 1 << hard_links._PAGE_SHIFT
    with closing(HardLinks(ROOM)) as links:
        for start in range(1, 1_000_000, 10_000):
            links.seen_before(range(start, start + 10_000))
        assert len(links._pages) * hard_links._PAGE_BYTES < 130_000
