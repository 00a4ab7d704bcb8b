"""The drive over its door copes with what real drives do; that it keeps the
contract is shown in tests/conformance.
"""

from __future__ import annotations

from typing import Any

import pytest

from tapekit.hookspecs.tape_driver import Condition, DriveSetup, TapeError, TapePosition
from tapekit.scsi.cdb import tape_command
from tapekit.scsi.door import CdbReply, Status
from tapekit.scsi.log import CAPACITY_PAGE, LogParameter, encode_log
from tapekit.scsi.position import Position
from tapekit.scsi.sense import Sense
from tapekit.scsi_devices.drive import CdbDrive

ATTENTION = Sense(6, 0x29, 0)
WARNED = Sense(0, 0, 2, end_of_medium=True, information=0)
FULL = Sense(0xD, 0, 2, end_of_medium=True, information=4)
PIECES = (memoryview(b"aaaabbbbcccc"),)


@pytest.fixture
def drive(door: Any) -> CdbDrive:
    made = CdbDrive(door, "v.0", lambda: None)
    door.ran.clear()
    return made


def condition_of(work: Any) -> Condition:
    with pytest.raises(TapeError) as caught:
        work()
    return caught.value.condition


def test_a_drive_with_fixed_blocks_is_set_to_records_of_any_length(door: Any) -> None:
    door.usual["MODE SENSE(6)"] = bytes.fromhex("0b 68 10 08 5a 000000 00 000200")
    CdbDrive(door, "v.0", lambda: None)
    sent = [data for name, _, data in door.ran if name == "MODE SELECT(6)"]
    assert sent == [bytes.fromhex("00 00 10 08 5a 000000 00 000000")]


def test_a_drive_without_a_tape_is_prepared_when_one_comes(door: Any) -> None:
    door.next["TEST UNIT READY"] = [Sense(2, 0x3A, 0)]
    drive = CdbDrive(door, "v.0", lambda: None)
    assert door.names == ["TEST UNIT READY"]
    assert drive.status().has_tape
    assert "READ BLOCK LIMITS" in door.names


def test_a_write_is_never_sent_twice(door: Any, drive: CdbDrive) -> None:
    door.next["WRITE(6)"] = [ATTENTION]
    assert condition_of(lambda: drive.write_records(PIECES, 4)) is Condition.NOT_READY
    assert door.names.count("WRITE(6)") == 1


def test_after_a_reset_the_drive_is_prepared_anew(door: Any, drive: CdbDrive) -> None:
    door.next["READ(6)"] = [ATTENTION]
    assert condition_of(lambda: drive.read_record(4)) is Condition.NOT_READY
    door.ran.clear()
    drive.status()
    assert "READ BLOCK LIMITS" in door.names
    door.ran.clear()
    drive.status()
    assert "READ BLOCK LIMITS" not in door.names


def test_a_warning_is_told_before_the_next_write(door: Any, drive: CdbDrive) -> None:
    door.next["WRITE(6)"] = [b"", WARNED]
    assert drive.write_records(PIECES, 4) == 2
    assert condition_of(lambda: drive.write_records(PIECES, 4)) is Condition.EARLY_WARNING
    door.next["WRITE(6)"] = [WARNED] * 3
    assert drive.write_records(PIECES, 4) == 3
    assert [data for name, _, data in door.ran if name == "WRITE(6)"] == [
        b"aaaa",
        b"bbbb",
        b"aaaa",
        b"bbbb",
        b"cccc",
    ]


def test_the_end_is_told_after_another_error_too(door: Any, drive: CdbDrive) -> None:
    door.next["WRITE(6)"] = [b"", Sense(3, 0x0C, 0)]
    assert drive.write_records(PIECES, 4) == 1
    assert condition_of(lambda: drive.write_records(PIECES, 4)) is Condition.MEDIUM_ERROR
    door.next["WRITE(6)"] = [b"", WARNED]
    assert drive.write_records(PIECES, 4) == 2
    assert condition_of(lambda: drive.write_records(PIECES, 4)) is Condition.EARLY_WARNING


