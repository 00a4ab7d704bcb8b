"""What is asked of a mover, and what a restore gets of it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tapekit.hookspecs.mover import UNLIMITED
from tapekit.segments import Batch
from tapekit.testing.memory_tape import bytes_of
from tapekit_ndmp_v4.ranges import AskedRanges

if TYPE_CHECKING:
    from tapekit.segments import DataSource

IMAGE = bytes(range(251)) * 400


class MemoryMover:
    """Gives what it was asked for, in batches of odd lengths, and refuses a
    request that comes too early.
    """

    def __init__(self, *, image: bytes = IMAGE, cuts: tuple[int, ...] = (700, 3, 5000)) -> None:
        self.image = image
        self.asked: list[tuple[int, int]] = []
        self._at = self._stop = 0
        self._cuts = itertools.cycle(cuts)
        self.held = 0

    def read(self, offset: int, length: int) -> None:
        assert self._at == self._stop, "the last range is not read yet"
        self.asked.append((offset, length))
        self._at, self._stop = offset, min(offset + length, len(self.image))

    def get(self) -> Batch | None:
        """The connection, which ends where the image does."""
        if self._at == self._stop:
            return None
        pieces = []
        for _ in range(2):
            start, self._at = self._at, min(self._at + next(self._cuts), self._stop)
            pieces.append(memoryview(self.image)[start : self._at])
        self.held += 1
        return Batch.of(pieces, self._take_back)

    def _take_back(self) -> None:
        self.held -= 1


def read(source: DataSource) -> bytes:
    found = b""
    while (batch := source.get()) is not None:
        found += bytes_of(batch.pieces)
        batch.release()
    return found


def test_whole_records_are_asked_for_and_the_wanted_bytes_given() -> None:
    mover = MemoryMover()
    ranges = AskedRanges(mover, mover.read, 1000)
    assert read(ranges.request(2500, 700)) == IMAGE[2500:3200]
    assert mover.asked == [(2000, 2000)]


def test_the_rest_of_a_record_waits_for_the_next_range() -> None:
    mover = MemoryMover()
    ranges = AskedRanges(mover, mover.read, 10_000)
    assert read(ranges.request(2500, 700)) == IMAGE[2500:3200]
    assert read(ranges.request(3200, 1000)) == IMAGE[3200:4200]
    assert read(ranges.request(8000, 4000)) == IMAGE[8000:12_000]
    assert mover.asked == [(0, 10_000), (10_000, 10_000)]


def test_what_a_range_left_unread_is_passed_over_before_the_next_is_asked_for() -> None:
    mover = MemoryMover()
    ranges = AskedRanges(mover, mover.read, 1000)
    first = ranges.request(0, 20_000).get()
    assert first is not None
    first.release()
    assert read(ranges.request(50_000, 10)) == IMAGE[50_000:50_010]
    assert mover.asked == [(0, 20_000), (50_000, 1000)]
    ranges.close()
    assert mover.held == 0


def test_a_range_may_lie_before_the_one_before() -> None:
    mover = MemoryMover()
    ranges = AskedRanges(mover, mover.read, 1000)
    read(ranges.request(50_000, 10))
    assert read(ranges.request(1500, 10)) == IMAGE[1500:1510]
    assert mover.asked == [(50_000, 1000), (1000, 1000)]


def test_everything_is_asked_for_without_end() -> None:
    mover = MemoryMover()
    ranges = AskedRanges(mover, mover.read, 10_240)
    assert read(ranges.request(0, UNLIMITED)) == IMAGE
    assert mover.asked == [(0, UNLIMITED)]


def test_nothing_is_asked_for_behind_the_end_of_the_stream() -> None:
    mover = MemoryMover()
    ranges = AskedRanges(mover, mover.read, 1000)
    assert read(ranges.request(len(IMAGE) - 100, 5000)) == IMAGE[-100:]
    assert read(ranges.request(len(IMAGE) + 5000, 10)) == b""
    assert len(mover.asked) == 1


@given(
    wanted=st.lists(
        st.tuples(st.integers(0, len(IMAGE) - 1), st.integers(0, 9000)), min_size=1, max_size=8
    ),
    record_bytes=st.sampled_from([1, 512, 1000, 10_240]),
    cuts=st.lists(st.integers(1, 4000), min_size=1, max_size=4),
)
def test_any_ranges_come_as_they_are_asked_for(
    wanted: list[tuple[int, int]], record_bytes: int, cuts: list[int]
) -> None:
    image = IMAGE + bytes(-len(IMAGE) % record_bytes)
    mover = MemoryMover(image=image, cuts=tuple(cuts))
    ranges = AskedRanges(mover, mover.read, record_bytes)
    for offset, length in wanted:
        stop = min(offset + length, len(IMAGE))
        assert read(ranges.request(offset, stop - offset)) == IMAGE[offset:stop]
    for offset, length in mover.asked:
        assert offset % record_bytes == length % record_bytes == 0
    ranges.close()
    assert mover.held == 0
