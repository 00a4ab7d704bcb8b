"""``tapekit dump dates``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from tapekit.kernel.memory_state import MemoryStateStore
from tapekit_dump.commands import command_app
from tapekit_dump.dates import Dump, DumpDates
from tapekit_dump.plugin import DumpPlugin

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def dates() -> DumpDates:
    """Two levels and a token of a volume, and a backup with a name."""
    dates = DumpDates(MemoryStateStore())
    for level, date in ((0, 1_700_000_000), (2, 1_700_086_400)):
        dates.succeeded("/vs1/vol1", Dump(date, level, date - 10, 0), ())
    dates.gave_token("/vs1/vol1", Dump(1_700_000_500, 0, 1_700_000_500, 0), ())
    dates.succeeded("/vs1/\x1b[2J\nparts", Dump(1_700_000_000, 0, 1_700_000_000, 0), ())
    return dates


def output(dates: DumpDates, *arguments: str) -> str:
    result = CliRunner().invoke(command_app(lambda: dates), arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_dates_are_listed_by_path_and_time(dates: DumpDates) -> None:
    lines = [line.split("  ") for line in output(dates, "dates").splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert cells == [
        ["Path", "Name", "Level", "Found by", "Date", "Data of"],
        [r"/vs1/\x1b[2J", "parts", "0", "LEVEL", "2023-11-14 22:13:20Z", "2023-11-14 22:13:20Z"],
        ["/vs1/vol1", "0", "LEVEL", "2023-11-14 22:13:20Z", "2023-11-14 22:13:10Z"],
        ["/vs1/vol1", "0", "BASE_DATE", "2023-11-14 22:21:40Z", "2023-11-14 22:21:40Z"],
        ["/vs1/vol1", "2", "LEVEL", "2023-11-15 22:13:20Z", "2023-11-15 22:13:10Z"],
    ]


def test_dates_of_one_path_answer_with_json(dates: DumpDates) -> None:
    rows = json.loads(output(dates, "dates", "/vs1/vol1", "--json"))
    assert [(row["level"], row["found_by"], row["date_s"]) for row in rows] == [
        (0, "LEVEL", 1_700_000_000),
        (0, "BASE_DATE", 1_700_000_500),
        (2, "LEVEL", 1_700_086_400),
    ]


def test_plugin_offers_the_group_over_its_own_dates(assembled: Callable[..., Any]) -> None:
    kernel = assembled(DumpPlugin)
    group = kernel.command_groups({})["dump"]
    DumpDates(kernel.state).succeeded("/vs1/vol1", Dump(1000, 0, 1000, 0), ())
    result = CliRunner().invoke(group.app, ["dates"], catch_exceptions=False)
    assert group.name == "dump"
    assert "/vs1/vol1" in result.stdout
