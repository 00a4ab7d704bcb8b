"""Pages of inode numbers for the state store."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit_dump.number_pages import NUMBERS_PER_PAGE, BadPage, pack_page, unpack_page

INODES = st.lists(st.one_of(st.integers(0, 5000), st.integers(0, 2**64 - 1)), max_size=100)


@given(INODES)
def test_pages_come_back(inodes: list[int]) -> None:
    assert list(unpack_page(pack_page(inodes))) == inodes


def test_inode_numbers_of_one_directory_take_little_room() -> None:
    inodes = [*range(10**9, 10**9 + NUMBERS_PER_PAGE // 2), *range(NUMBERS_PER_PAGE // 2)]
    assert len(pack_page(inodes)) < 2 * NUMBERS_PER_PAGE


@pytest.mark.parametrize(
    "page",
    [
        None,
        b"",
        b"no page",
        pack_page([1, 2, 3])[:-5],
        zlib.compress(b"12345"),
        zlib.compress(bytes(8 * (NUMBERS_PER_PAGE + 1))),
    ],
)
def test_what_is_no_page_is_refused(page: bytes | None) -> None:
    with pytest.raises(BadPage):
        unpack_page(page)
