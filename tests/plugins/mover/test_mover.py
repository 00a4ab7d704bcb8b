"""What every mover does: counters, stops, and how a transfer ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tapekit.hookspecs.mover import MoverHalt, MoverPause, MoverProgress, Window
from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.testing import MemorySink, MemorySource, MemoryTapeDrive
from tapekit_mover.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.segments import Piece

RECORD = 1024


class FailingDrive:
    """A drive that fails on cue: ``errors`` come instead of the next calls."""

    def __init__(self, drive: MemoryTapeDrive, *errors: Exception | None) -> None:
        self._drive = drive
        self._errors = list(errors)

    def write_records(self, pieces: Sequence[Piece], record_size: int) -> int:
        self._fail()
        return self._drive.write_records(pieces, record_size)

    def read_records(self, *args: Any) -> Any:
        self._fail()
        return self._drive.read_records(*args)

    def _fail(self) -> None:
        error = self._errors.pop(0) if self._errors else None
        if error is not None:
            raise error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._drive, name)


def tape_error(condition: Condition) -> TapeError:
    return CATALOGUE.raised_as(TapeError, "tape-write-failed", condition=condition)


def test_a_new_mover_has_moved_nothing(rig: Any) -> None:
    assert rig.mover.progress == MoverProgress(0, 0, 0, 0)


def test_close_before_the_first_byte_halts_closed(rig: Any, source: Any) -> None:
    rig.mover.close()
    rig.start(lambda: rig.mover.run_to_tape(source))
    source.break_off()
    assert rig.ends() == (MoverHalt.CONNECT_CLOSED, None)


def test_abort_of_a_mover_that_waits_for_its_connection(rig: Any, source: Any) -> None:
    rig.start(lambda: rig.mover.run_to_tape(source))
    rig.mover.abort()
    source.break_off()
    assert rig.ends() == (MoverHalt.ABORTED, None)


def test_abort_is_not_softened_by_a_later_close(rig: Any, source: Any) -> None:
    rig.mover.abort()
    rig.mover.close()
    rig.start(lambda: rig.mover.run_to_tape(source))
    source.break_off()
    assert rig.ends() == (MoverHalt.ABORTED, None)


@pytest.mark.parametrize("stop", ["abort", "close"])
def test_a_paused_mover_halts_by_itself(rig: Any, source: Any, stop: str) -> None:
    rig.mover.set_window(Window(0, 0))
    rig.start(lambda: rig.mover.run_to_tape(source))
    source.give(bytes(RECORD))
    assert rig.hears() == (MoverPause.EOW, 0)
    getattr(rig.mover, stop)()
    reason = MoverHalt.ABORTED if stop == "abort" else MoverHalt.CONNECT_CLOSED
    assert rig.ends() == (reason, None)
    assert source.released == 1


def test_abort_wins_over_the_error_that_comes_with_it(rig: Any, source: Any) -> None:
    class AbortedDrive:
        """The abort comes while the drive is at work, which then fails."""

        def write_records(self, pieces: Sequence[Piece], record_size: int) -> int:
            rig.mover.abort()
            raise tape_error(Condition.NOT_READY)

    rig.over(AbortedDrive())
    rig.start(lambda: rig.mover.run_to_tape(source))
    source.give(bytes(RECORD))
    assert rig.ends() == (MoverHalt.ABORTED, None)


def test_a_broken_connection_while_writing(rig: Any, source: Any) -> None:
    rig.start(lambda: rig.mover.run_to_tape(source))
    source.give(bytes(3 * RECORD + 5))
    source.break_off()
    reason, told = rig.ends()
    assert reason is MoverHalt.CONNECT_ERROR
    assert told == "the data connection broke before the stream had ended"
    assert len(rig.tape.items) == 3
    assert source.released == 1


@pytest.mark.requirement("R315")
def test_a_tape_error_while_writing_is_explained_and_logged(
    rig: Any, source: Any, caplog: pytest.LogCaptureFixture
) -> None:
    drive = FailingDrive(MemoryTapeDrive(rig.tape), None, tape_error(Condition.MEDIUM_ERROR))
    rig.over(drive)
    rig.start(lambda: rig.mover.run_to_tape(source))
    source.give(bytes(RECORD))
    source.give(bytes(RECORD))
    assert rig.ends() == (MoverHalt.MEDIA_ERROR, "Media error on tape write")
    assert "[mover.media-error-on-write: Replace the tape" in rig.advice
    assert "Could not initialize media" not in rig.texts
    assert "the tape stopped a transfer" in caplog.text
    assert source.released == 2


@pytest.mark.requirement("R321")
def test_a_tape_error_while_reading_is_explained(rig: Any) -> None:
    rig.tape.items.append(bytes(RECORD))
    rig.over(FailingDrive(MemoryTapeDrive(rig.tape), tape_error(Condition.MEDIUM_ERROR)))
    sink = MemorySink()
    rig.mover.read(0, RECORD)
    rig.start(lambda: rig.mover.run_from_tape(sink))
    assert rig.ends() == (MoverHalt.MEDIA_ERROR, "Media error on tape read")
    assert rig.texts[-1] == "Could not initialize media"
    assert not sink.is_finished


def test_an_unreadable_file_of_the_stream_is_an_internal_error(
    rig: Any, source: Any, caplog: pytest.LogCaptureFixture
) -> None:
    rig.over(FailingDrive(MemoryTapeDrive(rig.tape), OSError(5, "Input/output error")))
    rig.start(lambda: rig.mover.run_to_tape(source))
    source.give(bytes(RECORD))
    reason, told = rig.ends()
    assert reason is MoverHalt.INTERNAL_ERROR
    assert told == "the data to be written to tape cannot be read: Input/output error"
    assert "a file of the stream cannot be read" in caplog.text


def test_a_mistake_in_a_driver_ends_the_transfer_and_is_told(
    rig: Any, source: Any, caplog: pytest.LogCaptureFixture
) -> None:
    rig.over(FailingDrive(MemoryTapeDrive(rig.tape), ZeroDivisionError("oops")))
    rig.start(lambda: rig.mover.run_to_tape(source))
    source.give(bytes(RECORD))
    reason, told = rig.ends()
    assert reason is MoverHalt.INTERNAL_ERROR
    assert "ZeroDivisionError" in told
    assert "a transfer failed" in caplog.text


def test_every_batch_is_released_however_a_transfer_ends(rig: Any) -> None:
    data = bytes(20 * RECORD + 1)
    source = MemorySource(data, cuts=(300, 5000), per_batch=2)
    rig.start(lambda: rig.mover.run_to_tape(source))
    assert rig.ends() == (MoverHalt.CONNECT_CLOSED, None)
    assert source.taken == source.released
