"""Windows, record numbers and seeks are arithmetic on stream offsets."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.hookspecs.mover import UNLIMITED, Window
from tapekit.segments import Extent
from tapekit_mover.window import Seek, TapeCount, cut, window_stop

SIZE = 1024


def test_a_window_without_end_has_no_stop_whatever_its_offset() -> None:
    assert window_stop(Window()) == UNLIMITED
    assert window_stop(Window(4096, UNLIMITED)) == UNLIMITED
    assert window_stop(Window(4096, UNLIMITED - 4096)) == UNLIMITED
    assert window_stop(Window(4096, 1024)) == 5120


def test_the_record_number_counts_on_in_the_whole_image() -> None:
    count = TapeCount(Window(10 * SIZE), SIZE)
    assert count.record_number == 10
    count.moved(3, 3 * SIZE)
    assert count.record_number == 13


@pytest.mark.parametrize(
    ("window", "room"),
    [(Window(0, 0), 0), (Window(0, 3 * SIZE), 3), (Window(SIZE, 3 * SIZE - 1), 2)],
)
def test_room_is_in_whole_records(window: Window, room: int) -> None:
    assert TapeCount(window, SIZE).room == room


def test_room_shrinks_to_nothing_and_stays_there() -> None:
    count = TapeCount(Window(0, 2 * SIZE), SIZE)
    count.moved(2, 2 * SIZE)
    assert count.room == 0
    count.moved(1, SIZE)
    assert count.room == 0


def test_an_offset_is_in_the_window_up_to_its_end() -> None:
    count = TapeCount(Window(2 * SIZE, SIZE), SIZE)
    assert [count.contains(n) for n in (2 * SIZE - 1, 2 * SIZE, 3 * SIZE - 1, 3 * SIZE)] == [
        False,
        True,
        True,
        False,
    ]
    assert count.within(2 * SIZE + 1000, 100) == 24


def test_a_seek_counts_records_and_drops_the_rest() -> None:
    count = TapeCount(Window(4 * SIZE), SIZE)
    assert count.seek(4 * SIZE) == Seek(0, 0)
    assert count.seek(6 * SIZE + 7) == Seek(2, 7)
    count.moved(5, 5 * SIZE)
    assert count.seek(6 * SIZE + 7) == Seek(-3, 7)
    count.sought(-3)
    assert count.position == 6 * SIZE
    assert count.seek(6 * SIZE + 7) == Seek(0, 7)


def test_reading_on_after_a_short_record_needs_no_seek() -> None:
    count = TapeCount(Window(), SIZE)
    count.moved(1, 100)
    assert count.seek(100) == Seek(0, 0)


@given(
    data=st.binary(max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=4),
    bounds=st.tuples(st.integers(0, 60), st.integers(0, 60)),
)
def test_cut_is_a_slice(data: bytes, cuts: list[int], bounds: tuple[int, int]) -> None:
    marks = [0, *sorted(min(n, len(data)) for n in cuts), len(data)]
    pieces = [memoryview(data)[a:b] for a, b in itertools.pairwise(marks)]
    start, stop = sorted(bounds)
    found = cut(pieces, start, stop)
    assert (
        b"".join(bytes(piece) for piece in found if not isinstance(piece, Extent))
        == (data[start:stop])
    )


def test_cut_slices_extents_without_reading_them() -> None:
    assert cut([Extent(3, 100, 50), Extent(3, 500, 50)], 10, 70) == [
        Extent(3, 110, 40),
        Extent(3, 500, 20),
    ]
