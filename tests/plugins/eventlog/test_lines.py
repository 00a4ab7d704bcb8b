from __future__ import annotations

import itertools
from datetime import UTC
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from tapekit_eventlog.lines import ROWS, Lines, timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.hookspecs.events import Event

NOW = 1_795_341_600.0
PATH = "/vs1/vol1"


@pytest.fixture
def lines() -> Lines:
    return Lines(UTC, itertools.count(3).__next__)


def said(lines: Lines, *events: Event) -> Sequence[str]:
    return [line for event in events for line in lines.of(event)]


@pytest.mark.requirement("R304", "R305", "R306")
def test_a_dump_starts_with_its_path_and_a_number_of_its_own(
    lines: Lines, happen: Callable[..., Event]
) -> None:
    first = happen("dump.backup-started", path=PATH, level=0)
    second = happen("dump.backup-started", 61, path=PATH, level=2)
    assert said(lines, first, second) == [
        "dmp Sun Nov 22 10:00:00 UTC 2026 /vs1/vol1(3) Start (Level 0, NDMP)",
        "dmp Sun Nov 22 10:01:01 UTC 2026 /vs1/vol1(4) Start (Level 2, NDMP)",
    ]


@pytest.mark.requirement("R308")
def test_every_event_of_a_dump_has_its_information(
    lines: Lines, happen: Callable[..., Event]
) -> None:
    said_of = said(
        lines,
        happen("ndmp_v4.tape-opened", device="nrst0a"),
        happen("dump.backup-started", path=PATH, level=1),
        happen("dump.backup-options", options="LEVEL=1, HIST=Y"),
        happen("dump.snapshot-located", snapshot="snapshot_for_backup.0", taken_at_s=NOW - 60),
        happen("dump.base-located", base_level=0, base_date_s=NOW - 86400),
        happen("dump.phase-started", phase="I", what="mapping files"),
        happen("dump.backup-finished", bytes=10_241, objects=5),
        happen("ndmp_v4.tape-closed", device="nrst0a"),
    )
    start = "dmp Sun Nov 22 10:00:00 UTC 2026 /vs1/vol1(3) "
    assert all(line.startswith(start) for line in said_of)
    assert [line.removeprefix(start) for line in said_of] == [
        "Start (Level 1, NDMP)",
        "Tape_open (nrst0a)",
        "Options (LEVEL=1, HIST=Y)",
        "Snapshot (snapshot_for_backup.0, Sun Nov 22 09:59:00 UTC 2026)",
        "Base_dump (Level 0, Sat Nov 21 10:00:00 UTC 2026)",
        "Phase-change (I)",
        "End (11 KB)",
        "Tape_close (nrst0a)",
    ]


def test_a_tape_closed_while_the_dump_runs_is_told(
    lines: Lines, happen: Callable[..., Event]
) -> None:
    said_of = said(
        lines,
        happen("dump.backup-started", path=PATH, level=0),
        happen("ndmp_v4.tape-opened", device="nrst0a"),
        happen("ndmp_v4.tape-closed", device="nrst0a"),
        happen("ndmp_v4.tape-opened", device="nrst1a"),
    )
    assert [line.split(") ", 1)[1] for line in said_of[1:]] == [
        "Tape_open (nrst0a)",
        "Tape_close (nrst0a)",
        "Tape_open (nrst1a)",
    ]


def test_a_tape_used_after_a_job_is_not_the_jobs(
    lines: Lines, happen: Callable[..., Event]
) -> None:
    said_of = said(
        lines,
        happen("ndmp_v4.tape-opened", device="nrst0a"),
        happen("dump.backup-started", path=PATH, level=0),
        happen("dump.backup-finished", bytes=0),
        happen("ndmp_v4.tape-closed", device="nrst0a"),
        happen("ndmp_v4.tape-opened", device="nrst0a"),
        happen("ndmp_v4.tape-closed", device="nrst0a"),
    )
    assert [line.split(") ", 1)[1] for line in said_of][2:] == ["End (0 KB)", "Tape_close (nrst0a)"]


