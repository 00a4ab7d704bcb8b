from __future__ import annotations

import logging
from datetime import UTC
from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit.kernel.memory_state import MemoryStateStore
from tapekit_eventlog.errors import CATALOGUE
from tapekit_eventlog.lines import Lines
from tapekit_eventlog.log_file import LogFile
from tapekit_eventlog.recorder import Recorder, is_on, next_dump

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tapekit.hookspecs.events import Event
    from tapekit.hookspecs.state import StateStore

NOW = 1_795_341_600.0


class Site:
    """A recorder with all around it."""

    def __init__(self, directory: Path) -> None:
        self.state: StateStore = MemoryStateStore()
        self.file = LogFile(directory, UTC)
        self.done: list[object] = []
        self.new()

    def new(self) -> None:
        """A new start of the stack."""
        lines = Lines(UTC, lambda: next_dump(self.state))
        self.recorder = Recorder(lines, self.file, self.state, lambda: NOW)

    def switch(self, *, on: bool) -> None:
        self.recorder.switch(
            on=on,
            done=lambda error: self.done.append(is_on(self.state) if error is None else error),
        )

    def run(self) -> list[str]:
        self.recorder.stop()
        self.recorder.run()
        path = self.file.path
        return [line.split(" ", 7)[-1] for line in path.read_text().splitlines()]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "log")


def test_events_are_lines_in_their_order(site: Site, happen: Callable[..., Event]) -> None:
    site.recorder.take(happen("dump.backup-started", path="/vs1/a", level=0))
    site.recorder.take(happen("dump.backup-finished", bytes=1024))
    assert site.run() == [
        "Start_Logging",
        "/vs1/a(0) Start (Level 0, NDMP)",
        "/vs1/a(0) End (1 KB)",
    ]


@pytest.mark.requirement("R307", "R310")
def test_it_is_on_until_somebody_turns_it_off_and_that_is_remembered(
    site: Site, happen: Callable[..., Event]
) -> None:
    assert is_on(site.state)
    site.switch(on=False)
    site.recorder.take(happen("dump.backup-started", path="/vs1/a", level=0))
    site.switch(on=False)
    assert site.run() == ["Start_Logging", "Stop_Logging"]
    site.new()
    site.recorder.take(happen("dump.backup-started", path="/vs1/a", level=0))
    assert site.run() == ["Start_Logging", "Stop_Logging"]
    site.new()
    site.switch(on=True)
    site.recorder.take(happen("dump.backup-started", path="/vs1/b", level=0))
    assert site.run()[2:] == ["Start_Logging", "/vs1/b(2) Start (Level 0, NDMP)"]
    assert site.done == [False, False, True]


def test_numbers_of_dumps_outlast_a_restart(site: Site, happen: Callable[..., Event]) -> None:
    for _ in range(2):
        site.new()
        site.recorder.take(happen("dump.backup-started", path="/vs1/a", level=0))
        lines = site.run()
    assert [line.partition(" ")[0] for line in lines if "Start (" in line] == [
        "/vs1/a(0)",
        "/vs1/a(1)",
    ]


def test_a_log_that_cannot_be_written_is_told_once_and_stops_nothing(
    site: Site, happen: Callable[..., Event], caplog: pytest.LogCaptureFixture
) -> None:
    site.file.path.parent.write_text("in the way")
    for _ in range(3):
        site.recorder.take(happen("dump.backup-started", path="/vs1/a", level=0))
    site.recorder.stop()
    with caplog.at_level(logging.ERROR):
        site.recorder.run()
    (record,) = caplog.records
    assert record.message.startswith(
        f"The backup log {site.file.path} cannot be written: File exists [eventlog.log-unwritable: "
    )


class FailingState:
    """A store that cannot be written."""

    def get(self, namespace: str, key: str) -> None:
        """There is nothing in it."""

    def items(self, namespace: str, prefix: str = "") -> Mapping[str, bytes]:
        return {}

    def change(self, namespace: str, values: Mapping[str, bytes | None]) -> None:
        raise CATALOGUE.error("log-unwritable", path=namespace, reason=str(len(values)))


def test_a_switch_that_cannot_be_remembered_says_so_and_changes_nothing(site: Site) -> None:
    site.state = FailingState()
    site.new()
    site.switch(on=False)
    assert site.run() == ["Start_Logging"]
    assert [type(each) for each in site.done] == [TapekitError]


def test_what_commands_announce_is_written_at_once_where_no_server_runs(
    site: Site, happen: Callable[..., Event]
) -> None:
    facts = {"user": "anna", "roles": "backup", "svms": "all", "by": "root\n"}
    added = happen("auth.user-added", **facts)
    site.recorder.take(added)
    site.recorder.take(happen("auth.login-accepted", user="anna"))
    assert (
        site.file.path.read_text()
        .splitlines()[0]
        .endswith(" Account_added (anna, backup, SVMs all, by root\\n)")
    )
    assert site.run()[1:] == ["Start_Logging"]
    site.recorder.take(added)
    # Where a server runs or ran, its own thread writes.
    assert len(site.file.path.read_text().splitlines()) == 2
    assert [line.split()[0] for line in site.run()[3:]] == ["Account_added"]


def test_what_commands_announce_is_not_written_while_the_log_is_off(
    site: Site, happen: Callable[..., Event]
) -> None:
    site.switch(on=False)
    site.run()
    before = site.file.path.read_text()
    site.new()
    site.recorder.take(happen("auth.user-removed", user="anna", by="root"))
    assert site.file.path.read_text() == before
