"""What the base of an incremental dump numbered."""

from __future__ import annotations

from contextlib import closing

import pytest

from tapekit_dump.known_numbers import KnownNumbers
from tapekit_dump.maps import ROOT
from tapekit_dump.number_pages import NUMBERS_PER_PAGE, BadPage, pack_page
from tapekit_dump.spool import SpoolRoom

ROOM = SpoolRoom(None, 65536)


def test_numbers_go_on_from_page_to_page() -> None:
    first = [0, *range(1001, 1000 + NUMBERS_PER_PAGE)]
    with closing(KnownNumbers([pack_page(first), pack_page([7, 0, 9])], ROOM)) as known:
        assert known.highest == ROOT + NUMBERS_PER_PAGE + 2
        assert [known.find(inode) for inode in (0, 1001, 7, 9)] == [
            0,
            ROOT + 1,
            known.highest - 2,
            known.highest,
        ]
        assert [inode for page in known.pages() for inode in page] == [*first, 7, 0, 9]


@pytest.mark.parametrize("missing", [0, 1])
def test_numbers_that_are_not_all_there_are_none(missing: int) -> None:
    pages: list[bytes | None] = [pack_page([1, 2]), pack_page([3])]
    pages[missing] = None
    with pytest.raises(BadPage, match="missing"):
        KnownNumbers(pages, ROOM)