def test_a_dump_that_fails_tells_why_and_how_far_it_came(
    lines: Lines, happen: Callable[..., Event]
) -> None:
    said_of = said(
        lines,
        happen("dump.backup-started", path=PATH, level=0),
        happen("dump.backup-failed", reason="the data connection broke off", bytes=2048),
    )
    assert [line.split(") ", 1)[1] for line in said_of[1:]] == [
        "Error (the data connection broke off)",
        "Abort (2 KB)",
    ]


@pytest.mark.requirement("R306", "R309")
def test_a_restore_is_known_by_its_destination_alone(
    lines: Lines, happen: Callable[..., Event]
) -> None:
    said_of = said(
        lines,
        happen("dump.restore-started", path="/vs1/vol1/back", level=0),
        happen("dump.restore-options", options="DIRECT=Y"),
        happen("ndmp_v4.tape-opened", device="nrst0a"),
        happen("dump.restore-phase-started", phase="reading directories"),
        happen("dump.restore-error", reason="x: not in the backup"),
        happen("dump.restore-finished", objects=12, bytes=4096),
    )
    start = "rst Sun Nov 22 10:00:00 UTC 2026 /vs1/vol1/back "
    assert [line.removeprefix(start) for line in said_of] == [
        "Start (Level 0, NDMP)",
        "Options (DIRECT=Y)",
        "Tape_open (nrst0a)",
        "Phase-change (reading directories)",
        "Error (x: not in the backup)",
        "End (12 files, 4 KB)",
    ]


@pytest.mark.requirement("R307")
def test_turning_it_on_and_off_has_no_identifier(lines: Lines) -> None:
    assert lines.switched(NOW, on=True) == "log Sun Nov 22 10:00:00 UTC 2026 Start_Logging"
    assert lines.switched(NOW, on=False) == "log Sun Nov 22 10:00:00 UTC 2026 Stop_Logging"


def test_jobs_of_two_sessions_are_told_apart(lines: Lines, happen: Callable[..., Event]) -> None:
    said_of = said(
        lines,
        happen("dump.backup-started", path="/vs1/a", level=0),
        happen("dump.backup-started", path="/vs1/b", level=0, holder="session 8"),
        happen("dump.phase-started", phase="II", holder="session 8"),
        happen("dump.phase-started", phase="I"),
    )
    assert [line.split()[7] for line in said_of] == ["/vs1/a(3)", "/vs1/b(4)"] * 1 + [
        "/vs1/b(4)",
        "/vs1/a(3)",
    ]


def test_tapes_without_a_job_and_strange_events_are_not_in_it(
    lines: Lines, happen: Callable[..., Event]
) -> None:
    assert said(lines, happen("ndmp_v4.tape-opened", device="nrst0a"), happen("auth.x")) == []


def test_whatever_is_in_a_fact_a_line_is_one_line(
    lines: Lines, happen: Callable[..., Event]
) -> None:
    [line] = said(lines, happen("dump.backup-started", path="/vs1/a\nlog x\x1b[2J", level=0))
    assert "/vs1/a\\nlog x\\x1b[2J(3)" in line


def test_a_fact_that_is_missing_shows_as_such(lines: Lines, happen: Callable[..., Event]) -> None:
    said_of = said(lines, happen("dump.backup-started", path=PATH), happen("dump.backup-finished"))
    assert [line.split(") ", 1)[1] for line in said_of] == ["Start (Level -, NDMP)", "End (-)"]


def test_days_have_two_places_and_zones_their_names() -> None:
    assert timestamp(1_793_620_800, UTC) == "Mon Nov  2 12:00:00 UTC 2026"
    assert timestamp(NOW, ZoneInfo("Europe/Berlin")) == "Sun Nov 22 11:00:00 CET 2026"


def test_the_table_has_the_events_of_the_guide() -> None:
    common = {"Start", "End", "Abort", "Options", "Phase-change", "Error"}
    assert {row.name for row in ROWS if row.kind == "dmp"} == {*common, "Snapshot", "Base_dump"}
    assert {row.name for row in ROWS if row.kind == "rst"} == common
    assert {row.name for row in ROWS if row.kind == "job"} == {"Tape_open", "Tape_close"}
