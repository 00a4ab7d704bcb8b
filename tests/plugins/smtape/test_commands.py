from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.plugins.smtape.backup_site import BackupSite

from tapekit.cli import Shell, execute
from tapekit.kernel import installed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> Iterator[BackupSite]:
    site = BackupSite(tmp_path)
    yield site
    site.close()


def run(*words: str) -> int:
    return execute(list(words), Shell(installed, {}, lambda: 0.0))


@pytest.mark.requirement("R368")
def test_info_tells_what_an_image_is(
    site: BackupSite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        site.take(name)
    image = site.back_up(SMTAPE_SNAPSHOT_NAME="two")
    (tmp_path / "image").write_bytes(image.data)
    assert run("smtape", "info", str(tmp_path / "image"), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["volume"] == "/vs1/source"
    assert told["kind"] == "baseline"
    assert told["backup_set_id"] == image.variables["SMTAPE_BACKUP_SET_ID"]
    assert [copy["name"] for copy in told["copies"]] == ["one", "two"]
    assert told["copies"][1]["identifier"] == image.variables["DUMP_DATE"]
    assert run("smtape", "info", str(tmp_path / "image")) == 0
    lines = capsys.readouterr().out
    assert "Image:          baseline" in lines
    assert "two" in lines


def test_info_tells_what_an_increment_builds_on(
    site: BackupSite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = site.back_up()
    site.take("later")
    (tmp_path / "image").write_bytes(site.increment(base, "later").data)
    assert run("smtape", "info", str(tmp_path / "image"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["base"] == base.variables["DUMP_DATE"]


def test_what_is_no_image_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other").write_bytes(b"something else" * 100)
    assert run("smtape", "info", str(tmp_path / "other")) == 1
    assert "Invalid input tape" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("smtape", "info", str(tmp_path / "nothing")) == 1
    assert "cannot be read" in capsys.readouterr().err
