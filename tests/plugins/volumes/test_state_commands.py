from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from typer.testing import CliRunner

from tapekit.errors import TapekitError
from tapekit.hookspecs.volume_images import VolumeState, VolumeStyle, VolumeType
from tapekit_volumes.commands import IdentifiedListing, volume_app
from tapekit_volumes.state_commands import StateListing

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


def test_states_are_changed_and_shown(site: Site, run: Callable[..., str]) -> None:
    site.keeper.create(site.storage.volume("/vs1/vol1"), "daily")
    assert run("offline", "/vs1/live") == "/vs1/live is offline\n"
    assert run("modify", "/vs1/vol1", "--type", "dp") == "/vs1/vol1 is of type DP\n"
    assert run("restrict", "/vs1/vol1") == "/vs1/vol1 is restricted\n"
    heading, first, second = run("show").splitlines()
    assert heading.split()[:5] == ["VOLUME", "STATE", "TYPE", "STYLE", "IMAGE"]
    assert first.split() == ["/vs1/vol1", "restricted", "DP", "flexvol", "whole", "1"]
    assert second.split() == ["/vs1/live", "offline", "RW", "flexvol", "whole", "0"]
    assert run("online", "/vs1/live") == "/vs1/live is online\n"


def test_states_are_shown_for_programs(site: Site, run: Callable[..., str]) -> None:
    site.settle(type=VolumeType.DP, style=VolumeStyle.FLEXGROUP)
    (row,) = msgspec.json.decode(run("show", "/vs1/live", "--json"), type=list[StateListing])
    assert row == StateListing(
        path="/vs1/live",
        state=VolumeState.ONLINE,
        type=VolumeType.DP,
        style=VolumeStyle.FLEXGROUP,
        is_whole=True,
        snapshot_copies=0,
    )


def test_an_image_that_was_cut_is_shown(site: Site, run: Callable[..., str]) -> None:
    run("modify", "/vs1/vol1", "--type", "dp")
    run("restrict", "/vs1/vol1")
    image = site.storage.open_image("/vs1/vol1", "session 1")
    assert image.root.is_dir()
    with pytest.raises(TapekitError, match="/vs1/vol1 is in use"):
        run("online", "/vs1/vol1")
    image.close()
    assert "not whole" in run("show", "/vs1/vol1")
    with pytest.raises(TapekitError, match="the image in /vs1/vol1 is not whole"):
        run("online", "/vs1/vol1")


def test_copies_are_shown_with_identifiers(site: Site, run: Callable[..., str]) -> None:
    made = site.storage.create_snapshot("/vs1/vol1", "daily", "smtape")
    heading, row = run("snapshot", "show", "/vs1/vol1").splitlines()
    assert heading.split() == ["NAME", "IDENTIFIER", "CREATED", "AT", "HELD", "BY"]
    assert row.split() == ["daily", made.identifier, "1970-01-01", "00:16:40", "UTC"]
    answer = run("snapshot", "show", "/vs1/vol1", "--json")
    (listed,) = msgspec.json.decode(answer, type=list[IdentifiedListing])
    assert (listed.identifier, listed.created_at.timestamp()) == (made.identifier, 1000)


def test_qtrees_are_shown_and_made_in_volumes_that_are_online(
    site: Site, run: Callable[..., str]
) -> None:
    run("qtree", "create", "/vs1/live", "q1")
    run("modify", "/vs1/vol1", "--type", "dp")
    with pytest.raises(TapekitError, match="Destination volume is read-only"):
        run("qtree", "create", "/vs1/vol1", "q1")
    run("offline", "/vs1/vol1")
    assert [line.split()[:2] for line in run("qtree", "show").splitlines()[1:]] == [
        ["/vs1/live", "q1"]
    ]
    with pytest.raises(TapekitError, match="Volume offline"):
        run("qtree", "show", "/vs1/vol1")
