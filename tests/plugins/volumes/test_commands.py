from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from typer.testing import CliRunner

from tapekit_volumes.commands import CopyListing, VolumeListing, volume_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.volumes.conftest import Site


@pytest.fixture
def run(site: Site) -> Callable[..., str]:
    def run_command(*words: str) -> str:
        result = CliRunner().invoke(volume_app(site.storage), words, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return run_command


def test_volumes_are_listed(site: Site, run: Callable[..., str]) -> None:
    heading, first, second = run("list").splitlines()
    assert heading.split()[:3] == ["VOLUME", "DIRECTORY", "SNAPSHOTS"]
    assert first.split()[:4] == ["/vs1/vol1", str(site.folder / "vol1"), "memory", "read-write"]
    assert second.split()[:4] == ["/vs1/live", str(site.folder / "live"), "none", "read-write"]
    assert second.split()[-1] == "online"
    assert not any(line.endswith(" ") for line in (heading, first, second))


def test_volumes_are_listed_for_programs(site: Site, run: Callable[..., str]) -> None:
    site.settle(read_only=True)
    rows = msgspec.json.decode(run("list", "--json"), type=list[VolumeListing])
    assert [(row.path, row.snapshots, row.writable) for row in rows] == [
        ("/vs1/vol1", "memory", False),
        ("/vs1/live", "none", False),
    ]
    assert rows[0].directory == str(site.folder / "vol1")
    assert rows[0].total_bytes > rows[0].used_bytes > 0


def test_copies_are_made_listed_and_deleted(site: Site, run: Callable[..., str]) -> None:
    assert "/vs1/vol1/.snapshot/daily" in run("snapshot", "create", "/vs1/vol1", "daily")
    tree = site.storage.open_backup("/vs1/vol1/.snapshot/daily", "session 7")
    heading, row = run("snapshot", "list", "/vs1/vol1").splitlines()
    assert heading.split() == ["NAME", "TAKEN", "AT", "HELD", "BY"]
    assert row.split() == ["daily", "1970-01-01", "00:16:40", "UTC", "session", "7"]
    tree.close()
    listed = run("snapshot", "list", "/vs1/vol1").splitlines()
    assert listed[1] == "daily  1970-01-01 00:16:40 UTC"
    assert run("snapshot", "delete", "/vs1/vol1", "daily") == "deleted daily\n"
    assert site.copies() == []


def test_copies_are_listed_for_programs(site: Site, run: Callable[..., str]) -> None:
    assert run("snapshot", "list", "/vs1/vol1", "--json").strip() == "[]"
    site.keeper.create(site.storage.volume("/vs1/vol1"), "daily")
    (site.snapshots / "foreign").mkdir()
    output = run("snapshot", "list", "/vs1/vol1", "--json")
    rows = msgspec.json.decode(output, type=list[CopyListing])
    assert [(row.name, row.holders) for row in rows] == [("daily", ()), ("foreign", ())]
    assert rows[0].taken_at is not None
    assert rows[0].taken_at.timestamp() == 1000
    assert rows[1].taken_at is None