def test_the_end_of_the_medium_is_told_for_what_was_not_written(door: Any, drive: CdbDrive) -> None:
    door.next["WRITE(6)"] = [b"", FULL]
    assert drive.write_records(PIECES, 4) == 1
    assert condition_of(lambda: drive.write_records(PIECES, 4)) is Condition.END_OF_MEDIUM


def test_a_failed_write_is_told_by_a_filemark_too(door: Any, drive: CdbDrive) -> None:
    door.next["WRITE(6)"] = [b"", Sense(3, 0x0C, 0)]
    assert drive.write_records(PIECES, 4) == 1
    assert condition_of(lambda: drive.write_filemarks(1)) is Condition.MEDIUM_ERROR
    assert "WRITE FILEMARKS(6)" not in door.names


def test_filemarks_never_warn(door: Any, drive: CdbDrive) -> None:
    door.next["WRITE FILEMARKS(6)"] = [WARNED]
    drive.write_filemarks(2)
    door.next["WRITE FILEMARKS(6)"] = [Sense(7, 0x27, 0)]
    assert condition_of(lambda: drive.write_filemarks(1)) is Condition.WRITE_PROTECTED


MARK = Sense(0, 0, 1, filemark=True, information=8)


@pytest.mark.parametrize(
    "work",
    [
        lambda drive: drive.space_records(-1),
        lambda drive: drive.space_filemarks(-1),
        lambda drive: drive.write_records(PIECES, 4),
        lambda drive: drive.write_filemarks(1),
        lambda drive: drive.status(),
        lambda drive: drive.door.execute(bytes(6), timeout_s=1),
        lambda drive: drive.close(),
    ],
)
def test_a_filemark_that_stopped_a_read_is_given_back(
    door: Any, drive: CdbDrive, work: Any
) -> None:
    door.next["READ(6)"] = [MARK]
    assert condition_of(lambda: drive.read_record(8)) is Condition.FILEMARK
    door.ran.clear()
    work(drive)
    moved = [
        (name, values["code"], values["count"]) for name, values, _ in door.ran if "code" in values
    ]
    assert moved[0] == ("SPACE(6)", 1, -1)
    door.ran.clear()
    drive.status()
    assert "SPACE(6)" not in door.names


def test_a_filemark_that_is_passed_after_it_stopped_a_read_moves_nothing(
    door: Any, drive: CdbDrive
) -> None:
    door.next["READ(6)"] = [MARK]
    for _ in range(2):
        assert condition_of(lambda: drive.read_record(8)) is Condition.FILEMARK
    assert drive.space_records(3) == 0
    assert drive.space_filemarks(1) == 1
    assert door.motions == ["READ(6)"]
    assert drive.space_filemarks(2) == 2
    assert [values["count"] for name, values, _ in door.ran if name == "SPACE(6)"] == [2]


@pytest.mark.parametrize("work", ["rewind", "load", "unload"])
def test_a_filemark_is_forgotten_where_the_tape_goes_to_its_start(
    door: Any, drive: CdbDrive, work: str
) -> None:
    door.next["READ(6)"] = [MARK]
    assert condition_of(lambda: drive.read_record(8)) is Condition.FILEMARK
    getattr(drive, work)()
    drive.status()
    assert "SPACE(6)" not in door.names


@pytest.mark.parametrize(("size", "information", "wanted"), [(8, 3, b"abcde"), (3, -2, b"abc")])
def test_a_record_of_which_too_little_came_is_read_again(
    door: Any, drive: CdbDrive, size: int, information: int, wanted: bytes
) -> None:
    door.next["READ(6)"] = [Sense(0, wrong_length=True, information=information), b"abcde"]
    assert drive.read_record(size) == wanted
    moved = [(name, values["count"]) for name, values, _ in door.ran if "count" in values]
    assert moved == [
        ("READ(6)", size),
        ("SPACE(6)", -1),
        ("READ(6)", 5),
    ]


def test_a_record_that_never_comes_whole_is_an_error(door: Any, drive: CdbDrive) -> None:
    door.next["READ(6)"] = [Sense(0, wrong_length=True, information=3), b"abc"]
    with pytest.raises(TapeError, match="the record has 3 bytes, fewer than 5"):
        drive.read_record(8)


