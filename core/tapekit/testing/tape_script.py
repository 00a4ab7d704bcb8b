"""Words in which the tape checks are written: records that tell their
number, a tape laid out from lists, positions and conditions as claims.

Every record's bytes spell its number, so that reading one tells where the
head was, whatever a drive can say of its position. The one rule: a word
here claims only what the contract of :class:`TapeDrive` says.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.testing.expecting import expect, expect_equal, expect_raises
from tapekit.testing.memory_tape import bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.hookspecs.tape_driver import TapeDrive

__all__ = [
    "RECORD",
    "THREE_FILES",
    "expect_condition",
    "expect_position",
    "expect_reads",
    "lay_out",
    "read_file",
    "record",
    "records",
    "write",
]

RECORD: Final = 1024
"""Size in bytes of a record where the size does not matter."""


def record(number: int, size: int = RECORD) -> bytes:
    """A record whose bytes spell its number."""
    return (b"%015d\n" % number * (size // 16 + 1))[:size]


def records(start: int, stop: int, size: int = RECORD) -> list[bytes]:
    """The records ``start`` to ``stop``, the latter not included."""
    return [record(number, size) for number in range(start, stop)]


THREE_FILES: Final = (records(0, 5), records(5, 8), records(8, 10))
"""Three tape files of five, three and two records; a mark after each but
the last."""


def write(drive: TapeDrive, data: Sequence[bytes]) -> None:
    """Write records of any sizes, equal ones in one call."""
    for size, group in groupby(data, len):
        run = list(group)
        taken = drive.write_records([memoryview(b"".join(run))], size)
        expect_equal(taken, len(run), f"write_records of {len(run)} records of {size} bytes")


def lay_out(drive: TapeDrive, files: Sequence[Sequence[bytes]] = THREE_FILES) -> None:
    """Write tape files with one filemark between two, and rewind."""
    for number, file in enumerate(files):
        if number:
            drive.write_filemarks(1)
        write(drive, file)
    drive.rewind()


def expect_condition(condition: Condition, call: Callable[[], object], what: str) -> None:
    """Claim that a call raises :class:`TapeError` with this condition."""
    error = expect_raises(TapeError, call, what)
    expect_equal(error.condition, condition, f"{what}: condition")


def expect_position(drive: TapeDrive, file: int, before: int, what: str) -> None:
    """Claim where the head stands; a drive may not know the record."""
    position = drive.status().position
    expect_equal(position.file, file, f"{what}: position.file")
    if position.record is not None:
        expect_equal(position.record, before, f"{what}: position.record")


def expect_reads(drive: TapeDrive, wanted: bytes, what: str) -> None:
    """Claim that the record at the head is this one."""
    expect_equal(drive.read_record(len(wanted) + 1), wanted, f"{what}: the next record")


def read_file(
    drive: TapeDrive, record_size: int, limit: int, end: Condition, what: str
) -> list[bytes]:
    """Read records in runs until the condition ``end``, and claim that each
    run keeps to its limit and can be cut back into records.
    """
    into = memoryview(bytearray(max(record_size, limit)))
    found: list[bytes] = []
    while True:
        try:
            run = drive.read_records(into, limit, record_size)
        except TapeError as error:
            expect_equal(error.condition, end, f"{what}: read_records at the end of the file")
            return found
        data = bytes_of(run.pieces)
        expect_equal(len(data), run.length, f"{what}: length of the pieces of a run")
        expect(run.records >= 1, f"{what}: a run of {run.records} records")
        expect(
            run.records == 1 or run.length <= limit,
            f"{what}: a run of {run.length} bytes, the limit was {limit}",
        )
        full = (run.records - 1) * record_size
        expect(
            full < run.length <= full + record_size,
            f"{what}: {run.records} records of at most {record_size} bytes, of which only the "
            f"last may be shorter, cannot have {run.length} bytes",
        )
        found += [data[i * record_size : (i + 1) * record_size] for i in range(run.records)]
