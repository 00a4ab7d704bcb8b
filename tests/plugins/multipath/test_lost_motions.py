"""Reading goes on over the other path where the place of the head proves that it may."""

from __future__ import annotations

from typing import Any

import pytest

from tapekit.hookspecs.tape_driver import Condition, OpenMode, TapeError, TapePosition
from tapekit_multipath.joiner import PathsOfDevices

READ, SPACE, REWIND = 0x08, 0x11, 0x01
LOST = pytest.mark.parametrize("lost", ["cut_at", "cut_before"], ids=["the answer", "the command"])
FILES = ((1, 2, 3), (4, 5, 6, 7), (8,))
"""Tape files, and what their records are made of."""


def record(number: int) -> bytes:
    return bytes((number,)) * 1024


@pytest.fixture
def cables(cable_of: Any) -> tuple[Any, Any]:
    return cable_of("0b"), cable_of("0d")


@pytest.fixture
def drive(cables: tuple[Any, Any], inventory_over: Any) -> Any:
    """A drive on two paths with a tape of some files, at its beginning."""
    inventory = inventory_over(PathsOfDevices(is_balanced=False), *cables)
    tape = inventory.open("nrst0a", OpenMode.READ_WRITE, "x")
    tape.drive.rewind()
    for numbers in FILES:
        tape.drive.write_records([memoryview(record(number)) for number in numbers], 1024)
        tape.drive.write_filemarks(1)
    tape.drive.rewind()
    yield tape.drive
    tape.close()


def rest_of_file(drive: Any) -> list[int]:
    """The records up to the next filemark."""
    found = []
    while True:
        try:
            found.append(drive.read_record(1024)[0])
        except TapeError as error:
            if error.condition is not Condition.FILEMARK:
                raise
            return found


@pytest.mark.requirement("R038")
@LOST
@pytest.mark.parametrize("already", [1, 2, 3], ids=["a record", "the last", "a filemark"])
def test_a_read_is_sent_again_and_loses_and_repeats_nothing(
    drive: Any, cables: tuple[Any, Any], lost: str, already: int, caplog: pytest.LogCaptureFixture
) -> None:
    found = [drive.read_record(1024)[0] for _ in range(already)]
    setattr(cables[0], lost, READ)
    found += rest_of_file(drive)
    assert found == list(FILES[0])
    assert "READ(6) goes on where it stood when a path was lost" in caplog.text
    assert drive.status().position == TapePosition(0, 3)
    assert drive.space_filemarks(1) == 1
    assert rest_of_file(drive) == list(FILES[1])
    assert [cable.opened for cable in cables] == [["0"], ["0"]]


@LOST
def test_a_run_of_records_goes_on_in_its_middle(
    drive: Any, cables: tuple[Any, Any], lost: str
) -> None:
    drive.space_filemarks(1)
    drive.read_record(1024)
    setattr(cables[0], lost, READ)
    into = memoryview(bytearray(8 * 1024))
    run = drive.read_records(into, len(into), 1024)
    assert (run.records, bytes(into[: 3 * 1024 : 1024])) == (3, bytes((5, 6, 7)))


@pytest.mark.requirement("R038")
@LOST
@pytest.mark.parametrize(
    ("start", "unit", "count", "passed", "following"),
    [
        (1, "records", 1, 1, [3]),
        (1, "records", 2, 2, []),
        (1, "records", 9, 2, []),
        (2, "records", -1, 1, [2, 3]),
        (1, "filemarks", 1, 1, [4, 5, 6, 7]),
        (1, "filemarks", 2, 2, [8]),
    ],
)
def test_a_motion_is_sent_again_or_was_carried_out(
    drive: Any,
    cables: tuple[Any, Any],
    lost: str,
    start: int,
    unit: str,
    count: int,
    passed: int,
    following: list[int],
) -> None:
    for _ in range(start):
        drive.read_record(1024)
    setattr(cables[0], lost, SPACE)
    assert getattr(drive, f"space_{unit}")(count) == passed
    assert rest_of_file(drive) == following
    assert cables[0].is_cut


