"""Reading: ranges, seeks, pauses and counters (NDMP v4, mover mode WRITE)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapekit.hookspecs.mover import UNLIMITED, MoverHalt, MoverPause, Window
from tapekit.testing import FailingSink, MemorySink, MemoryTape, MemoryTapeDrive
from tapekit_mover.mover import TapeMover

RECORD = 1024


def pattern(length: int) -> bytes:
    return bytes(number % 251 for number in range(length))


DATA = pattern(20 * RECORD)


def tape_of(*files: bytes, size: int = RECORD) -> MemoryTape:
    """A tape with these tape files, a filemark behind each."""
    tape = MemoryTape()
    for data in files:
        tape.items.extend(data[at : at + size] for at in range(0, len(data), size))
        tape.items.append(None)
    return tape


def start(rig: Any, tape: MemoryTape, window: Window | None = None) -> None:
    rig.over(MemoryTapeDrive(tape))
    if window is not None:
        rig.mover.set_window(window)
    rig.start(lambda: rig.mover.run_from_tape(rig.sink))


def finish(rig: Any) -> bytes:
    rig.mover.close()
    assert rig.ends() == (MoverHalt.CONNECT_CLOSED, None)
    assert rig.sink.is_finished
    data: bytes = rig.sink.data
    return data


def test_a_range_is_sent_and_nothing_around_it(rig: Any) -> None:
    start(rig, tape_of(DATA))
    rig.mover.read(3 * RECORD + 100, 5 * RECORD)
    rig.send_until(5 * RECORD)
    progress = rig.mover.progress
    assert progress.bytes_left_to_read == 0
    assert progress.bytes_moved == 5 * RECORD
    assert progress.seek_position == 3 * RECORD + 100
    assert progress.record_number == 9
    assert finish(rig) == DATA[3 * RECORD + 100 : 8 * RECORD + 100]


def test_ranges_come_in_the_order_asked_for_backwards_too(rig: Any) -> None:
    start(rig, tape_of(DATA))
    wanted = [(9 * RECORD, 10), (9 * RECORD + 10, 2000), (0, RECORD), (RECORD, 1), (700, 700)]
    total = 0
    for offset, length in wanted:
        rig.mover.read(offset, length)
        total += length
        rig.send_until(total)
    assert finish(rig) == b"".join(DATA[offset : offset + length] for offset, length in wanted)


def test_reading_without_end_pauses_at_the_filemark(rig: Any) -> None:
    start(rig, tape_of(DATA))
    rig.mover.read(0, UNLIMITED)
    assert rig.hears() == (MoverPause.EOF, 20 * RECORD)
    assert rig.sink.data == DATA
    assert rig.mover.progress.bytes_left_to_read == UNLIMITED - 20 * RECORD
    assert finish(rig) == DATA


def test_the_end_of_data_pauses_as_a_filemark_does(rig: Any) -> None:
    tape = tape_of(DATA)
    tape.items.pop()
    start(rig, tape)
    rig.mover.read(19 * RECORD, 2 * RECORD)
    assert rig.hears() == (MoverPause.EOF, 20 * RECORD)


def test_spacing_into_a_filemark_pauses_at_the_offset_wanted(rig: Any) -> None:
    start(rig, tape_of(DATA, DATA))
    rig.mover.read(25 * RECORD + 3, 10)
    assert rig.hears() == (MoverPause.EOF, 25 * RECORD + 3)
    assert rig.sink.length == 0


def test_a_read_goes_on_in_the_next_tape_after_a_pause(rig: Any) -> None:
    start(rig, tape_of(DATA[: 8 * RECORD]), Window(0, UNLIMITED))
    rig.mover.read(6 * RECORD + 1, 10 * RECORD)
    assert rig.hears() == (MoverPause.EOF, 8 * RECORD)
    rig.mover.set_window(Window(8 * RECORD))
    rig.resume(MemoryTapeDrive(tape_of(DATA[8 * RECORD :])))
    rig.send_until(10 * RECORD)
    assert finish(rig) == DATA[6 * RECORD + 1 : 16 * RECORD + 1]


@pytest.mark.parametrize("offset", [0, 3 * RECORD, 8 * RECORD, 30 * RECORD])
def test_an_offset_outside_the_window_pauses_at_once(rig: Any, offset: int) -> None:
    start(rig, tape_of(DATA), Window(4 * RECORD, 4 * RECORD))
    rig.mover.read(offset, 10)
    assert rig.hears() == (MoverPause.SEEK, offset)
    assert rig.mover.progress.seek_position == offset


def test_a_read_that_crosses_the_window_pauses_at_its_end(rig: Any) -> None:
    start(rig, tape_of(DATA), Window(0, 4 * RECORD))
    rig.mover.read(2 * RECORD + 5, 10 * RECORD)
    assert rig.hears() == (MoverPause.SEEK, 4 * RECORD)
    assert rig.sink.data == DATA[2 * RECORD + 5 : 4 * RECORD]
    # The DMA stays on the tape: the window begins where the tape stands now.
    rig.mover.set_window(Window(4 * RECORD))
    rig.mover.resume(rig.mover._tape)
    rig.send_until(10 * RECORD)
    assert finish(rig) == DATA[2 * RECORD + 5 : 12 * RECORD + 5]


def test_a_window_that_still_misses_the_offset_pauses_again(rig: Any) -> None:
    start(rig, tape_of(DATA), Window(0, RECORD))
    rig.mover.read(5 * RECORD, 10)
    assert rig.hears() == (MoverPause.SEEK, 5 * RECORD)
    rig.mover.set_window(Window(RECORD, RECORD))
    rig.mover.resume(rig.mover._tape)
    assert rig.hears() == (MoverPause.SEEK, 5 * RECORD)


def test_the_window_begins_where_the_tape_stands(rig: Any) -> None:
    drive = MemoryTapeDrive(tape_of(DATA))
    drive.space_records(6)
    rig.over(drive)
    rig.mover.set_window(Window(100 * RECORD))
    rig.start(lambda: rig.mover.run_from_tape(rig.sink))
    rig.mover.read(102 * RECORD + 1, 5)
    rig.send_until(5)
    assert finish(rig) == DATA[8 * RECORD + 1 : 8 * RECORD + 6]


def test_a_short_record_is_used_as_it_is(rig: Any) -> None:
    start(rig, tape_of(DATA[: 2 * RECORD + 300]))
    rig.mover.read(0, UNLIMITED)
    assert rig.hears() == (MoverPause.EOF, 2 * RECORD + 300)
    assert finish(rig) == DATA[: 2 * RECORD + 300]


def test_records_behind_a_short_one_are_read_on(rig: Any) -> None:
    tape = MemoryTape()
    tape.items += [b"a" * RECORD, b"b" * 10, b"c" * RECORD]
    start(rig, tape)
    rig.mover.read(0, 2 * RECORD + 10)
    rig.send_until(2 * RECORD + 10)
    assert finish(rig) == b"a" * RECORD + b"b" * 10 + b"c" * RECORD


def test_an_offset_behind_the_end_of_a_short_record_is_not_there(rig: Any) -> None:
    start(rig, tape_of(DATA[: RECORD + 300]))
    rig.mover.read(RECORD + 500, 10)
    assert rig.hears() == (MoverPause.EOF, RECORD + 500)


@pytest.mark.requirement("R324")
def test_a_record_longer_than_the_record_size_is_explained(rig: Any) -> None:
    start(rig, tape_of(DATA, size=2 * RECORD))
    rig.mover.read(0, UNLIMITED)
    assert rig.ends() == (
        MoverHalt.MEDIA_ERROR,
        "Tape record size is too small. Try a larger size.",
    )


def test_a_peer_that_goes_away_closes_the_connection(rig: Any) -> None:
    sink = FailingSink(after=3 * RECORD)
    rig.over(MemoryTapeDrive(tape_of(DATA)), run_bytes=RECORD)
    rig.mover.read(0, UNLIMITED)
    rig.start(lambda: rig.mover.run_from_tape(sink))
    assert rig.ends() == (MoverHalt.CONNECT_CLOSED, None)


def test_closing_when_the_peer_is_gone_needs_no_end_of_stream(rig: Any) -> None:
    sink = FailingSink(after=-1)
    sink._is_broken = True
    rig.over(MemoryTapeDrive(tape_of(DATA)))
    rig.mover.close()
    rig.start(lambda: rig.mover.run_from_tape(sink))
    assert rig.ends() == (MoverHalt.CONNECT_CLOSED, None)


def test_abort_ends_no_stream(rig: Any) -> None:
    start(rig, tape_of(DATA))
    rig.mover.abort()
    assert rig.ends() == (MoverHalt.ABORTED, None)
    assert not rig.sink.is_finished


def test_everything_sent_has_been_used_before_a_pause_is_told(rig: Any) -> None:
    seen: list[bytes] = []

    class Hearing:
        def paused(self, reason: MoverPause, seek_position: int) -> None:
            seen.append(rig.sink.data)
            mover.close()

        def explained(self, text: str) -> None:
            raise AssertionError(text)

        def halted(self, reason: MoverHalt, explanation: str | None) -> None:
            seen.append(b"halted")

    class Held:
        drive = MemoryTapeDrive(tape_of(DATA))

    mover = TapeMover(Held(), RECORD, 4 * RECORD, Hearing())  # type: ignore[arg-type] # drive only
    mover.read(0, UNLIMITED)
    mover.run_from_tape(rig.sink)
    assert seen == [DATA, b"halted"]


@settings(deadline=None)
@given(
    length=st.integers(1, 6000),
    size=st.integers(16, 500),
    ranges=st.lists(st.tuples(st.integers(0, 5999), st.integers(1, 3000)), max_size=6),
    run_bytes=st.integers(1, 4000),
    split=st.integers(0, 20),
)
def test_any_ranges_over_two_tapes_are_slices_of_the_stream(
    length: int, size: int, ranges: list[tuple[int, int]], run_bytes: int, split: int
) -> None:
    data = pattern(-(-length // size) * size)
    border = min(split * size, len(data))
    parts = {0: data[:border], border: data[border:]}
    wanted = [(o % len(data), min(n, len(data) - o % len(data))) for o, n in ranges]
    script = iter(wanted)

    class Dma:
        """Loads the tape that has the offset wanted; closes when all is read."""

        def paused(self, reason: MoverPause, seek_position: int) -> None:
            assert reason in {MoverPause.SEEK, MoverPause.EOF}
            load(0 if seek_position < border else border)

        def explained(self, text: str) -> None:
            raise AssertionError(text)

        def halted(self, reason: MoverHalt, explanation: str | None) -> None:
            assert (reason, explanation) == (MoverHalt.CONNECT_CLOSED, None)

    class Held:
        def __init__(self, drive: MemoryTapeDrive) -> None:
            self.drive = drive

    def held(offset: int) -> Any:
        return Held(MemoryTapeDrive(tape_of(parts[offset], size=size)))

    def load(offset: int) -> None:
        mover.set_window(Window(offset, len(parts[offset])))
        mover.resume(held(offset))

    def ask_next(sent: int = 0) -> None:
        if mover.progress.bytes_left_to_read:
            return
        following = next(script, None)
        if following is None:
            mover.close()
        else:
            mover.read(*following)

    sink = MemorySink(watch=ask_next)
    mover = TapeMover(held(0), size, run_bytes, Dma())
    mover.set_window(Window(0, len(parts[0])))
    ask_next()
    mover.run_from_tape(sink)
    assert sink.data == b"".join(data[o : o + n] for o, n in wanted)
