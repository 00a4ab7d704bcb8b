from __future__ import annotations

import os
from datetime import UTC
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from tapekit.errors import TapekitError
from tapekit_eventlog.log_file import LogFile

if TYPE_CHECKING:
    from pathlib import Path

SATURDAY = 1_795_305_599.0
"""Sat Nov 21 23:59:59 UTC 2026"""
WEEK = 7 * 86400


@pytest.mark.requirement("R301", "R302")
def test_a_new_week_moves_every_file_on_and_keeps_six(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log", UTC)
    for week in range(9):
        log.append(f"first of {week}", SATURDAY + 1 + week * WEEK)
        log.append(f"last of {week}", SATURDAY + (week + 1) * WEEK)
    found = {file.name: file.read_text().split("\n")[0] for file in (tmp_path / "log").iterdir()}
    assert found == {
        "backup": "first of 8",
        **{f"backup.{number}": f"first of {7 - number}" for number in range(6)},
    }
    assert (tmp_path / "log" / "backup.3").read_text() == "first of 4\nlast of 4\n"


def test_weeks_in_which_nothing_happened_leave_no_files(tmp_path: Path) -> None:
    log = LogFile(tmp_path, UTC)
    log.append("long ago", SATURDAY)
    log.append("now", SATURDAY + 10 * WEEK)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["backup", "backup.0"]


def test_the_week_begins_in_the_zone_of_the_log(tmp_path: Path) -> None:
    log = LogFile(tmp_path, ZoneInfo("America/New_York"))
    log.append("one", SATURDAY)
    log.append("two", SATURDAY + 60)
    assert (tmp_path / "backup").read_text() == "one\ntwo\n"


def test_a_clock_that_went_back_rotates_nothing(tmp_path: Path) -> None:
    log = LogFile(tmp_path, UTC)
    log.append("one", SATURDAY + WEEK)
    log.append("two", SATURDAY)
    assert (tmp_path / "backup").read_text() == "one\ntwo\n"


def test_a_torn_last_line_gets_an_end(tmp_path: Path) -> None:
    log = LogFile(tmp_path, UTC)
    log.append("one", SATURDAY)
    with log.path.open("a") as file:
        file.write("to")
    log.append("three", SATURDAY)
    assert log.path.read_text() == "one\nto\nthree\n"


def test_names_of_any_bytes_are_kept(tmp_path: Path) -> None:
    log = LogFile(tmp_path, UTC)
    log.append("/vs1/\udcff", SATURDAY)
    assert log.path.read_bytes() == b"/vs1/\xff\n"


def test_a_folder_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("in the way")
    with pytest.raises(TapekitError, match="cannot be written") as raised:
        LogFile(tmp_path / "log", UTC).append("one", SATURDAY)
    assert "directory" in raised.value.advice


def test_a_note_moves_no_file_on_and_leaves_the_week(tmp_path: Path) -> None:
    log = LogFile(tmp_path, UTC)
    log.append("last week", SATURDAY)
    log.note("note", SATURDAY + 1)
    assert log.path.read_text() == "last week\nnote\n"
    log.append("this week", SATURDAY + 1)
    assert log.path.read_text() == "this week\n"
    assert (tmp_path / "backup.0").read_text() == "last week\nnote\n"


def test_a_file_that_begins_with_a_note_is_of_its_week(tmp_path: Path) -> None:
    log = LogFile(tmp_path, UTC)
    log.note("note", SATURDAY)
    log.append("this week", SATURDAY + 1)
    assert log.path.read_text() == "this week\n"
    assert (tmp_path / "backup.0").read_text() == "note\n"


def test_a_link_in_the_place_of_the_file_leads_nowhere(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("kept")
    log = LogFile(tmp_path / "log", UTC)
    (tmp_path / "log").mkdir()
    for place in (target, tmp_path / "missing"):
        log.path.symlink_to(place)
        with pytest.raises(TapekitError, match="cannot be written"):
            log.note("line", SATURDAY)
        log.path.unlink()
    assert target.read_text() == "kept"
    assert not (tmp_path / "missing").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_that_root_makes_belongs_to_whom_the_folder_does(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log", UTC)
    (tmp_path / "log").mkdir()
    os.chown(tmp_path / "log", 12345, 12346)
    log.note("line", SATURDAY)
    status = log.path.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (12345, 12346, 0o640)
    os.chown(log.path, 0, 0)
    log.note("another", SATURDAY)
    assert log.path.stat().st_uid == 0