@pytest.mark.parametrize("work", ["read", "records", "filemarks"])
def test_a_path_that_fails_in_a_pause_is_left_by_the_next_motion(
    drive: Any, cables: tuple[Any, Any], work: str
) -> None:
    assert drive.space_filemarks(1) == 1
    cables[0].is_cut = True
    if work == "records":
        assert drive.space_records(2) == 2
    elif work == "filemarks":
        assert drive.space_filemarks(1) == 1
    following = {"read": list(FILES[1]), "records": list(FILES[1][2:]), "filemarks": list(FILES[2])}
    assert rest_of_file(drive) == following[work]
    assert cables[1].opened == ["0"]


@LOST
def test_spacing_over_filemarks_backwards_goes_on(
    drive: Any, cables: tuple[Any, Any], lost: str
) -> None:
    drive.space_filemarks(2)
    drive.read_record(1024)
    setattr(cables[0], lost, SPACE)
    assert drive.space_filemarks(-1) == 1
    assert drive.space_filemarks(1) == 1
    assert rest_of_file(drive) == [8]


def test_the_end_of_data_is_found_over_the_other_path(drive: Any, cables: tuple[Any, Any]) -> None:
    drive.read_record(1024)
    cables[0].cut_before = SPACE
    assert drive.space_filemarks(9) == 3
    with pytest.raises(TapeError) as ended:
        drive.read_record(1024)
    assert ended.value.condition is Condition.END_OF_DATA


@pytest.mark.requirement("R038")
@pytest.mark.parametrize("late", ["before it is sent again", "later"])
def test_a_read_that_comes_late_after_all_is_told(
    drive: Any, cables: tuple[Any, Any], doors: Any, late: str
) -> None:
    drive.read_record(1024)
    doors["0"] = door = _Late(doors["0"])
    first, second = cables
    for cable in cables:
        cable.doors = doors
    first.cut_before = READ
    door.waits_for = 2 if late == "later" else 1
    with pytest.raises(TapeError, match=r"after READ\(6\) the tape stands elsewhere") as told:
        rest_of_file(drive)
    assert told.value.condition is Condition.HARDWARE_ERROR
    with pytest.raises(TapeError, match="may not stand where it did"):
        drive.read_record(1024)
    drive.rewind()
    assert rest_of_file(drive) == list(FILES[0])
    assert second.opened == ["0"]


class _Late:
    """A door by which a READ of another path comes before one of its own."""

    def __init__(self, door: Any) -> None:
        self._door = door
        self.address = door.address
        self.waits_for = 0
        """Before which READ of this door it comes."""
        self._read = 0

    def execute(self, cdb: bytes, *, data_out: bytes = b"", data_in: int = 0) -> Any:
        if cdb[0] == READ:
            self._read += 1
            if self._read == self.waits_for:
                self._door.execute(cdb, data_in=data_in)
        return self._door.execute(cdb, data_out=data_out, data_in=data_in)


@pytest.mark.requirement("R038")
@pytest.mark.parametrize("opcode", [READ, SPACE])
@pytest.mark.parametrize("why", ["at the beginning", "moved", "overdue"])
def test_nothing_is_read_where_no_place_proves_what_happened(
    drive: Any, cables: tuple[Any, Any], doors: Any, why: str, opcode: int
) -> None:
    if why != "at the beginning":
        drive.read_record(1024)
    if why == "moved":
        drive.read_record(1024)
        doors["0"] = _Moved(doors["0"])
        for cable in cables:
            cable.doors = doors
    cables[0].is_slow = why == "overdue"
    cables[0].cut_before = opcode
    work = {
        READ: lambda: drive.read_record(1024),
        SPACE: lambda: drive.space_records(1),
    }[opcode]
    with pytest.raises(TapeError, match="6/29/0"):
        work()
    with pytest.raises(TapeError, match="may not stand where it did"):
        work()
    drive.rewind()
    assert rest_of_file(drive) == list(FILES[0])


class _Moved:
    """A door of a drive that somebody has rewound by the time it is opened."""

    def __init__(self, door: Any) -> None:
        self._door = door
        self.address = door.address
        self._is_rewound = False

    def execute(self, cdb: bytes, *, data_out: bytes = b"", data_in: int = 0) -> Any:
        if not self._is_rewound:
            self._is_rewound = True
            self._door.execute(bytes((REWIND, 0, 0, 0, 0, 0)))
        return self._door.execute(cdb, data_out=data_out, data_in=data_in)
