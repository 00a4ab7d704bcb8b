"""Writing: records, windows, pauses and counters (NDMP v4, mover mode READ)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapekit.hookspecs.mover import UNLIMITED, MoverHalt, MoverPause, Window
from tapekit.testing import MemorySource, MemoryTape, MemoryTapeDrive
from tapekit_mover.mover import TapeMover

if TYPE_CHECKING:
    from collections.abc import Iterable

RECORD = 1024


def pattern(length: int) -> bytes:
    return bytes(number % 251 for number in range(length))


def records_of(data: bytes, size: int = RECORD) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def test_a_stream_becomes_whole_records(rig: Any, source: Any) -> None:
    data = pattern(20 * RECORD)
    rig.start(lambda: rig.mover.run_to_tape(source))
    source.give(data[:700])
    source.give(data[700:])
    source.end()
    assert rig.ends() == (MoverHalt.CONNECT_CLOSED, None)
    assert rig.tape.items == records_of(data)
    assert rig.mover.progress.bytes_moved == 20 * RECORD
    assert rig.mover.progress.record_number == 20


def test_the_last_record_is_padded_with_zeros_and_counts_in_full(rig: Any, source: Any) -> None:
    rig.start(lambda: rig.mover.run_to_tape(source))
    source.give(pattern(RECORD + 10))
    source.end()
    assert rig.ends() == (MoverHalt.CONNECT_CLOSED, None)
    assert rig.tape.items[1] == pattern(RECORD + 10)[RECORD:] + bytes(RECORD - 10)
    assert rig.mover.progress.bytes_moved == 2 * RECORD


def test_a_stream_without_a_byte_writes_nothing(rig: Any, source: Any) -> None:
    rig.mover.set_window(Window(0, 0))
    rig.start(lambda: rig.mover.run_to_tape(source))
    source.end()
    assert rig.ends() == (MoverHalt.CONNECT_CLOSED, None)
    assert rig.tape.items == []


def test_an_empty_window_pauses_at_the_first_whole_record(rig: Any, source: Any) -> None:
    rig.mover.set_window(Window(0, 0))
    rig.start(lambda: rig.mover.run_to_tape(source))
    source.give(pattern(RECORD - 1))
    source.give(b"x")
    assert rig.hears() == (MoverPause.EOW, 0)
    assert rig.mover.progress.bytes_moved == 0
    assert rig.tape.items == []
    rig.mover.set_window(Window(0, UNLIMITED))
    rig.resume(MemoryTapeDrive(rig.tape))
    source.end()
    assert rig.ends() == (MoverHalt.CONNECT_CLOSED, None)
    assert rig.tape.items == [pattern(RECORD - 1) + b"x"]


def test_a_full_window_pauses_when_data_remains(rig: Any, source: Any) -> None:
    data = pattern(5 * RECORD)
    rig.mover.set_window(Window(0, 3 * RECORD))
    rig.start(lambda: rig.mover.run_to_tape(source))
    source.give(data)
    source.end()
    assert rig.hears() == (MoverPause.EOW, 3 * RECORD)
    assert rig.mover.progress.bytes_moved == 3 * RECORD
    assert rig.mover.progress.seek_position == 3 * RECORD
    second = MemoryTape()
    rig.mover.set_window(Window(3 * RECORD, UNLIMITED - 3 * RECORD))
    assert rig.mover.progress.record_number == 3
    rig.resume(MemoryTapeDrive(second))
    assert rig.ends() == (MoverHalt.CONNECT_CLOSED, None)
    assert rig.tape.items == records_of(data)[:3]
    assert second.items == records_of(data)[3:]
    assert rig.mover.progress.bytes_moved == 5 * RECORD
    assert rig.mover.progress.record_number == 5


def test_a_paused_mover_whose_stream_broke_off_keeps_nothing_of_it(rig: Any, source: Any) -> None:
    """Batches may hold files of a volume open, and a pause lasts as long as its client likes."""
    rig.mover.set_window(Window(0, RECORD))
    rig.start(lambda: rig.mover.run_to_tape(source))
    source.give(pattern(3 * RECORD))
    assert rig.hears() == (MoverPause.EOW, RECORD)
    assert source.released == 0
    rig.mover.let_go()
    source.until_released(1)
    assert rig.is_silent
    rig.mover.set_window(Window(RECORD, UNLIMITED))
    rig.resume(MemoryTapeDrive(rig.tape))
    text = "the data connection broke before the stream had ended"
    assert rig.ends() == (MoverHalt.CONNECT_ERROR, text)
    assert rig.tape.items == [pattern(RECORD)]


@pytest.mark.parametrize(
    ("end", "reason"), [("close", MoverHalt.CONNECT_CLOSED), ("abort", MoverHalt.ABORTED)]
)
def test_a_paused_mover_that_has_let_go_ends_as_it_is_told(
    rig: Any, source: Any, end: str, reason: MoverHalt
) -> None:
    rig.mover.set_window(Window(0, 0))
    rig.start(lambda: rig.mover.run_to_tape(source))
    source.give(pattern(RECORD))
    assert rig.hears() == (MoverPause.EOW, 0)
    rig.mover.let_go()
    source.until_released(1)
    getattr(rig.mover, end)()
    assert rig.ends() == (reason, None)


def test_a_window_that_is_just_filled_does_not_pause(rig: Any, source: Any) -> None:
    rig.mover.set_window(Window(0, 3 * RECORD))
    rig.start(lambda: rig.mover.run_to_tape(source))
    source.give(pattern(3 * RECORD))
    source.end()
    assert rig.ends() == (MoverHalt.CONNECT_CLOSED, None)


def test_a_partial_last_record_needs_room_in_the_window_too(rig: Any, source: Any) -> None:
    rig.mover.set_window(Window(0, RECORD))
    rig.start(lambda: rig.mover.run_to_tape(source))
    source.give(pattern(RECORD + 1))
    source.end()
    assert rig.hears() == (MoverPause.EOW, RECORD)


def test_resuming_in_a_window_that_is_still_full_pauses_again(rig: Any, source: Any) -> None:
    rig.mover.set_window(Window(0, RECORD))
    rig.start(lambda: rig.mover.run_to_tape(source))
    source.give(pattern(2 * RECORD))
    assert rig.hears() == (MoverPause.EOW, RECORD)
    rig.resume(MemoryTapeDrive(rig.tape))
    assert rig.hears() == (MoverPause.EOW, RECORD)


def small_tape(records: int, spare: int = 2) -> MemoryTape:
    return MemoryTape(capacity=(records + spare) * RECORD, early_warning=spare * RECORD)


def test_early_warning_keeps_the_record_for_the_next_tape(rig: Any, source: Any) -> None:
    data = pattern(6 * RECORD)
    first, second = small_tape(4), MemoryTape()
    rig.over(MemoryTapeDrive(first))
    rig.start(lambda: rig.mover.run_to_tape(source))
    source.give(data)
    source.end()
    assert rig.hears() == (MoverPause.EOM, 4 * RECORD)
    progress = rig.mover.progress
    assert (progress.bytes_moved, progress.record_number) == (4 * RECORD, 4)
    rig.mover.set_window(Window(4 * RECORD))
    rig.resume(MemoryTapeDrive(second))
    assert rig.ends() == (MoverHalt.CONNECT_CLOSED, None)
    assert first.items + second.items == records_of(data)
    assert len(second.items) == 2


def test_the_same_tape_may_be_filled_to_its_end(rig: Any, source: Any) -> None:
    data = pattern(7 * RECORD)
    tape, after = small_tape(4), MemoryTape()
    drive = MemoryTapeDrive(tape)
    rig.over(drive)
    rig.start(lambda: rig.mover.run_to_tape(source))
    source.give(data)
    source.end()
    assert rig.hears() == (MoverPause.EOM, 4 * RECORD)
    rig.resume(drive)
    assert rig.hears() == (MoverPause.EOM, 6 * RECORD)
    rig.resume(MemoryTapeDrive(after))
    assert rig.ends() == (MoverHalt.CONNECT_CLOSED, None)
    assert tape.items + after.items == records_of(data)


@pytest.mark.requirement("R319")
def test_a_new_tape_that_is_full_is_a_media_error(rig: Any, source: Any) -> None:
    full = MemoryTape(capacity=RECORD // 2)
    used = MemoryTapeDrive(full)
    rig.over(MemoryTapeDrive(small_tape(1)))
    rig.start(lambda: rig.mover.run_to_tape(source))
    source.give(pattern(2 * RECORD))
    assert rig.hears() == (MoverPause.EOM, RECORD)
    rig.resume(used)
    assert rig.hears() == (MoverPause.EOM, RECORD)
    rig.resume(used)
    assert rig.ends() == (
        MoverHalt.MEDIA_ERROR,
        "Tape write failed - new tape is already at the end of media",
    )


@pytest.mark.requirement("R318")
@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: MemoryTape(is_protected=True),
            "Tape write failed - new tape is broken or write protected",
        ),
        (lambda: None, "Tape write failed - new tape is broken or write protected"),
    ],
)
def test_a_new_tape_that_cannot_be_written(rig: Any, source: Any, make: Any, text: str) -> None:
    rig.over(MemoryTapeDrive(small_tape(1)))
    rig.start(lambda: rig.mover.run_to_tape(source))
    source.give(pattern(2 * RECORD))
    assert rig.hears() == (MoverPause.EOM, RECORD)
    rig.resume(MemoryTapeDrive(make()))
    assert rig.ends() == (MoverHalt.MEDIA_ERROR, text)


def test_large_batches_are_written_in_runs(rig: Any, source: Any) -> None:
    calls: list[int] = []

    class CountingDrive:
        def write_records(self, pieces: Any, record_size: int) -> int:
            calls.append(sum(map(len, pieces)))
            return drive.write_records(pieces, record_size)

    drive = MemoryTapeDrive(rig.tape)
    rig.over(CountingDrive(), run_bytes=4 * RECORD)
    rig.start(lambda: rig.mover.run_to_tape(source))
    source.give(pattern(10 * RECORD))
    source.end()
    rig.ends()
    assert calls == [4 * RECORD, 4 * RECORD, 2 * RECORD]


class TapeChanger:
    """Answers each pause with a window and a tape, like a DMA with many tapes."""

    def __init__(self, room: Iterable[int]) -> None:
        self._room = iter(room)
        self.tapes: list[MemoryTape] = []
        self.parts: list[int] = []
        self.halted_with: object = None
        self.mover: TapeMover | None = None

    def next_tape(self) -> Any:
        self.tapes.append(small_tape(next(self._room, 1000)))

        class Held:
            drive = MemoryTapeDrive(self.tapes[-1])

        return Held()

    def paused(self, reason: MoverPause, seek_position: int) -> None:
        assert self.mover is not None
        assert reason is MoverPause.EOM
        progress = self.mover.progress
        assert progress.bytes_moved == seek_position == progress.record_number * 64
        self.parts.append(seek_position)
        self.mover.set_window(Window(seek_position))
        self.mover.resume(self.next_tape())

    def explained(self, text: str) -> None:
        raise AssertionError(text)

    def halted(self, reason: MoverHalt, explanation: str | None) -> None:
        self.halted_with = (reason, explanation)


@settings(deadline=None)
@given(
    length=st.integers(0, 20_000),
    cuts=st.lists(st.integers(1, 900), min_size=1, max_size=4),
    room=st.lists(st.integers(1, 3), max_size=5),
)
def test_nothing_is_lost_or_doubled_over_any_number_of_tapes(
    length: int, cuts: list[int], room: list[int]
) -> None:
    data = pattern(length)
    dma = TapeChanger(room)
    mover = dma.mover = TapeMover(dma.next_tape(), 64, 256, dma)
    mover.run_to_tape(MemorySource(data, cuts=cuts))
    assert dma.halted_with == (MoverHalt.CONNECT_CLOSED, None)
    written = [record for tape in dma.tapes for record in tape.items]
    assert all(record is not None and len(record) == 64 for record in written)
    assert b"".join(filter(None, written)) == data + bytes(-length % 64)
    assert mover.progress.bytes_moved == 64 * len(written)
