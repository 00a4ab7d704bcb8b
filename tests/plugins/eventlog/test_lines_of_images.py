"""What the backup log says of SMTape's jobs."""

from __future__ import annotations

import itertools
from datetime import UTC
from typing import TYPE_CHECKING

import pytest

from tapekit_eventlog.lines import Lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.events import Event

NOW = 1_795_341_600.0
PATH = "/vs1/vol1"
WHEN = "Sun Nov 22 10:00:00 UTC 2026"


@pytest.mark.requirement("R308")
def test_every_event_of_a_backup_has_its_information(happen: Callable[..., Event]) -> None:
    lines = Lines(UTC, itertools.count(3).__next__)
    events = (
        happen("smtape.backup-started", path=PATH, kind="incremental"),
        happen("smtape.backup-options", options="VERBOSE=Y"),
        happen("smtape.snapshot-located", snapshot="new", taken_at_s=NOW),
        happen("smtape.base-located", snapshot="old", taken_at_s=NOW),
        happen("smtape.copy-sent", snapshot="new"),
        happen("smtape.backup-finished", bytes=2048),
    )
    said = [line for event in events for line in lines.of(event)]
    begins = f"dmp {WHEN} {PATH}(3) "
    assert [line.removeprefix(begins) for line in said] == [
        "Start (SMTape incremental, NDMP)",
        "Options (VERBOSE=Y)",
        f"Snapshot (new, {WHEN})",
        f"Base_dump (old, {WHEN})",
        "Phase-change (new)",
        "End (2 KB)",
    ]


def test_a_backup_that_fails_is_told(happen: Callable[..., Event]) -> None:
    lines = Lines(UTC, itertools.count(3).__next__)
    events = (
        happen("smtape.backup-started", path=PATH, kind="baseline"),
        happen("smtape.backup-failed", reason="Failed to find snapshot", bytes=0),
    )
    said = [line for event in events for line in lines.of(event)]
    assert [line.split(f"{PATH}(3) ")[1] for line in said[1:]] == [
        "Error (Failed to find snapshot)",
        "Abort (0 KB)",
    ]


@pytest.mark.requirement("R310")
def test_every_event_of_a_restore_has_its_information(happen: Callable[..., Event]) -> None:
    lines = Lines(UTC, itertools.count(3).__next__)
    events = (
        happen("smtape.restore-started", path=PATH),
        happen("smtape.restore-options", options="baseline image of /vs1/vol2"),
        happen("smtape.copy-restored", snapshot="one"),
        happen("smtape.restore-finished", bytes=1025),
    )
    said = [line for event in events for line in lines.of(event)]
    begins = f"rst {WHEN} {PATH} "
    assert [line.removeprefix(begins) for line in said] == [
        "Start (SMTape, NDMP)",
        "Options (baseline image of /vs1/vol2)",
        "Phase-change (one)",
        "End (2 KB)",
    ]
