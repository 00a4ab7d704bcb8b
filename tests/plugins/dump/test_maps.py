"""Maps of inode numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tapekit_dump.headers import RECORD_BYTES
from tapekit_dump.maps import ROOT, dense_map, has_bit, map_records, numbers_in


def test_map_of_the_worked_example() -> None:
    assert b"".join(dense_map(4)) == b"\x0e".ljust(RECORD_BYTES, b"\0")


@given(st.integers(ROOT, 40_000))
def test_dense_map_has_every_number_from_the_root_on(highest: int) -> None:
    bitmap = b"".join(dense_map(highest))
    assert len(bitmap) == map_records(highest) * RECORD_BYTES
    assert list(numbers_in(bitmap)) == list(range(ROOT, highest + 1))


def test_map_grows_by_a_record_after_8192_numbers() -> None:
    assert [map_records(n) for n in (2, 8192, 8193, 16384, 100_000_000)] == [1, 1, 2, 2, 12208]


@given(st.sets(st.integers(1, 1000)), st.integers(-3, 2000))
def test_bit_is_that_of_its_number(numbers: set[int], asked: int) -> None:
    bitmap = bytearray(125)
    for number in numbers:
        bitmap[(number - 1) >> 3] |= 1 << ((number - 1) & 7)
    assert has_bit(bitmap, asked) == (asked in numbers)
    assert set(numbers_in(bitmap)) == numbers
