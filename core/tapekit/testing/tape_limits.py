"""Checks that need a special tape: small, protected, absent, opened again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.testing.expecting import expect, expect_equal
from tapekit.testing.tape_script import (
    RECORD,
    THREE_FILES,
    expect_condition,
    expect_position,
    lay_out,
    read_file,
    record,
    records,
)

if TYPE_CHECKING:
    from tapekit.hookspecs.tape_driver import TapeDrive

__all__ = [
    "check_end_of_medium",
    "check_full_tape_takes_marks",
    "check_no_tape",
    "check_protected",
    "check_reopened",
    "prepare_reopen",
]

_SIZE: Final = 16 * 1024
"""Bytes of a record when a tape is filled."""

_RUN: Final = 4
"""Records in a call when a tape is filled."""

_LARGEST_SMALL_TAPE: Final = 64 << 20
"""Bytes after which a tape does not count as small."""


def _write_run(drive: TapeDrive, written: int) -> int:
    """Write the next run and give the number of records taken."""
    expect(
        written * _SIZE <= _LARGEST_SMALL_TAPE,
        f"small_tape: no end after {_LARGEST_SMALL_TAPE} bytes",
    )
    data = b"".join(records(written, written + _RUN, _SIZE))
    taken = drive.write_records([memoryview(data)], _SIZE)
    expect(1 <= taken <= _RUN, f"write_records of {_RUN} records returned {taken}")
    return taken


def _write_until(drive: TapeDrive, condition: Condition, written: int) -> int:
    """Write runs until a condition; give the number of records on the tape."""
    was_cut = False
    while True:
        try:
            taken = _write_run(drive, written)
        except TapeError as error:
            expect_equal(error.condition, condition, f"write_records after {written} records")
            expect_position(drive, 0, written, f"write_records that raised {condition.name}")
            return written
        expect(not was_cut, "a write that took fewer records was not followed by a condition")
        was_cut = taken < _RUN
        written += taken


def check_end_of_medium(drive: TapeDrive) -> None:
    """EARLY_WARNING once, room behind it, then END_OF_MEDIUM for good."""
    at_warning = _write_until(drive, Condition.EARLY_WARNING, 0)
    written = _write_until(drive, Condition.END_OF_MEDIUM, at_warning)
    expect(written > at_warning, "no record fits between EARLY_WARNING and END_OF_MEDIUM")
    view = memoryview(record(0, _SIZE))
    expect_condition(
        Condition.END_OF_MEDIUM,
        lambda: drive.write_records([view], _SIZE),
        "write_records on a full tape",
    )
    drive.rewind()
    found = read_file(drive, _SIZE, 16 * _SIZE, Condition.END_OF_DATA, "a full tape")
    expect_equal(len(found), written, "records on a full tape, against those acknowledged")
    expect(found == records(0, written, _SIZE), "a full tape: other bytes than were written")


def check_full_tape_takes_marks(drive: TapeDrive) -> None:
    """Behind the early warning there is room for the marks that end a tape."""
    written = _write_until(drive, Condition.EARLY_WARNING, 0)
    drive.write_filemarks(1)
    expect_position(drive, 1, 0, "write_filemarks behind the early warning")
    drive.write_filemarks(1)
    drive.rewind()
    found = read_file(drive, _SIZE, 16 * _SIZE, Condition.FILEMARK, "a tape ended at the warning")
    expect_equal(len(found), written, "records before the early warning")


def check_protected(drive: TapeDrive) -> None:
    """A protected tape can be read, and says so when written."""
    expect(drive.status().write_protected, "status of a protected tape: write_protected is false")
    view = memoryview(record(0))
    expect_condition(
        Condition.WRITE_PROTECTED,
        lambda: drive.write_records([view], RECORD),
        "write_records on a protected tape",
    )
    expect_condition(
        Condition.WRITE_PROTECTED,
        lambda: drive.write_filemarks(1),
        "write_filemarks on a protected tape",
    )
    expect_position(drive, 0, 0, "a write on a protected tape")
    expect_equal(drive.space_records(-1), 0, "space_records(-1) on a protected tape")


def check_no_tape(drive: TapeDrive) -> None:
    """A drive without a tape answers, and can do nothing."""
    expect(not drive.status().has_tape, "status of an empty drive: has_tape is true")
    into = memoryview(bytearray(RECORD))
    for call, what in (
        (lambda: drive.read_records(into, RECORD, RECORD), "read_records"),
        (lambda: drive.read_record(RECORD), "read_record"),
        (lambda: drive.write_records([into], RECORD), "write_records"),
        (lambda: drive.write_filemarks(1), "write_filemarks"),
        (lambda: drive.space_records(1), "space_records"),
        (lambda: drive.space_filemarks(1), "space_filemarks"),
        (drive.rewind, "rewind"),
        (drive.load, "load"),
    ):
        expect_condition(Condition.NO_TAPE, call, f"{what} in an empty drive")


def check_reopened(drive: TapeDrive) -> None:
    """What :func:`lay_out` wrote before the drive was closed is there."""
    drive.rewind()
    for number, wanted in enumerate(THREE_FILES):
        last = number == len(THREE_FILES) - 1
        end = Condition.END_OF_DATA if last else Condition.FILEMARK
        what = f"tape file {number} after the drive was opened again"
        found = read_file(drive, RECORD, 8 * RECORD, end, what)
        expect(found == wanted, f"{what}: other records than were written")
        drive.space_filemarks(1)


def prepare_reopen(drive: TapeDrive) -> None:
    """Write three tape files and stop in the middle of the first."""
    lay_out(drive)
    drive.space_records(2)