def test_no_more_is_asked_for_than_the_drive_has(door: Any, drive: CdbDrive) -> None:
    door.next["READ(6)"] = [bytes(1024)]
    assert drive.read_record(5000) == bytes(1024)
    assert door.ran[-1][1]["count"] == 0x400


def test_far_motion_has_a_command_of_its_own(door: Any, drive: CdbDrive) -> None:
    assert drive.space_records(1 << 30) == 1 << 30
    assert door.motions == ["SPACE(16)"]


def test_motion_that_does_not_say_how_far_is_an_error(door: Any, drive: CdbDrive) -> None:
    door.next["SPACE(6)"] = [Sense(8, 0, 5), Sense(3, 0x14, 3)]
    assert condition_of(lambda: drive.space_records(3)) is Condition.END_OF_DATA
    assert condition_of(lambda: drive.space_filemarks(3)) is Condition.MEDIUM_ERROR


def test_the_record_is_known_where_the_file_began_in_sight(door: Any, drive: CdbDrive) -> None:
    door.position = Position(7, 0)
    assert drive.status().position == TapePosition(0, 7)
    door.position = Position(12, 2)
    assert drive.status().position == TapePosition(2, None)
    drive.space_filemarks(1)
    door.position = Position(15, 2)
    assert drive.status().position == TapePosition(2, 3)


def test_a_drive_that_has_lost_its_place_says_so(door: Any, drive: CdbDrive) -> None:
    door.position = Position(None, 0)
    assert drive.status().position == TapePosition(0, None)


def test_capacity_is_told_if_there_is_a_tape(door: Any, drive: CdbDrive) -> None:
    rows = [LogParameter(1, (3).to_bytes(4, "big")), LogParameter(3, (9).to_bytes(4, "big"))]
    door.next["LOG SENSE"] = [encode_log(CAPACITY_PAGE, rows)]
    status = drive.status()
    assert (status.remaining_bytes, status.total_bytes) == (3 << 20, 9 << 20)
    door.next["TEST UNIT READY"] = [Sense(2, 0x3A, 0)]
    assert drive.status().total_bytes is None


def test_closing_brings_what_was_written_to_the_tape(door: Any) -> None:
    closed: list[str] = []
    drive = CdbDrive(door, "v.0", lambda: closed.append("x"))
    drive.write_records(PIECES, 4)
    door.ran.clear()
    drive.close()
    assert door.names == ["WRITE FILEMARKS(6)", "LOG SENSE"]
    assert door.ran[0][1]["count"] == 0
    assert closed == ["x"]


def test_a_drive_that_fails_while_it_is_closed_is_let_go(door: Any) -> None:
    closed: list[str] = []
    drive = CdbDrive(door, "v.0", lambda: closed.append("x"))
    drive.write_records(PIECES, 4)
    door.next["WRITE FILEMARKS(6)"] = [Sense(3, 0x0C, 0)]
    assert condition_of(drive.close) is Condition.MEDIUM_ERROR
    assert closed == ["x"]


@pytest.fixture
def counted(door: Any) -> CdbDrive:
    """A drive that does not know where it stands."""
    door.position = Position(None, 0)
    made = CdbDrive(door, "v.0", lambda: None)
    made.rewind()
    door.ran.clear()
    return made


def test_a_drive_that_does_not_know_its_place_is_counted(door: Any, counted: CdbDrive) -> None:
    counted.write_records(PIECES, 4)
    counted.write_filemarks(1)
    door.next["READ(6)"] = [b"abcd"]
    counted.read_record(4)
    assert counted.status().position == TapePosition(1, 1)
    assert counted.space_records(-1) == 1
    assert counted.status().position == TapePosition(1, 0)
    assert counted.space_filemarks(-1) == 1
    assert counted.status().position == TapePosition(0, None)
    assert "READ POSITION" not in door.names


