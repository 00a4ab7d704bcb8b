"""Faults come when they are to come, and as often."""

from __future__ import annotations

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit_vtape.fault_board import ChangerFaults, DriveFaults, FaultBoard, Touch
from tapekit_vtape.faults import DeviceFault, FaultKind


def outcome(device: DriveFaults | ChangerFaults, touch: Touch) -> Condition | None:
    try:
        device.refuse(touch)
    except TapeError as error:
        return error.condition
    return None


def test_nothing_is_refused_without_faults() -> None:
    board = FaultBoard()
    assert outcome(board.drive(0, "v.0"), Touch.MOVE) is None
    assert outcome(board.changer(), Touch.MOVE) is None
    assert board.drive(0, "v.0").good_records(FaultKind.READ_ERROR, "A", 3, 7) == 7


@pytest.mark.parametrize(
    ("kind", "refused"),
    [
        (FaultKind.OFFLINE, [Condition.TIMEOUT] * 3),
        (FaultKind.NOT_READY, [None, Condition.NOT_READY, Condition.NOT_READY]),
        (FaultKind.RESERVED, [None, Condition.RESERVED, Condition.RESERVED]),
        (FaultKind.HARDWARE_ERROR, [None, None, Condition.HARDWARE_ERROR]),
        (FaultKind.JAM, [None, None, None]),
    ],
)
def test_a_fault_of_a_drive_strikes_what_needs_so_much(
    kind: FaultKind, refused: list[Condition | None]
) -> None:
    drive = FaultBoard([DeviceFault(kind=kind)]).drive(1, "v.1")
    assert [outcome(drive, touch) for touch in Touch] == refused


def test_faults_of_changers_are_not_of_drives() -> None:
    board = FaultBoard([DeviceFault(kind=FaultKind.JAM), DeviceFault(kind=FaultKind.NOT_READY)])
    assert outcome(board.changer(), Touch.LOOK) is None
    assert outcome(board.changer(), Touch.MOVE) is Condition.HARDWARE_ERROR
    busy = FaultBoard([DeviceFault(kind=FaultKind.CHANGER_BUSY)]).changer()
    assert outcome(busy, Touch.LOOK) is Condition.NOT_READY


def test_so_many_moves_go_well_and_so_many_fail() -> None:
    board = FaultBoard([DeviceFault(kind=FaultKind.HARDWARE_ERROR, after=2, times=3)])
    drive = board.drive(0, "v.0")
    outcomes = [outcome(drive, Touch.MOVE) is None for _ in range(8)]
    assert outcomes == [True, True, False, False, False, True, True, True]
    assert board.rows() == ()


def test_looks_are_not_counted_as_moves() -> None:
    drive = FaultBoard([DeviceFault(kind=FaultKind.NOT_READY, after=1)]).drive(0, "v.0")
    assert [outcome(drive, Touch.LOOK) for _ in range(3)] == [None] * 3
    assert outcome(drive, Touch.MOVE) is None
    assert outcome(drive, Touch.LOOK) is Condition.NOT_READY


def test_a_fault_is_of_its_drive_alone() -> None:
    board = FaultBoard([DeviceFault(kind=FaultKind.NOT_READY, drive=1)])
    assert outcome(board.drive(0, "v.0"), Touch.MOVE) is None
    assert outcome(board.drive(1, "v.1"), Touch.MOVE) is Condition.NOT_READY


def test_records_before_the_first_bad_one_are_good() -> None:
    board = FaultBoard(
        [
            DeviceFault(kind=FaultKind.WRITE_ERROR, cartridge="A", record=12),
            DeviceFault(kind=FaultKind.WRITE_ERROR, cartridge="A", record=10, times=1),
        ]
    )
    drive = board.drive(0, "v.0")

    def good(barcode: str, first: int) -> int:
        return drive.good_records(FaultKind.WRITE_ERROR, barcode, first, 5)

    assert (good("B", 10), good("A", 5), good("A", 6), good("A", 11)) == (5, 5, 4, 1)
    assert [row.struck for row in board.rows()] == [0, 0]
    assert (good("A", 10), good("A", 10)) == (0, 2), "the second has struck and gone"
    assert (good("A", 12), good("A", 12)) == (0, 0)
    assert [row.struck for row in board.rows()] == [2]


def test_power_fails_once() -> None:
    board = FaultBoard([DeviceFault(kind=FaultKind.TORN_WRITE, byte=100)])
    drive = board.drive(0, "v.0")
    assert drive.tear("A", 0, 100) is None
    assert drive.tear("A", 101, 50) is None
    assert drive.tear("A", 90, 50) == 10
    assert drive.tear("A", 90, 50) is None


def test_the_nearest_limit_and_the_lowest_speed_count() -> None:
    waited: list[float] = []
    board = FaultBoard(
        [
            DeviceFault(kind=FaultKind.END_OF_MEDIUM, byte=50),
            DeviceFault(kind=FaultKind.END_OF_MEDIUM, byte=70),
            DeviceFault(kind=FaultKind.SLOW, bytes_per_second=1_000_000, drive=0),
            DeviceFault(kind=FaultKind.SLOW, bytes_per_second=4_000_000),
        ],
        waited.append,
    )
    drive = board.drive(0, "v.0")
    assert drive.limit(FaultKind.END_OF_MEDIUM, "A", 60) == 50
    assert drive.limit(FaultKind.END_OF_MEDIUM, "A", 40) == 40
    assert drive.limit(FaultKind.EARLY_WARNING, "A", 60) == 60
    drive.slow_down("A", 500_000)
    board.drive(1, "v.1").slow_down("A", 500_000)
    assert waited == [0.5, 0.125]


def test_faults_are_cleared_by_number_or_all() -> None:
    board = FaultBoard()
    numbers = [board.add(DeviceFault(kind=kind)).number for kind in list(FaultKind)[-3:]]
    assert numbers == [1, 2, 3]
    assert board.clear(2) == (2,)
    with pytest.raises(TapekitError, match="there is no fault 2"):
        board.clear(2)
    assert board.clear() == (1, 3)
    assert board.add(DeviceFault(kind=FaultKind.JAM)).number == 4
