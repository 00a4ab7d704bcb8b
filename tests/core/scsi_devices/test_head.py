"""Where the head stands is asked, or counted where the drive does not know."""

from __future__ import annotations

from tapekit.hookspecs.tape_driver import TapePosition
from tapekit.scsi.position import Position
from tapekit.scsi_devices.head import AskedHead, CountedHead


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
    head = CountedHead(is_beginning=False)
    head.passed_records(5)
    assert head.position() == TapePosition(0, None)
    head.passed_filemarks(2)
    head.begin_writing()
    head.passed_records(3)
    assert head.position() == TapePosition(2, 3)
    head.passed_filemarks(0)
    assert head.position() == TapePosition(2, 3)
    head.at_beginning()
    assert head.position() == TapePosition(0, 0)
    assert CountedHead(is_beginning=True).position() == TapePosition(0, 0)


def test_a_file_that_is_entered_at_its_end_has_no_count() -> None:
    head = CountedHead(is_beginning=True)
    head.passed_filemarks(3)
    head.passed_filemarks(-1)
    assert head.position() == TapePosition(2, None)
    head.passed_filemarks(-9)
    assert head.position() == TapePosition(0, None)
    head.passed_filemarks(1)
    head.at_end_of_data(1)
    assert head.position() == TapePosition(2, None)


def test_more_records_backwards_than_were_counted_end_the_count() -> None:
    head = CountedHead(is_beginning=False)
    head.passed_filemarks(1)
    head.passed_records(-1)
    assert head.position() == TapePosition(1, None)
