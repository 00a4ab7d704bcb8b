from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import msgspec
import pytest
from typer.testing import CliRunner

from tapekit.errors import TapekitError
from tapekit.marks import SnapLock
from tapekit_volumes.commands import volume_app
from tapekit_volumes.file_commands import LunListing, RestrictedListing, RetentionListing
from tapekit_volumes.withheld import INCONSISTENT, RESTRICTED

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


def test_luns_are_made_shown_and_made_files_again(site: Site, run: Callable[..., str]) -> None:
    (site.folder / "live/lun0").write_bytes(b"blocks")
    run("lun", "create", "/vs1/live", "lun0", "--serial", "abc", "--os-type", "windows")
    run("lun", "modify", "/vs1/live", "lun0", "--mapped", "--offline")
    shown = msgspec.json.decode(run("lun", "show", "/vs1/live", "--json"), type=list[LunListing])
    assert shown == [
        LunListing(
            path="lun0",
            serial="abc",
            os_type="windows",
            online=False,
            mapped=True,
            consistent=True,
        )
    ]
    heading, row = run("lun", "show", "/vs1/live").splitlines()
    assert heading.split()[:2] == ["PATH", "SERIAL"]
    assert row.split() == ["lun0", "abc", "windows", "offline", "mapped", "yes"]
    run("lun", "delete", "/vs1/live", "lun0")
    assert len(run("lun", "show", "/vs1/live").splitlines()) == 1


def test_an_inconsistent_lun_is_withheld(site: Site, run: Callable[..., str]) -> None:
    (site.folder / "live/lun0").write_bytes(b"blocks")
    run("lun", "create", "/vs1/live", "lun0")
    run("lun", "modify", "/vs1/live", "lun0", "--inconsistent")
    assert site.storage.withheld.of_volume("/vs1/live") == {b"lun0": INCONSISTENT}
    run("lun", "modify", "/vs1/live", "lun0", "--consistent")
    assert site.storage.withheld.of_volume("/vs1/live") == {}
    run("lun", "modify", "/vs1/live", "lun0", "--inconsistent")
    run("lun", "delete", "/vs1/live", "lun0")
    assert site.storage.withheld.of_volume("/vs1/live") == {}


def test_files_are_restricted_and_released(site: Site, run: Callable[..., str]) -> None:
    run("file", "restrict", "/vs1/live", "inner/file")
    shown = msgspec.json.decode(
        run("file", "show", "/vs1/live", "--json"), type=list[RestrictedListing]
    )
    assert shown == [RestrictedListing(path="inner/file", reason=RESTRICTED)]
    assert "inner/file" in run("file", "show", "/vs1/live").splitlines()[1]
    assert "next backup" in run("file", "release", "/vs1/live", "inner/file")
    assert "was not" in run("file", "release", "/vs1/live", "inner/file")
    assert site.storage.withheld.of_volume("/vs1/live") == {}


def test_only_files_that_are_there_are_restricted(run: Callable[..., str]) -> None:
    with pytest.raises(TapekitError):
        run("file", "restrict", "/vs1/live", "inner/missing")


def test_aligned_files_are_noted(site: Site, run: Callable[..., str]) -> None:
    site.settle(vm_align_sectors=3)
    assert "aligned" in run("file", "align", "/vs1/live", "inner/file")


@pytest.mark.parametrize("until", ["tomorrow", "1970-01-01", "2030"])
def test_a_retention_ends_in_the_future(site: Site, run: Callable[..., str], until: str) -> None:
    site.kernel.now_s = 2_000_000_000
    site.settle(snaplock=SnapLock.COMPLIANCE)
    with pytest.raises(TapekitError) as refused:
        run("snaplock", "commit", "/vs1/live", "inner/file", "--until", until)
    assert refused.value.id == "volumes.not-a-time"


def test_worm_files_are_committed_shown_and_let_go(site: Site, run: Callable[..., str]) -> None:
    site.settle(snaplock=SnapLock.ENTERPRISE)
    file = ("/vs1/live", "inner/file")
    try:
        run("snaplock", "commit", *file, "--until", "2033-05-18T03:33:20")
    except TapekitError as error:
        pytest.skip(f"files cannot be made immutable here: {error}")
    shown = msgspec.json.decode(run("snaplock", "show", *file, "--json"), type=RetentionListing)
    assert shown.retained_until == dt.datetime(2033, 5, 18, 3, 33, 20, tzinfo=dt.UTC)
    assert "2033-05-18 03:33:20 UTC" in run("snaplock", "show", *file)
    run("snaplock", "release", *file)
    (site.folder / "live/inner/file").write_bytes(b"changed")
