"""Where the head stands is asked, or counted where the drive does not know."""

from __future__ import annotations

from tapekit.errors import CORE
from tapekit.hookspecs.tape_driver import Condition, TapeError, TapePosition
from tapekit.scsi.position import Position
from tapekit.scsi_devices.head import AskedHead, CountedHead


def nowhere() -> Position:
    return Position(None, None)


def test_records_are_told_from_where_their_file_was_seen_to_begin() -> None:
    place = Position(3, 0)
    head = AskedHead(lambda: place)
    assert head.position() == TapePosition(0, 3)
    place = Position(9, 1)
    assert head.position() == TapePosition(1, None)
    head.passed_filemarks(1)
    place = Position(11, 1)
    assert head.position() == TapePosition(1, 2)


def test_what_is_written_over_is_forgotten() -> None:
    place = Position(9, 1)
    head = AskedHead(lambda: place)
    head.passed_filemarks(1)
    place = Position(2, 0)
    head.begin_writing()
    place = Position(9, 1)
    assert head.position() == TapePosition(1, None)


def test_motion_backwards_and_to_the_ends_teaches_nothing() -> None:
    place = Position(9, 1)
    head = AskedHead(lambda: place)
    head.passed_filemarks(-1)
    head.passed_records(4)
    head.at_beginning()
    head.at_end_of_data(2)
    assert head.position() == TapePosition(1, None)


def test_a_count_begins_where_nobody_knows_and_is_sure_from_the_beginning() -> None:
    head = CountedHead(nowhere, is_beginning=False)
    head.passed_records(5)
    assert head.position() == TapePosition(None, None)
    head.passed_filemarks(2)
    head.begin_writing()
    head.passed_records(3)
    assert head.position() == TapePosition(None, 3)
    head.passed_filemarks(0)
    assert head.position() == TapePosition(None, 3)
    head.at_end_of_data(1)
    assert head.position() == TapePosition(None, None)
    head.at_beginning()
    assert head.position() == TapePosition(0, 0)
    assert CountedHead(nowhere, is_beginning=True).position() == TapePosition(0, 0)


def test_a_file_that_is_entered_at_its_end_has_no_count() -> None:
    head = CountedHead(nowhere, is_beginning=True)
    head.passed_filemarks(3)
    head.passed_filemarks(-1)
    assert head.position() == TapePosition(2, None)
    head.passed_filemarks(-9)
    assert head.position() == TapePosition(0, None)
    head.passed_filemarks(1)
    head.at_end_of_data(1)
    assert head.position() == TapePosition(2, None)


def test_more_records_backwards_than_were_counted_end_the_count() -> None:
    head = CountedHead(nowhere, is_beginning=False)
    head.passed_filemarks(1)
    head.passed_records(-1)
    assert head.position() == TapePosition(None, None)


def test_tape_files_that_others_may_have_moved_are_forgotten() -> None:
    place = Position(9, 1)
    head = AskedHead(lambda: place)
    head.passed_filemarks(1)
    assert head.position() == TapePosition(1, 0)
    head.moved_unseen(may_ask=True)
    assert head.position() == TapePosition(1, None)
    place = Position(4, 0)
    assert head.position() == TapePosition(0, 4)
    place = Position(4, None)
    assert head.position() == TapePosition(None, None)


def test_a_count_that_others_may_have_made_wrong_begins_anew() -> None:
    place = Position(None, None, is_beginning=True)
    head = CountedHead(lambda: place, is_beginning=True)
    head.passed_filemarks(3)
    head.moved_unseen(may_ask=True)
    assert head.position() == TapePosition(0, 0)
    head.passed_records(3)
    place = Position(None, None)
    head.moved_unseen(may_ask=True)
    assert head.position() == TapePosition(None, None)


def test_a_drive_with_news_for_others_is_not_asked() -> None:
    def ask() -> Position:
        raise AssertionError("the news would be heard here")

    head = CountedHead(ask, is_beginning=True)
    head.moved_unseen(may_ask=False)
    assert head.position() == TapePosition(None, None)


def test_a_drive_that_does_not_say_where_others_left_it_is_nowhere() -> None:
    def silent() -> Position:
        raise CORE.raised_as(
            TapeError,
            "scsi-refused",
            condition=Condition.NO_TAPE,
            device="v.0",
            command="READ POSITION",
            sense="no tape",
        )

    head = CountedHead(silent, is_beginning=True)
    head.moved_unseen(may_ask=True)
    assert head.position() == TapePosition(None, None)