def test_such_a_drive_moves_in_single_steps(door: Any, counted: CdbDrive) -> None:
    door.next["SPACE(6)"] = [b"", b"", Sense(0, 0, 5)]
    assert counted.space_filemarks(9) == 2
    assert counted.status().position == TapePosition(2, None)
    assert door.names.count("SPACE(6)") == 3
    door.next["SPACE(6)"] = [b"", Sense(0, 0, 4)]
    assert counted.space_records(-9) == 1
    assert counted.status().position == TapePosition(0, 0)


def test_a_mark_that_stopped_a_read_is_not_given_back_for_a_look(
    door: Any, counted: CdbDrive
) -> None:
    door.next["READ(6)"] = [b"abcd", MARK]
    counted.read_record(4)
    assert condition_of(lambda: counted.read_record(8)) is Condition.FILEMARK
    assert counted.status().position == TapePosition(0, 1)
    assert "SPACE(6)" not in door.names


def test_after_an_unload_nothing_is_known_of_the_next_tape(door: Any, drive: CdbDrive) -> None:
    drive.unload()
    door.ran.clear()
    drive.status()
    assert "READ BLOCK LIMITS" in door.names


def test_what_a_user_moves_by_a_command_of_his_own_is_not_counted_on(
    door: Any, counted: CdbDrive
) -> None:
    assert counted.door is not None
    counted.write_records(PIECES, 4)
    counted.door.execute(tape_command("SPACE(6)").build(code=0, count=-1), timeout_s=1)
    assert counted.status().position == TapePosition(None, None)
    door.position = Position(None, 0, is_beginning=True)
    counted.door.execute(tape_command("REWIND").build(), timeout_s=1)
    counted.read_record(4)
    assert counted.status().position == TapePosition(0, 1)


def test_a_user_s_command_makes_what_was_seen_of_tape_files_unsure(
    door: Any, drive: CdbDrive
) -> None:
    assert drive.door is not None
    door.position = Position(12, 2)
    drive.space_filemarks(1)
    assert drive.status().position == TapePosition(2, 0)
    drive.door.execute(tape_command("WRITE(6)").build(count=4), data_out=b"abcd", timeout_s=1)
    assert drive.status().position == TapePosition(2, None)


@pytest.mark.parametrize(
    "work",
    [
        lambda drive: drive.write_records(PIECES, 4),
        lambda drive: drive.write_filemarks(1),
        lambda drive: drive.read_record(4),
        lambda drive: drive.space_records(1),
        lambda drive: drive.space_filemarks(-1),
    ],
)
@pytest.mark.parametrize("is_asked_between", [False, True])
def test_after_a_reset_nothing_is_done_where_the_tape_may_not_be(
    door: Any, drive: CdbDrive, work: Any, is_asked_between: bool
) -> None:
    drive.write_records(PIECES, 4)
    if is_asked_between:
        door.reset()
        drive.status()
    else:
        door.next["WRITE(6)"] = [ATTENTION]
        assert condition_of(lambda: drive.write_records(PIECES, 4)) is Condition.NOT_READY
    door.ran.clear()
    with pytest.raises(TapeError) as caught:
        work(drive)
    if "is known to be on the tape" in str(caught.value):
        # That something is lost comes first, then that the tape stands elsewhere.
        assert is_asked_between
        with pytest.raises(TapeError) as caught:
            work(drive)
    assert "may not stand where it did" in str(caught.value)
    moves = {"WRITE(6)", "WRITE FILEMARKS(6)", "READ(6)", "SPACE(6)"}
    assert not moves & set(door.names)
    drive.rewind()
    work(drive)
    assert moves & set(door.names)


def test_what_concerns_no_tape_does_not_stop_a_backup(door: Any, drive: CdbDrive) -> None:
    door.next["WRITE(6)"] = [b"", Sense(6, 0x3F, 0x0E), Sense(6, 0x2A, 0x02)]
    assert drive.write_records(PIECES, 4) == 3
    assert [data for name, _, data in door.ran if name == "WRITE(6)"] == [
        b"aaaa",
        *[b"bbbb"] * 3,
        b"cccc",
    ]


def test_a_busy_drive_has_not_moved(door: Any, drive: CdbDrive) -> None:
    door.next_status["WRITE(6)"] = [8]
    assert condition_of(lambda: drive.write_records(PIECES, 4)) is Condition.BUSY
    assert drive.write_records(PIECES, 4) == 3


