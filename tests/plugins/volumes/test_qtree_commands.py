from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from typer.testing import CliRunner

from tapekit.errors import TapekitError
from tapekit.marks import SecurityStyle
from tapekit_volumes.commands import volume_app
from tapekit_volumes.qtree_commands import QtreeListing, QtreeStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.volumes.conftest import Site


@pytest.fixture
def run(site: Site) -> Callable[..., str]:
    def run_command(*words: str) -> str:
        result = CliRunner().invoke(
            volume_app(site.storage), ("qtree", *words), catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        return result.output

    return run_command


def rows(text: str) -> list[QtreeListing]:
    return msgspec.json.decode(text, type=list[QtreeListing])


def test_qtrees_are_made_shown_changed_and_deleted(site: Site, run: Callable[..., str]) -> None:
    assert "number 1" in run("create", "/vs1/live", "home", "--no-oplocks")
    assert "number 2" in run("create", "/vs1/live", "mail", "--security-style", "ntfs")
    run("create", "/vs1/vol1", "other", "--unix-permissions", "700")
    assert (site.folder / "vol1/other").stat().st_mode & 0o777 == 0o700
    assert rows(run("show", "/vs1/live", "--json")) == [
        QtreeListing(
            volume="/vs1/live",
            name="home",
            id=1,
            security_style=SecurityStyle.UNIX,
            oplocks=False,
            status=QtreeStatus.NORMAL,
        ),
        QtreeListing(
            volume="/vs1/live",
            name="mail",
            id=2,
            security_style=SecurityStyle.NTFS,
            oplocks=True,
            status=QtreeStatus.NORMAL,
        ),
    ]
    run("modify", "/vs1/live", "mail", "--status", "read-only")
    heading, first, second, third = run("show").splitlines()
    assert heading.split() == ["VOLUME", "QTREE", "ID", "STYLE", "OPLOCKS", "STATUS"]
    assert first.split() == ["/vs1/vol1", "other", "1", "unix", "enable", "normal"]
    assert second.split() == ["/vs1/live", "home", "1", "unix", "disable", "normal"]
    assert third.split() == ["/vs1/live", "mail", "2", "ntfs", "enable", "read-only"]
    run("delete", "/vs1/live", "mail")
    assert [row.name for row in rows(run("show", "/vs1/live", "--json"))] == ["home"]


def test_a_qtree_has_the_style_of_its_volume(site: Site, run: Callable[..., str]) -> None:
    site.settle(security_style=SecurityStyle.MIXED)
    run("create", "/vs1/live", "home")
    assert rows(run("show", "/vs1/live", "--json"))[0].security_style is SecurityStyle.MIXED


@pytest.mark.parametrize("permissions", ["rwx", "10000", "-1", "8"])
def test_permissions_are_octal(run: Callable[..., str], permissions: str) -> None:
    with pytest.raises(TapekitError, match="no permissions"):
        run("create", "/vs1/live", "home", f"--unix-permissions={permissions}")
