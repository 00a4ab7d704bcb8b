"""When a place in the stream becomes a checkpoint, and what a restart skips."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.errors import TapekitError
from tapekit.segments import Batch, ConnectionBroken
from tapekit.streams import StreamWriter
from tapekit.testing import MemorySink
from tapekit_dump.backup_stream import ObjectStream
from tapekit_dump.checkpoints import Checkpoints, CountingSink, LossNotes
from tapekit_dump.header_packing import HeaderPacker
from tapekit_dump.headers import DumpLabel
from tapekit_trees.restarts import UsedSink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit_dump.restart_contexts import Checkpoint

LABEL = DumpLabel(
    date=1,
    base_date=0,
    level=0,
    filesystem=b"/vs1/vol1",
    device_name=b"copy",
    host=b"node",
    records_per_block=10,
)


def nothing_lost() -> None:
    """What is made once more is what it was."""


def nobody(position: int, length: int) -> None:
    """Whom nothing needs to be told before it leaves."""


def batch(data: bytes, released: list[bytes] | None = None) -> Batch:
    view = memoryview(data)
    return Batch([view], len(data), None if released is None else lambda: released.append(data))


def test_losses_are_noted_once_behind_each_checkpoint_before_they_leave() -> None:
    noted: list[tuple[int, int, int]] = []
    losses = [0]
    inner = UsedSink()
    notes = LossNotes(
        lambda: losses[-1], lambda at, count: noted.append((at, count, len(inner.data)))
    )
    sink = CountingSink(inner, 1000, 1000, nothing_lost, notes.leaving)
    losses.append(1)
    notes.begin()
    for count in (1, 2, 3):
        losses.append(count)
        sink.put(batch(b"x" * 10))
    assert notes.checkpoint() == 3
    for count in (3, 4):
        losses.append(count)
        sink.put(batch(b"x" * 10))
    # A place that may never become a checkpoint lies behind a loss that has not left.
    assert notes.checkpoint() == 4
    losses.append(5)
    assert notes.checkpoint() == 5
    sink.put(batch(b"x" * 10))
    assert noted == [(1010, 2, 10), (1040, 4, 40), (1050, 5, 50)]


def test_what_cannot_be_noted_does_not_leave() -> None:
    def refuse(position: int, length: int) -> None:
        raise OSError(position, length)

    inner, released = UsedSink(), list[bytes]()
    sink = CountingSink(inner, 0, 0, nothing_lost, refuse)
    with pytest.raises(OSError, match="1"):
        sink.put(batch(b"x", released))
    assert (inner.data, released) == (b"", [b"x"])


def test_the_last_two_batches_that_came_back_prove_nothing() -> None:
    sink = CountingSink(UsedSink(), 100, 100, nothing_lost, nobody)
    used = []
    for _ in range(5):
        sink.put(batch(b"x" * 10))
        used.append(sink.used)
    assert used == [100, 100, 110, 120, 130]


@given(
    st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=8),
    st.integers(0, 80),
)
def test_what_the_other_end_has_is_left_out(pieces: list[bytes], unwanted: int) -> None:
    whole = b"".join(pieces)
    inner, released = MemorySink(buffers=2), list[bytes]()
    sink = CountingSink(inner, 1000, 1000 + unwanted, nothing_lost, nobody)
    for piece in pieces:
        halves = [memoryview(piece[: len(piece) // 2]), memoryview(piece[len(piece) // 2 :])]
        one = Batch(halves, len(piece), lambda piece=piece: released.append(piece))
        sink.put(one)
    if unwanted > len(whole):
        with pytest.raises(TapekitError, match=f"the stream ends at byte {1000 + len(whole)}"):
            sink.finish()
        assert inner.data == b""
    else:
        sink.finish()
        assert inner.data == whole[unwanted:]
    assert b"".join(released) == whole


class Kept:
    """Checkpoints of a stream that is written record by record."""

    def __init__(self, sink: UsedSink, every: int) -> None:
        self.checkpoints: list[Checkpoint] = []
        counting = CountingSink(sink, 0, 0, nothing_lost, nobody)
        self.writer = StreamWriter(counting)
        self.stream = ObjectStream(self.writer, HeaderPacker(LABEL), None)
        self.places = Checkpoints(
            counting, self.stream, self._keep, every, LossNotes(lambda: 0, lambda *_: None)
        )

    def _keep(self, checkpoints: Sequence[Checkpoint]) -> None:
        self.checkpoints += checkpoints

    def write(self, number: int) -> None:
        """One object in a batch of its own."""
        self.writer.write(bytes(1024))
        self.writer.turn()
        self.places.reached(number)


def test_places_become_checkpoints_once_more_has_been_used() -> None:
    kept = Kept(UsedSink(), 2048)
    kept.stream.lost_numbers.append(3)
    for number in range(3, 12):
        kept.write(number)
    assert [each.position for each in kept.checkpoints] == [1024, 3072, 5120, 7168]
    assert [each.number for each in kept.checkpoints] == [3, 5, 7, 9]
    assert [each.lost for each in kept.checkpoints] == [(3,), (), (), ()]


def test_a_broken_connection_makes_no_checkpoint() -> None:
    sink = UsedSink(breaks_after=4000)
    kept = Kept(sink, 1024)
    for number in (3, 4, 5):
        kept.write(number)
    with pytest.raises(ConnectionBroken):
        kept.write(6)
    before = list(kept.checkpoints)
    assert [each.position for each in before] == [1024]
    with pytest.raises(ConnectionBroken):
        kept.places.reached(99)
    assert kept.checkpoints == before