@pytest.mark.requirement("R051")
def test_time_limits_of_a_device_replace_those_of_the_driver(door: Any, drive: CdbDrive) -> None:
    drive.rewind()
    before = door.limits["REWIND"]
    drive.adjust(DriveSetup(compression="a", timeouts_s={0x01: 4000.0}))
    drive.rewind()
    assert (before, door.limits["REWIND"]) == (7200.0, 4000.0)


def test_a_count_is_doubted_after_an_error(door: Any) -> None:
    door.position = Position(None, is_beginning=True)
    drive = CdbDrive(door, "v.0", lambda: None)
    drive.write_records(PIECES, 4)
    assert drive.status().position == TapePosition(0, 3)
    door.position = Position(None)
    door.next["WRITE(6)"] = [Sense(3, 0x0C, 0)]
    assert condition_of(lambda: drive.write_records(PIECES, 4)) is Condition.MEDIUM_ERROR
    assert drive.status().position == TapePosition(None, None)


def test_a_reset_that_a_question_has_heard_stops_the_write_after_it(
    door: Any, drive: CdbDrive
) -> None:
    door.next["READ POSITION"] = [ATTENTION]
    assert condition_of(lambda: drive.write_records(PIECES, 4)) is Condition.HARDWARE_ERROR
    assert "WRITE(6)" not in door.names
    drive.rewind()
    assert drive.write_records(PIECES, 4) == 3


@pytest.mark.parametrize("name", ["rewind", "unload", "close"])
@pytest.mark.parametrize("is_asked", [True, False])
def test_a_reset_before_what_was_written_is_durable_is_told(
    door: Any, drive: CdbDrive, name: str, is_asked: bool
) -> None:
    drive.write_records(PIECES, 4)
    if is_asked:
        door.next["TEST UNIT READY"] = [ATTENTION]
        drive.status()
    else:
        command = {"rewind": "REWIND", "unload": "LOAD UNLOAD", "close": "WRITE FILEMARKS(6)"}
        door.next[command[name]] = [ATTENTION]
    told = "is known to be on the tape" if is_asked or name != "close" else "device reset"
    with pytest.raises(TapeError, match=told):
        getattr(drive, name)()
    drive.rewind()
    drive.close()


ELSEWHERE: Any = [
    lambda drive: drive.read_record(4),
    lambda drive: drive.read_records(memoryview(bytearray(8)), 8, 4),
    lambda drive: drive.space_records(-1),
    lambda drive: drive.space_records(0),
    lambda drive: drive.space_filemarks(-1),
]
"""What ends writing without a filemark."""


@pytest.mark.parametrize("work", ELSEWHERE)
def test_what_was_written_is_on_the_tape_before_its_user_goes_elsewhere(
    door: Any, drive: CdbDrive, work: Any
) -> None:
    drive.write_records(PIECES, 4)
    door.ran.clear()
    work(drive)
    assert (door.ran[0][0], door.ran[0][1]["count"]) == ("WRITE FILEMARKS(6)", 0)
    door.ran.clear()
    work(drive)
    drive.close()
    assert "WRITE FILEMARKS(6)" not in door.names


@pytest.mark.parametrize("work", ELSEWHERE)
def test_what_did_not_come_to_the_tape_is_told_before_its_user_goes_elsewhere(
    door: Any, drive: CdbDrive, work: Any
) -> None:
    drive.write_records(PIECES, 4)
    door.ran.clear()
    door.next["WRITE FILEMARKS(6)"] = [Sense(3, 0x0C, 0, is_deferred=True)]
    assert condition_of(lambda: work(drive)) is Condition.MEDIUM_ERROR
    assert door.names == ["WRITE FILEMARKS(6)"]
    work(drive)
    assert door.names.count("WRITE FILEMARKS(6)") == 1


