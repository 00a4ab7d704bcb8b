"""Alerts are logged once, and corrected errors are counted where a drive counts."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tapekit.hookspecs.tape_driver import AlertingDrive, Condition, TapeError
from tapekit.scsi.cdb import TAPE_COMMANDS
from tapekit.scsi.log import (
    READ_ERRORS_PAGE,
    VOLUME_PAGE,
    WRITE_ERRORS_PAGE,
    LogParameter,
    encode_alerts,
    encode_log,
    encode_log_list,
)
from tapekit.scsi.sense import Sense
from tapekit.scsi_devices.conversation import Conversation
from tapekit.scsi_devices.drive import CdbDrive
from tapekit.scsi_devices.health import corrected_errors, counters, tell_alerts

NO_PAGE, BROKEN = Sense(5, 0x24, 0), Sense(4, 0x44, 0)


@pytest.fixture
def talk(door: Any) -> Conversation:
    return Conversation(door, "v.0", TAPE_COMMANDS)


def errors_page(page: int, corrected: int) -> bytes:
    rows = (LogParameter(2, b"\0\7"), LogParameter(3, corrected.to_bytes(4, "big")))
    return encode_log(page, rows)


@pytest.mark.parametrize(
    ("pages", "count"),
    [
        ([errors_page(WRITE_ERRORS_PAGE, 70_000), errors_page(READ_ERRORS_PAGE, 5)], 70_005),
        ([NO_PAGE, errors_page(READ_ERRORS_PAGE, 5)], 5),
        ([encode_log(WRITE_ERRORS_PAGE, ()), NO_PAGE], None),
        ([NO_PAGE, NO_PAGE], None),
    ],
)
def test_corrected_errors_are_those_of_both_ways(
    door: Any, talk: Conversation, pages: list[Any], count: int | None
) -> None:
    door.next["LOG SENSE"] = pages
    assert corrected_errors(talk) == count


def test_alerts_are_told_in_words(
    door: Any, talk: Conversation, caplog: pytest.LogCaptureFixture
) -> None:
    door.next["LOG SENSE"] = [encode_alerts(frozenset({20, 45})), NO_PAGE]
    with caplog.at_level(logging.WARNING):
        tell_alerts(talk, "v.0")
        tell_alerts(talk, "v.0")
    assert [record.getMessage() for record in caplog.records] == [
        "v.0 raises TapeAlert 20: clean now",
        "v.0 raises TapeAlert 45: of the maker's own",
    ]


def test_a_drive_that_fails_is_an_error(door: Any, talk: Conversation) -> None:
    door.usual["LOG SENSE"] = BROKEN
    for work in (lambda: corrected_errors(talk), lambda: tell_alerts(talk, "v.0")):
        with pytest.raises(TapeError) as caught:
            work()
        assert caught.value.condition is Condition.HARDWARE_ERROR


def test_a_drive_tells_its_alerts_when_it_is_closed(
    door: Any, caplog: pytest.LogCaptureFixture
) -> None:
    closed: list[bool] = []
    for answer, words in (
        (encode_alerts(frozenset({6})), "write failure"),
        (BROKEN, "was not asked"),
    ):
        drive = CdbDrive(door, "v.0", lambda: closed.append(True))
        door.next["LOG SENSE"] = [answer]
        with caplog.at_level(logging.INFO):
            drive.close()
        assert words in caplog.text
        assert isinstance(drive, AlertingDrive)
        assert drive.alerts == ({} if answer is BROKEN else {6: "write failure"})
    assert closed == [True, True]


def test_a_status_has_the_soft_errors_of_a_drive_that_counts(door: Any) -> None:
    drive = CdbDrive(door, "v.0", lambda: None)
    door.next["LOG SENSE"] = [
        NO_PAGE,
        errors_page(WRITE_ERRORS_PAGE, 3),
        errors_page(READ_ERRORS_PAGE, 4),
    ]
    assert drive.status().soft_errors == 7
    assert drive.status().soft_errors == 0
    door.ran.clear()
    drive.status()
    assert door.names.count("LOG SENSE") == 1


def test_all_that_a_drive_counts_is_told_by_name(door: Any, talk: Conversation) -> None:
    volume = (
        LogParameter(1, b"\0\0\0\7"),
        LogParameter(0x10, b"\xff" * 8),
        LogParameter(0x40, b"SERIAL    "),
        LogParameter(0x1234, b"\1"),
    )
    door.next["LOG SENSE"] = [
        encode_log_list((0, WRITE_ERRORS_PAGE, VOLUME_PAGE, 0x2E)),
        errors_page(WRITE_ERRORS_PAGE, 3),
        encode_log(VOLUME_PAGE, volume),
    ]
    assert counters(talk) == {
        "write errors": {"total repeated": 7, "total corrected": 3},
        "volume statistics": {"loads": 7},
    }


def test_a_drive_without_a_list_of_pages_counts_nothing(door: Any, talk: Conversation) -> None:
    door.next["LOG SENSE"] = [NO_PAGE]
    assert counters(talk) == {}


def test_a_list_that_cannot_be_read_is_an_error(door: Any, talk: Conversation) -> None:
    door.next["LOG SENSE"] = [b"\x31\0\0\0"]
    with pytest.raises(TapeError) as caught:
        counters(talk)
    assert caught.value.condition is Condition.HARDWARE_ERROR
