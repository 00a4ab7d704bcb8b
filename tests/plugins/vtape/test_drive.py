"""A virtual drive keeps the contract, and what DMAs' own tests ask of drives.

The scripts named after NDMJOB do what that program's tape tests do over the
wire, by the drive's methods: end of data and filemarks are conditions, and
what a motion could not do is the residual.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.hookspecs.tape_driver import Condition, TapePosition
from tapekit.segments import Extent
from tapekit.testing import bytes_of, check_tape_drive

if TYPE_CHECKING:
    from tapekit_vtape.gated_drive import GatedDrive


def write(drive: GatedDrive, data: bytes, size: int | None = None) -> int:
    return drive.write_records([memoryview(data)], size or len(data))


def position(drive: GatedDrive) -> tuple[int, int | None]:
    return tuple(drive.status().position)


def test_the_contract_of_tape_drives(robot: Any) -> None:
    check_tape_drive(
        robot.fresh,
        reopen=robot.open,
        small_tape=lambda: robot.fresh(capacity=8 << 20, early_warning=1 << 20),
        protected_tape=robot.protected,
        empty_drive=robot.without_tape,
    )


def test_the_contract_of_tape_drives_with_durable_data(robot_in: Any, tmp_path: Any) -> None:
    robot = robot_in(tmp_path, durability="filemark")
    check_tape_drive(robot.fresh, reopen=robot.open)


# NDMJOB's tape tests.


def test_ndmjob_end_of_data_and_residuals_of_spacing(robot: Any, condition_of: Any) -> None:
    drive = robot.fresh()
    drive.rewind()
    assert 100 - drive.space_records(-100) == 100
    assert 100 - drive.space_filemarks(-100) == 100
    drive.write_filemarks(1)
    assert 100 - drive.space_filemarks(-100) == 99
    assert 100 - drive.space_filemarks(100) == 99
    assert condition_of(lambda: drive.read_record(65536)) is Condition.END_OF_DATA
    assert condition_of(lambda: drive.read_record(1024)) is Condition.END_OF_DATA


def test_ndmjob_a_write_ends_the_tape_where_it_stands(robot: Any) -> None:
    drive = robot.fresh()
    for _ in range(3):
        write(drive, b"old" * 100)
        drive.write_filemarks(1)
    drive.rewind()
    write(drive, bytes(512))
    assert 100 - drive.space_records(-100) == 99
    assert 100 - drive.space_records(100) == 99
    assert 100 - drive.space_records(100) == 100
    assert 100 - drive.space_filemarks(100) == 100


@pytest.mark.parametrize("asked", [1024, 65536])
def test_ndmjob_what_was_written_is_read_after_closing(
    robot: Any, condition_of: Any, asked: int
) -> None:
    data = bytes((number - 4) & 0xFF for number in range(1024))
    drive = robot.fresh()
    drive.rewind()
    write(drive, data)
    drive.write_filemarks(1)
    drive.close()
    drive = robot.open()
    drive.rewind()
    assert drive.read_record(asked) == data
    assert condition_of(lambda: drive.read_record(asked)) is Condition.FILEMARK
    assert drive.space_filemarks(1) == 1
    assert condition_of(lambda: drive.read_record(asked)) is Condition.END_OF_DATA


def test_ndmjob_the_rest_of_a_record_that_is_read_in_part_is_lost(
    robot: Any, condition_of: Any
) -> None:
    drive = robot.fresh()
    write(drive, b"r" * 1024)
    drive.write_filemarks(1)
    drive.rewind()
    assert drive.read_record(512) == b"r" * 512
    assert condition_of(lambda: drive.read_record(512)) is Condition.FILEMARK


FILES = (
    (1, 512), (100, 1024), (1, 512), (100, 139), (1, 512), (99, 10240), (1, 512), (3, 32768),
    (1, 512),
)  # fmt: skip


def record(file: int, number: int, size: int) -> bytes:
    return (b"file %02d record %03d " % (file, number) * (size // 16 + 1))[:size]


def lay_out(drive: GatedDrive) -> None:
    for file, (count, size) in enumerate(FILES):
        for number in range(count):
            write(drive, record(file, number, size))
            assert position(drive) == (file, number + 1)
        drive.write_filemarks(1)
        assert position(drive) == (file + 1, 0)
    drive.rewind()


@pytest.mark.requirement("R011")
def test_ndmjob_nine_tape_files_are_read_record_by_record(robot: Any, condition_of: Any) -> None:
    drive = robot.fresh()
    lay_out(drive)
    for file, (count, size) in enumerate(FILES):
        for number in range(count):
            assert drive.read_record(size) == record(file, number, size)
            assert position(drive) == (file, number + 1)
        assert condition_of(lambda: drive.read_record(512)) is Condition.FILEMARK
        assert position(drive)[0] == file
        assert drive.space_filemarks(1) == 1
        assert position(drive) == (file + 1, 0)


def test_ndmjob_motion_over_nine_tape_files(robot: Any) -> None:
    drive = robot.fresh()
    lay_out(drive)
    for file, (count, size) in enumerate(FILES):
        drive.rewind()
        assert position(drive) == (0, 0)
        assert drive.space_filemarks(file) == file
        assert position(drive) == (file, 0)
        assert drive.space_records(1_000_000) == count
        assert position(drive) == (file, count)
        assert drive.space_records(-1_000_000) == count
        assert position(drive) == (file, 0)
        assert drive.space_records(0) == 0
        assert drive.space_records(count // 2) == count // 2
        assert drive.read_record(size) == record(file, count // 2, size)
        if count // 2 + 1 > 1:
            assert drive.space_records(-2) == 2
            assert drive.read_record(size) == record(file, count // 2 - 1, size)


# What is particular to virtual drives.


def test_records_are_answered_as_one_extent(robot: Any) -> None:
    drive = robot.fresh()
    write(drive, bytes(range(250)) * 40, 1000)
    write(drive, b"short")
    drive.rewind()
    drive.space_records(2)
    run = drive.read_records(memoryview(bytearray(1000)), 1 << 20, 1000)
    (extent,) = run.pieces
    assert isinstance(extent, Extent)
    assert (extent.offset, extent.length) == (2000, 8005)
    assert (run.records, run.length) == (9, 8005)
    assert bytes_of(run.pieces) == (bytes(range(250)) * 40)[2000:] + b"short"


def test_extents_cannot_be_written_through(robot: Any) -> None:
    drive = robot.fresh()
    write(drive, b"data")
    drive.rewind()
    (extent,) = drive.read_records(memoryview(bytearray(9)), 9, 9).pieces
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.pwrite(extent.fd, b"x", extent.offset)


def test_the_early_warning_comes_at_its_point(robot: Any, condition_of: Any) -> None:
    drive = robot.fresh(capacity=10_000, early_warning=4_000)
    assert write(drive, bytes(9_000), 1_000) == 6
    assert drive.status().remaining_bytes == 4_000
    assert condition_of(lambda: write(drive, bytes(1_000))) is Condition.EARLY_WARNING
    assert write(drive, bytes(9_000), 1_000) == 4
    assert condition_of(lambda: write(drive, bytes(1_000))) is Condition.END_OF_MEDIUM
    assert drive.status().remaining_bytes == 0
    assert position(drive) == (0, 10)


def test_filemarks_take_room_and_are_refused_at_the_very_end(robot: Any, condition_of: Any) -> None:
    drive = robot.fresh(capacity=10_000, early_warning=0)
    drive.write_filemarks(9)
    assert drive.status().remaining_bytes == 10_000 - 9 * 1024
    assert condition_of(lambda: drive.write_filemarks(1)) is Condition.END_OF_MEDIUM
    assert position(drive) == (9, 0)


def test_going_back_makes_the_warning_come_again(robot: Any, condition_of: Any) -> None:
    drive = robot.fresh(capacity=3_000, early_warning=1_000)
    assert write(drive, bytes(2_000), 1_000) == 2
    for _ in range(2):
        assert condition_of(lambda: write(drive, bytes(1_000))) is Condition.EARLY_WARNING
        assert write(drive, bytes(1_000)) == 1
        drive.space_records(-1)


def test_a_small_trailer_behind_the_warning_brings_no_second_one(
    robot: Any, condition_of: Any
) -> None:
    drive = robot.fresh(capacity=3_000, early_warning=1_500)
    assert write(drive, bytes(1_000)) == 1
    assert condition_of(lambda: write(drive, bytes(1_000))) is Condition.EARLY_WARNING
    assert write(drive, bytes(100)) == 1
    assert write(drive, bytes(1_000)) == 1


def test_pieces_that_are_no_whole_records_are_a_mistake(robot: Any) -> None:
    drive = robot.fresh()
    with pytest.raises(ValueError, match="no whole records"):
        write(drive, bytes(1001), 1000)


def test_nothing_to_write_writes_nothing(robot: Any) -> None:
    drive = robot.fresh()
    assert drive.write_records([], 1000) == 0
    drive.write_filemarks(0)
    assert position(drive) == (0, 0)


@pytest.mark.requirement("R060")
def test_a_tape_stands_where_it_was_left(robot: Any) -> None:
    drive = robot.fresh()
    write(drive, b"one")
    drive.write_filemarks(1)
    write(drive, b"two")
    drive.close()
    drive.close()
    drive = robot.open()
    assert drive.status().position == TapePosition(1, 1)
    drive.rewind()
    drive.close()
    assert robot.open().status().position == TapePosition(0, 0)


def test_a_tape_counts_as_rewound_when_its_process_was_killed(robot: Any) -> None:
    drive = robot.fresh()
    write(drive, b"one")
    drive.close()
    drive = robot.open()
    assert position(drive) == (0, 1)
    place = robot.library.state().inserted(0)[1]
    assert place.position == 0


def test_an_ejected_tape_waits_for_a_load_also_when_opened_again(
    robot: Any, condition_of: Any
) -> None:
    drive = robot.fresh()
    write(drive, b"one")
    drive.unload()
    drive.close()
    drive = robot.open()
    assert not drive.status().has_tape
    assert condition_of(drive.rewind) is Condition.NO_TAPE
    drive.load()
    assert drive.read_record(9) == b"one"
    drive.load()
    assert position(drive) == (0, 1)


def test_a_cartridge_put_into_an_open_drive_is_loaded(robot: Any) -> None:
    drive = robot.fresh()
    write(drive, b"first")
    drive.unload()
    robot.insert_new()
    assert drive.status().has_tape
    assert position(drive) == (0, 0)
    write(drive, b"second")
    drive.rewind()
    assert drive.read_record(9) == b"second"


def test_a_loaded_tape_cannot_be_pulled_out(robot: Any, condition_of: Any) -> None:
    drive = robot.fresh()
    drive.status()
    assert condition_of(lambda: robot.library.unload(0)) is Condition.BUSY
    drive.close()
    robot.library.unload(0)


def test_a_drive_is_free_also_when_closing_fails(robot: Any, monkeypatch: Any) -> None:
    drive = robot.fresh()
    write(drive, b"one")
    monkeypatch.setattr(drive._drive._cartridge, "sync", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        drive.close()
    assert robot.open().status().has_tape


def test_a_cartridge_that_cannot_be_read_is_a_medium_error(robot: Any, condition_of: Any) -> None:
    barcode = robot.insert_new()
    (robot.library.folder(barcode) / "index").write_bytes(b"rubbish")
    drive = robot.open()
    assert condition_of(drive.status) is Condition.MEDIUM_ERROR
    drive.close()


def test_a_damaged_tape_is_read_up_to_the_damage(robot: Any, condition_of: Any) -> None:
    drive = robot.fresh()
    for _ in range(3):
        write(drive, b"data")
        drive.write_filemarks(1)
    drive.close()
    folder = robot.library.folder(robot.library.state().inserted(0)[0])
    index = bytearray((folder / "index").read_bytes())
    index[128 + 2 * 32] ^= 1
    (folder / "index").write_bytes(index)
    drive = robot.open()
    drive.rewind()
    assert drive.read_record(9) == b"data"
    assert drive.space_filemarks(9) == 1
    assert condition_of(lambda: drive.read_record(9)) is Condition.MEDIUM_ERROR
    assert condition_of(lambda: write(drive, b"x")) is Condition.MEDIUM_ERROR
    drive.rewind()
    assert write(drive, b"new") == 1
