from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tapekit_smtape.backup_extents import Extent, Range, data_ranges, same_ranges

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = 4096
PLACES = st.lists(st.none() | st.integers(0, 20), max_size=24)
"""Where each block of a file lies; those in no place are holes."""


def extents(places: list[int | None]) -> list[Extent]:
    """What a file system would tell of a file, in runs as long as can be."""
    found: list[Extent] = []
    for number, place in enumerate(places):
        if place is None:
            continue
        last = found[-1] if found else Extent(-1, 0, -1, is_shared=False)
        if (last.start + last.length, last.place + last.length) == (number, place):
            found[-1] = last._replace(length=last.length + 1)
        else:
            found.append(Extent(number, 1, place, is_shared=True))
    return found


@given(PLACES, PLACES)
def test_same_ranges_are_the_blocks_in_the_same_place(
    old: list[int | None], new: list[int | None]
) -> None:
    expected = {
        number
        for number, (one, other) in enumerate(zip(old, new, strict=False))
        if one is not None and one == other
    }
    found = same_ranges(extents(old), extents(new))
    assert {number for start, stop in found for number in range(start, stop)} == expected
    assert found == sorted(found)


def test_ranges_of_data_are_whole_blocks(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.seek(64 * BLOCK)
        file.write(b"x")
        file.truncate(128 * BLOCK)
    fd = os.open(path, os.O_RDONLY)
    try:
        assert list(data_ranges(fd, 0, 128 * BLOCK)) == [Range(64 * BLOCK, 65 * BLOCK)]
        assert list(data_ranges(fd, 65 * BLOCK, 128 * BLOCK)) == []
        assert list(data_ranges(fd, 64 * BLOCK, 64 * BLOCK + 1)) == [
            Range(64 * BLOCK, 64 * BLOCK + 1)
        ]
    finally:
        os.close(fd)
