"""Checks of reading and motion: positions after success and after errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.testing.expecting import expect, expect_equal
from tapekit.testing.tape_script import (
    RECORD,
    THREE_FILES,
    expect_condition,
    expect_position,
    expect_reads,
    lay_out,
    read_file,
    record,
    records,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.tape_driver import TapeDrive

__all__ = ["MOTION_CHECKS"]


def _filemark_stops_reading(drive: TapeDrive) -> None:
    """FILEMARK leaves the head before the mark, as often as it comes."""
    lay_out(drive)
    what = "read_records up to a filemark"
    found = read_file(drive, RECORD, 64 * RECORD, Condition.FILEMARK, what)
    expect(found == THREE_FILES[0], f"{what}: other records than were written")
    into = memoryview(bytearray(RECORD))
    for call in (
        lambda: drive.read_records(into, RECORD, RECORD),
        lambda: drive.read_record(RECORD),
        lambda: drive.read_records(into, RECORD, RECORD),
    ):
        expect_condition(Condition.FILEMARK, call, "a read at a filemark")
        expect_position(drive, 0, 5, "a read at a filemark")
    expect_equal(drive.space_filemarks(1), 1, "space_filemarks(1) at a filemark")
    expect_position(drive, 1, 0, "behind a filemark")
    expect_reads(drive, record(5), "behind a filemark")


def _end_of_data(drive: TapeDrive) -> None:
    """END_OF_DATA leaves the head where writing would go on."""
    lay_out(drive)
    expect_equal(drive.space_filemarks(2), 2, "space_filemarks(2)")
    found = read_file(drive, RECORD, 64 * RECORD, Condition.END_OF_DATA, "the last tape file")
    expect(found == THREE_FILES[2], "the last tape file: other records than were written")
    expect_condition(
        Condition.END_OF_DATA, lambda: drive.read_record(RECORD), "read_record at the end of data"
    )
    expect_position(drive, 2, 2, "at the end of data")
    write(drive, [record(60)])
    expect_equal(drive.space_records(-3), 3, "space_records(-3) from the end of data")
    found = read_file(drive, RECORD, 64 * RECORD, Condition.END_OF_DATA, "the tape file written on")
    expect(found == [*THREE_FILES[2], record(60)], "a write at the end of data did not append")


def _record_too_long(drive: TapeDrive) -> None:
    """RECORD_TOO_LONG leaves the head before the record."""
    write(drive, [record(0), record(1, 4 * RECORD), record(2)])
    drive.rewind()
    into = memoryview(bytearray(8 * RECORD))
    run = drive.read_records(into, 8 * RECORD, RECORD)
    expect_equal((run.records, run.length), (1, RECORD), "the run before a longer record")
    for _ in range(2):
        expect_condition(
            Condition.RECORD_TOO_LONG,
            lambda: drive.read_records(into, 8 * RECORD, RECORD),
            "read_records of a longer record",
        )
        expect_position(drive, 0, 1, "read_records of a longer record")
    run = drive.read_records(into, 4 * RECORD, 4 * RECORD)
    expect_equal(
        (run.records, run.length), (1, 4 * RECORD), "the longer record, with a size that fits"
    )


def _short_reads(drive: TapeDrive) -> None:
    """read_record loses what does not fit and moves behind the record."""
    lay_out(drive)
    expect_equal(drive.read_record(10), record(0)[:10], "read_record(10) of a longer record")
    expect_position(drive, 0, 1, "read_record(10) of a longer record")
    expect_equal(drive.read_record(RECORD * 9), record(1), "read_record of more than the record")
    expect_reads(drive, record(2), "after a short read")


def _small_buffer(drive: TapeDrive) -> None:
    """A buffer of one record is enough, whatever the limit."""
    lay_out(drive)
    into = memoryview(bytearray(RECORD))
    count = 0
    while count < len(THREE_FILES[0]):
        run = drive.read_records(into, 64 * RECORD, RECORD)
        expect(run.records >= 1, f"a run of {run.records} records")
        count += run.records
    expect_position(drive, 0, 5, "read_records into a buffer of one record")


def _space_over_records(drive: TapeDrive) -> None:
    """Spacing over records stays within a tape file."""
    lay_out(drive)
    steps = (
        # count, passed, file, record: what follows, from one step to the next
        (0, 0, 0, 0),
        (-1, 0, 0, 0),
        (3, 3, 0, 3),
        (-2, 2, 0, 1),
        (9, 4, 0, 5),
        (1, 0, 0, 5),
        (-9, 5, 0, 0),
    )
    for count, passed, file, before in steps:
        what = f"space_records({count})"
        expect_equal(drive.space_records(count), passed, what)
        expect_position(drive, file, before, what)
    expect_reads(drive, record(0), "spaced back to the beginning")
    drive.space_filemarks(1)
    drive.space_records(2)
    expect_equal(drive.space_records(-9), 2, "space_records(-9) in the second tape file")
    expect_position(drive, 1, 0, "stopped behind a filemark")
    expect_reads(drive, record(5), "stopped behind a filemark")
    drive.space_filemarks(1)
    expect_equal(drive.space_records(9), 2, "space_records(9) in the last tape file")
    expect_position(drive, 2, 2, "stopped at the end of data")


def _space_over_filemarks(drive: TapeDrive) -> None:
    """Spacing over filemarks ends behind the mark, or before it backwards."""
    lay_out(drive)
    steps = (
        # count, passed, file, record
        (0, 0, 0, 0),
        (-1, 0, 0, 0),
        (1, 1, 1, 0),
        (-1, 1, 0, 5),
        (2, 2, 2, 0),
        (1, 0, 2, 2),
        (-1, 1, 1, 3),
        (-9, 1, 0, 0),
        (9, 2, 2, 2),
        (-2, 2, 0, 5),
    )
    for count, passed, file, before in steps:
        what = f"space_filemarks({count})"
        expect_equal(drive.space_filemarks(count), passed, what)
        expect_position(drive, file, before, what)
    expect_condition(
        Condition.FILEMARK, lambda: drive.read_record(RECORD), "read before a mark spaced back over"
    )
    expect_equal(drive.space_records(-1), 1, "space_records(-1) before the mark")
    expect_reads(drive, record(4), "the last record before the mark")


def _rewinding(drive: TapeDrive) -> None:
    """Rewind goes to the beginning from anywhere."""
    lay_out(drive)
    drive.space_filemarks(1)
    drive.space_records(1)
    drive.rewind()
    expect_position(drive, 0, 0, "rewind")
    expect_reads(drive, record(0), "rewind")


def _unloading(drive: TapeDrive) -> None:
    """An unloaded tape is gone until it is loaded, and then at its start."""
    lay_out(drive)
    drive.space_records(3)
    drive.unload()
    expect(not drive.status().has_tape, "status after unload: has_tape is true")
    view = memoryview(record(99))
    for call, what in (
        (lambda: drive.read_record(RECORD), "read_record"),
        (lambda: drive.write_records([view], RECORD), "write_records"),
        (lambda: drive.write_filemarks(1), "write_filemarks"),
    ):
        expect_condition(Condition.NO_TAPE, call, f"{what} after unload")
    try:
        drive.load()
    except TapeError as error:
        # A drive whose tape lies in the operator's hand says so.
        expect_equal(error.condition, Condition.NO_TAPE, "load after unload: condition")
        return
    expect(drive.status().has_tape, "status after load: has_tape is false")
    expect_position(drive, 0, 0, "load")
    for number, wanted in enumerate(records(0, 5)):
        expect_reads(drive, wanted, f"record {number} after unload and load")


MOTION_CHECKS: Final[tuple[Callable[[TapeDrive], None], ...]] = (
    _filemark_stops_reading,
    _end_of_data,
    _record_too_long,
    _short_reads,
    _small_buffer,
    _space_over_records,
    _space_over_filemarks,
    _rewinding,
    _unloading,
)
