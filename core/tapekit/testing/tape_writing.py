"""Checks of writing: records, extents, filemarks, what an overwrite loses."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from tapekit.hookspecs.tape_driver import Condition
from tapekit.segments import Extent
from tapekit.testing.expecting import expect, expect_equal
from tapekit.testing.tape_script import (
    RECORD,
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
    from tapekit.segments import Piece

__all__ = ["WRITING_CHECKS"]


def _fresh_tape(drive: TapeDrive) -> None:
    """A new tape is loaded, writable and empty, and the head is at its start."""
    status = drive.status()
    expect(status.has_tape, "status of a fresh tape: has_tape is false")
    expect(not status.write_protected, "status of a fresh tape: write_protected is true")
    expect_equal(status.block_size, 0, "block_size (records are of any length)")
    expect(status.soft_errors >= 0, f"soft_errors is {status.soft_errors}")
    expect_position(drive, 0, 0, "a fresh tape")
    expect_condition(
        Condition.END_OF_DATA, lambda: drive.read_record(RECORD), "read_record on an empty tape"
    )
    expect_position(drive, 0, 0, "read_record on an empty tape")


def _capacity(drive: TapeDrive) -> None:
    """What remains is part of the whole and does not grow by writing."""
    before = drive.status()
    write(drive, records(0, 64))
    after = drive.status()
    if before.total_bytes is not None:
        expect_equal(after.total_bytes, before.total_bytes, "total_bytes after a write")
    if before.remaining_bytes is None or after.remaining_bytes is None:
        return
    expect(
        0 <= after.remaining_bytes <= before.remaining_bytes,
        f"remaining_bytes went from {before.remaining_bytes} to {after.remaining_bytes}",
    )


def _record_sizes(drive: TapeDrive) -> None:
    """Records come back in the lengths in which they were written."""
    written = [
        *records(0, 3),
        *records(3, 5, 512),
        *records(5, 9),
        *(record(number, size) for number, size in enumerate((1, 1023, 17, 1024), start=9)),
    ]
    write(drive, written)
    expect_position(drive, 0, len(written), "write_records")
    drive.rewind()
    for limit in (1, RECORD, 3 * RECORD - 1, 16 * RECORD):
        what = f"read_records with a limit of {limit} bytes"
        found = read_file(drive, RECORD, limit, Condition.END_OF_DATA, what)
        expect_equal(
            [(len(r), r[:16]) for r in found],
            [(len(r), r[:16]) for r in written],
            f"{what}: lengths and beginnings of the records",
        )
        expect(found == written, f"{what}: other bytes than were written")
        expect_position(drive, 0, len(written), what)
        drive.rewind()


def _large_records(drive: TapeDrive) -> None:
    """256 KiB, the largest record of a mover, goes through whole."""
    size = 256 * 1024
    written = records(0, 5, size)
    write(drive, written)
    drive.rewind()
    found = read_file(drive, size, 4 * size, Condition.END_OF_DATA, "read_records of 256 KiB")
    expect(found == written, "records of 256 KiB: other bytes than were written")


def _many_pieces(drive: TapeDrive) -> None:
    """Pieces and records have nothing to do with each other."""
    data = b"".join(records(0, 8))
    bounds = [0, 1, 7, 1000, 1024, 1025, 5000, len(data)]
    pieces = [memoryview(data)[start:stop] for start, stop in pairwise(bounds)]
    expect_equal(drive.write_records(pieces, RECORD), 8, "write_records of eight records")
    drive.rewind()
    found = read_file(drive, RECORD, len(data), Condition.END_OF_DATA, "records cut anywhere")
    expect(b"".join(found) == data, "records cut anywhere: other bytes than were written")


def _caller_keeps_its_memory(drive: TapeDrive) -> None:
    """A buffer may be reused as soon as write_records has returned."""
    buffer = bytearray(record(1))
    drive.write_records([memoryview(buffer)], RECORD)
    buffer[:] = bytes(RECORD)
    drive.rewind()
    expect_reads(drive, record(1), "a buffer reused after write_records")


def _extents(drive: TapeDrive) -> None:
    """Extents of files are written like memory; what a file lacks is zeros."""
    content = b"".join(records(0, 600))
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        fd = file.fileno()
        pieces: list[Piece] = [
            memoryview(record(900, 100)),
            Extent(fd, 100, len(content) - 100),
            memoryview(record(901, 24)),
            Extent(fd, len(content) - 2000, 4000 + RECORD - 24),
            memoryview(record(902, RECORD - 4000 % RECORD)),
            Extent(fd, len(content) + 5000, RECORD),
        ]
        wanted = b"".join(
            (
                record(900, 100),
                content[100:],
                record(901, 24),
                content[-2000:],
                bytes(2000 + RECORD - 24),
                record(902, RECORD - 4000 % RECORD),
                bytes(RECORD),
            )
        )
        count = len(wanted) // RECORD
        expect_equal(drive.write_records(pieces, RECORD), count, "write_records with extents")
    drive.rewind()
    found = b"".join(
        read_file(drive, RECORD, 64 * RECORD, Condition.END_OF_DATA, "records from extents")
    )
    expect_equal(len(found), len(wanted), "bytes written from extents")
    first = next((i for i, (a, b) in enumerate(zip(found, wanted, strict=True)) if a != b), None)
    expect(first is None, f"records from extents differ from the files at byte {first}")


def _overwriting(drive: TapeDrive) -> None:
    """Data beyond the place of a write is lost, marks and all."""
    lay_out(drive)
    drive.space_records(2)
    write(drive, [record(50)])
    expect_position(drive, 0, 3, "a write in the middle of a tape file")
    expect_condition(
        Condition.END_OF_DATA, lambda: drive.read_record(RECORD), "read after an overwrite"
    )
    expect_equal(drive.space_filemarks(1), 0, "filemarks after an overwrite")
    drive.rewind()
    found = read_file(drive, RECORD, 8 * RECORD, Condition.END_OF_DATA, "read after overwrite")
    expect(found == [record(0), record(1), record(50)], "an overwrite changed what was before it")


def _filemark_truncates(drive: TapeDrive) -> None:
    """A filemark, too, is the last thing on the tape."""
    lay_out(drive)
    drive.space_records(1)
    drive.write_filemarks(1)
    expect_position(drive, 1, 0, "write_filemarks in the middle of a tape file")
    expect_condition(
        Condition.END_OF_DATA, lambda: drive.read_record(RECORD), "read after a new filemark"
    )
    expect_equal(drive.space_filemarks(-9), 1, "filemarks before a new filemark")


def _filemark_counts(drive: TapeDrive) -> None:
    """Several marks at once are empty tape files; none changes nothing."""
    write(drive, [record(0)])
    drive.write_filemarks(3)
    expect_position(drive, 3, 0, "write_filemarks(3)")
    write(drive, [record(1)])
    drive.rewind()
    drive.write_filemarks(0)
    expect_position(drive, 0, 0, "write_filemarks(0)")
    expect_reads(drive, record(0), "after write_filemarks(0)")
    for file in range(3):
        expect_condition(
            Condition.FILEMARK, lambda: drive.read_record(RECORD), f"read at mark {file}"
        )
        expect_equal(drive.space_filemarks(1), 1, f"space_filemarks(1) at mark {file}")
        expect_position(drive, file + 1, 0, f"past mark {file}")
    expect_reads(drive, record(1), "behind three filemarks")


WRITING_CHECKS: Final[tuple[Callable[[TapeDrive], None], ...]] = (
    _fresh_tape,
    _capacity,
    _record_sizes,
    _large_records,
    _many_pieces,
    _caller_keeps_its_memory,
    _extents,
    _overwriting,
    _filemark_truncates,
    _filemark_counts,
)
