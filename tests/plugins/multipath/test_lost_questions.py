"""A path whose loss is heard by a question ends no job where the tape has stayed."""

from __future__ import annotations

from typing import Any

import pytest

from tapekit.hookspecs.tape_driver import OpenMode, TapeError, TapePosition
from tapekit_multipath.joiner import PathsOfDevices

WRITE, MARK, REWIND = 0x0A, 0x10, 0x01
LOST = pytest.mark.parametrize("lost", ["cut_at", "cut_before"], ids=["the answer", "the command"])


def record(number: int) -> memoryview:
    return memoryview(bytes((number,)) * 1024)


@pytest.fixture
def cables(cable_of: Any) -> tuple[Any, Any]:
    return cable_of("0b"), cable_of("0d")


@pytest.fixture
def drive(cables: tuple[Any, Any], inventory_over: Any) -> Any:
    """A drive on two paths with a tape of two records, behind them."""
    inventory = inventory_over(PathsOfDevices(is_balanced=False), *cables)
    tape = inventory.open("nrst0a", OpenMode.READ_WRITE, "x")
    tape.drive.rewind()
    tape.drive.write_records([record(1), record(2)], 1024)
    yield tape.drive
    tape.close()


def on_tape(drive: Any) -> list[int]:
    """The first bytes of all records, and 0 for filemarks."""
    drive.rewind()
    found: list[int] = []
    while len(found) < 20:
        try:
            found.append(drive.read_record(1024)[0])
        except TapeError:
            if not drive.space_filemarks(1):
                return found
            found.append(0)
    raise AssertionError(found)


@pytest.mark.requirement("R038")
def test_a_backup_goes_on_after_a_question(
    drive: Any, cables: tuple[Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    cables[0].is_cut = True
    assert drive.status().position == TapePosition(0, 2)
    assert "stands where it stood when a path was lost" in caplog.text
    drive.write_records([record(3)], 1024)
    drive.write_filemarks(1)
    assert on_tape(drive) == [1, 2, 3, 0]
    assert cables[1].opened == ["0"]


@pytest.mark.requirement("R038")
@pytest.mark.parametrize("is_asked", [True, False])
def test_the_next_tape_file_is_written_over_the_other_path(
    drive: Any, cables: tuple[Any, Any], is_asked: bool
) -> None:
    drive.write_filemarks(1)
    cables[0].is_cut = True
    if is_asked:
        assert drive.status().position == TapePosition(1, 0)
    drive.write_records([record(3)], 1024)
    drive.write_filemarks(1)
    assert on_tape(drive) == [1, 2, 0, 3, 0]


@LOST
def test_what_was_written_is_made_durable_over_the_other_path(
    drive: Any, cables: tuple[Any, Any], lost: str
) -> None:
    setattr(cables[0], lost, MARK)
    drive.write_filemarks(0)
    assert cables[0].is_cut
    drive.write_records([record(3)], 1024)
    drive.write_filemarks(1)
    assert on_tape(drive) == [1, 2, 3, 0]


@pytest.mark.requirement("R038")
@pytest.mark.parametrize("already", [1, 2, 3], ids=["a record", "the last", "a filemark"])
def test_a_restore_goes_on_after_a_question(
    drive: Any, cables: tuple[Any, Any], already: int
) -> None:
    drive.write_filemarks(1)
    drive.rewind()
    for _ in range(min(already, 2)):
        drive.read_record(1024)
    if already == 3:
        assert drive.space_records(1) == 0
    cables[0].is_cut = True
    assert drive.status().position == TapePosition(0, min(already, 2))
    found = [drive.read_record(1024)[0] for _ in range(2 - min(already, 2))]
    assert found == [2][: 2 - min(already, 2)]
    assert drive.space_filemarks(1) == 1
    assert drive.status().position == TapePosition(1, 0)


@pytest.mark.requirement("R038")
@pytest.mark.parametrize("why", ["at the beginning", "moved", "overdue", "another tape"])
@pytest.mark.parametrize("work", ["write", "read"])
def test_a_question_proves_nothing_where_the_place_does_not(
    drive: Any, cables: tuple[Any, Any], doors: Any, why: str, work: str
) -> None:
    if work == "read" or why == "at the beginning":
        drive.write_filemarks(1)
        drive.rewind()
    if work == "read" and why != "at the beginning":
        drive.read_record(1024)
    if why == "moved":
        doors["0"].execute(bytes((REWIND, 0, 0, 0, 0, 0)))
    if why == "another tape":
        # Carried out as by an operator, and told over the new path.
        for load in (0, 1):
            doors["0"].execute(bytes((0x1B, 0, 0, 0, load, 0)))
    cables[0].is_slow = why == "overdue"
    cables[0].is_cut = True
    assert drive.status().has_tape
    again = {
        "write": lambda: drive.write_records([record(3)], 1024),
        "read": lambda: drive.read_record(1024),
    }[work]
    with pytest.raises(TapeError, match="may not stand where it did"):
        again()
    drive.rewind()
    again()