@pytest.mark.parametrize("work", ELSEWHERE)
def test_a_reset_after_writing_is_told_before_its_user_goes_elsewhere(
    door: Any, drive: CdbDrive, work: Any
) -> None:
    drive.write_records(PIECES, 4)
    door.next["TEST UNIT READY"] = [ATTENTION]
    drive.status()
    with pytest.raises(TapeError, match="is known to be on the tape"):
        work(drive)
    drive.rewind()


@pytest.mark.parametrize("name", ["rewind", "unload", "load"])
def test_a_failed_write_is_told_by_what_brings_the_tape_to_its_start(
    door: Any, drive: CdbDrive, name: str
) -> None:
    door.next["WRITE(6)"] = [b"", Sense(3, 0x0C, 0)]
    assert drive.write_records(PIECES, 4) == 1
    door.ran.clear()
    assert condition_of(getattr(drive, name)) is Condition.MEDIUM_ERROR
    assert {"REWIND", "LOAD UNLOAD"} & set(door.names)
    getattr(drive, name)()


@pytest.mark.parametrize("work", [lambda drive: drive.space_records(-1), CdbDrive.rewind])
def test_the_end_of_a_tape_is_nothing_to_tell_elsewhere(
    door: Any, drive: CdbDrive, work: Any
) -> None:
    for warning in (WARNED, FULL):
        door.next["WRITE(6)"] = [b"", warning]
        drive.write_records(PIECES, 4)
        work(drive)
        assert drive.write_records(PIECES, 4) == 3


def test_records_before_one_that_was_refused_count(door: Any, drive: CdbDrive) -> None:
    execute, sent = door.execute, []

    def busy_at_the_third(cdb: bytes, **values: Any) -> Any:
        sent.extend([cdb] if cdb[0] == 0x0A else [])
        is_third = cdb[0] == 0x0A and len(sent) == 3
        return CdbReply(Status.BUSY) if is_third else execute(cdb, **values)

    door.execute = busy_at_the_third
    assert drive.write_records(PIECES, 4) == 2
    assert condition_of(lambda: drive.write_records(PIECES, 4)) is Condition.BUSY


def test_a_reset_while_records_were_taken_is_told_by_the_rewind_too(
    door: Any, drive: CdbDrive
) -> None:
    door.next["WRITE(6)"] = [b"", ATTENTION]
    assert drive.write_records(PIECES, 4) == 1
    with pytest.raises(TapeError, match="is known to be on the tape"):
        drive.rewind()


@pytest.mark.parametrize(
    "sense",
    [
        Sense(0xD, 0, 2, end_of_medium=True, is_deferred=True),
        Sense(0xD, 0, 2, end_of_medium=True, information=8),
    ],
)
def test_the_end_of_the_medium_before_what_was_taken_is_an_error(
    door: Any, drive: CdbDrive, sense: Sense
) -> None:
    drive.write_records(PIECES, 4)
    door.next["WRITE(6)"] = [sense]
    assert condition_of(lambda: drive.write_records(PIECES, 4)) is Condition.MEDIUM_ERROR


def test_what_a_write_has_told_is_not_told_again(door: Any, drive: CdbDrive) -> None:
    drive.write_records(PIECES, 4)
    door.next["WRITE(6)"] = [ATTENTION]
    assert condition_of(lambda: drive.write_records(PIECES, 4)) is Condition.NOT_READY
    door.next["REWIND"] = [ATTENTION]
    drive.rewind()
    drive.close()


def test_news_before_there_is_a_tape_says_nothing_of_it(door: Any) -> None:
    no_tape = Sense(2, 0x3A, 0)
    door.next["TEST UNIT READY"] = [ATTENTION, no_tape]
    drive = CdbDrive(door, "v.0", lambda: None)
    door.next["READ(6)"] = [no_tape]
    assert condition_of(lambda: drive.read_record(4)) is Condition.NO_TAPE


def test_a_record_is_not_read_again_at_another_place(door: Any, drive: CdbDrive) -> None:
    short = Sense(0, 0, 0, wrong_length=True, information=4)
    door.next["READ(6)"] = [short, ATTENTION, b"beginning of the tape"]
    assert condition_of(lambda: drive.read_record(8)) is Condition.NOT_READY
    assert door.names.count("READ(6)") == 2
