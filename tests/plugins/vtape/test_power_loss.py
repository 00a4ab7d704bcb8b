"""Power that fails anywhere costs the write that it cut, and nothing before it.

A host that loses power keeps some beginning of the payload and some
beginning of the index's journal, perhaps with rubbish where the last bytes
should be. Both are cut here at a thousand points; then the tape is read and
written on.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit_vtape.index_format import ENTRY_BYTES, HEADER_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tapekit_vtape.gated_drive import GatedDrive

POINTS: Final = 1000
BATCHES: Final = 40
MARK: Final = b""


class Tape(NamedTuple):
    """A tape that was written in batches, each an entry of the index."""

    folder: Path
    journal: bytes
    payload: bytes
    batches: list[list[bytes]]
    """Records, or marks, of each entry."""


@pytest.fixture
def tape(robot: Any) -> Tape:
    chosen = random.Random(1)
    barcode = robot.insert_new()
    drive = robot.open()
    batches: list[list[bytes]] = []
    for number in range(BATCHES):
        if number % 7 == 6:
            drive.write_filemarks(1)
            batches.append([MARK])
            continue
        size = chosen.choice([512, 700, 1024, 4096])
        batch = [bytes([number, record]) * (size // 2) for record in range(chosen.randint(1, 5))]
        drive.write_records([memoryview(b"".join(batch))], size)
        batches.append(batch)
    drive.close()
    folder = robot.library.folder(barcode)
    index, payload = (folder / "index").read_bytes(), (folder / "payload").read_bytes()
    assert len(index) == HEADER_BYTES + BATCHES * ENTRY_BYTES
    return Tape(folder, index, payload, batches)


def objects(drive: GatedDrive) -> Iterator[bytes]:
    """All records and marks from the beginning to the end of the data."""
    drive.rewind()
    while True:
        try:
            yield drive.read_record(1 << 16)
        except TapeError as error:
            if error.condition is Condition.END_OF_DATA:
                return
            if error.condition is not Condition.FILEMARK:
                raise
            drive.space_filemarks(1)
            yield MARK


def test_a_thousand_losses_of_power(robot: Any, tape: Tape) -> None:
    chosen = random.Random(2)
    for _ in range(POINTS):
        complete = cut(tape, chosen)
        drive = robot.open()
        kept = [record for batch in tape.batches[:complete] for record in batch]
        assert list(objects(drive)) == kept
        new = [chosen.randbytes(600) for _ in range(chosen.randint(1, 3))]
        assert drive.write_records([memoryview(b"".join(new))], 600) == len(new)
        drive.write_filemarks(1)
        drive.close()
        again = robot.open()
        assert list(objects(again)) == [*kept, *new, MARK]
        again.close()


def cut(tape: Tape, chosen: random.Random) -> int:
    """Leave a beginning of the index, perhaps torn, and of the payload what
    it tells of or more; how many entries are complete.
    """
    complete = chosen.randint(0, BATCHES)
    index = tape.journal[: HEADER_BYTES + complete * ENTRY_BYTES]
    told = sum(len(record) for batch in tape.batches[:complete] for record in batch)
    length = chosen.randint(told, len(tape.payload))
    torn = chosen.randrange(ENTRY_BYTES) if complete < BATCHES else 0
    tail = tape.journal[len(index) :][:torn]
    if chosen.random() < 0.5:
        tail = chosen.randbytes(len(tail))
    (tape.folder / "index").write_bytes(index + tail)
    rubbish = chosen.randbytes(chosen.randrange(300)) if chosen.random() < 0.5 else b""
    (tape.folder / "payload").write_bytes(tape.payload[:length] + rubbish)
    return complete
