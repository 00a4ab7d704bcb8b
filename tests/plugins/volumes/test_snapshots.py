from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit_volumes.snapshots import CopyRow

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plugins.volumes.conftest import Site

    from tapekit_volumes.snapshots import HeldCopy
    from tapekit_volumes.table import Volume


@pytest.fixture
def volume(site: Site) -> Volume:
    return site.storage.volume("/vs1/vol1")


def made(site: Site, volume: Volume, holder: str = "session 1") -> HeldCopy:
    return site.keeper.make_for_backup(volume, site.method, holder)


@pytest.mark.requirement("R226")
def test_a_backups_copy_goes_when_it_is_let_go(site: Site, volume: Volume) -> None:
    copy = made(site, volume)
    assert (copy.tree.root / "inner" / "file").read_bytes() == b"content"
    assert site.copies() == ["snapshot_for_backup.0"]
    assert site.holders() == ["/vs1/vol1/snapshot_for_backup.0"]
    copy.let_go()
    copy.let_go()
    assert (site.copies(), site.holders()) == ([], [])
    assert site.kernel.told() == [
        ("volumes.snapshot-created", "snapshot_for_backup.0"),
        ("volumes.snapshot-deleted", "snapshot_for_backup.0"),
    ]
    assert site.kernel.events[0].facts["holder"] == "session 1"
    assert not site.kernel.state.items("volumes.snapshots")


@pytest.mark.requirement("R227")
def test_a_backups_copy_has_the_smallest_number_that_is_free(site: Site, volume: Volume) -> None:
    (site.snapshots / "snapshot_for_backup.1").mkdir(parents=True)
    first, second = made(site, volume), made(site, volume)
    assert [copy.name[-2:] for copy in (first, second)] == [".0", ".2"]
    first.let_go()
    assert made(site, volume).name == "snapshot_for_backup.0"


@pytest.mark.requirement("R227")
def test_backups_at_once_each_have_their_own_copy(site: Site, volume: Volume) -> None:
    together = threading.Barrier(4, timeout=60)
    site.method.during_create = together.wait
    with ThreadPoolExecutor(4) as pool:
        copies = list(pool.map(lambda number: made(site, volume, str(number)), range(4)))
    assert sorted(copy.name for copy in copies) == [
        f"snapshot_for_backup.{number}" for number in range(4)
    ]


def test_two_stacks_on_one_volume_keep_apart(site: Site, volume: Volume) -> None:
    keeper = site.keeper
    site.settle()
    assert keeper is not site.keeper
    mine = keeper.make_for_backup(volume, site.method, "mine")
    assert made(site, volume).name == "snapshot_for_backup.1"
    mine.let_go()


def test_the_lock_is_recorded_before_the_copy_is_begun(site: Site, volume: Volume) -> None:
    seen: list[object] = []
    site.method.during_create = lambda: seen.extend((site.holders(), site.copies()))
    made(site, volume)
    assert seen == [["/vs1/vol1/snapshot_for_backup.0"], [".snapshot_for_backup.0.new"]]


@pytest.mark.parametrize(("now_s", "expected"), [(1000.5, 1000), (1000.0, 1000), (999.9, 999)])
def test_the_copys_time_is_before_every_later_change(
    site: Site, volume: Volume, now_s: float, expected: int
) -> None:
    site.kernel.now_s = now_s

    def tick() -> None:
        site.kernel.now_s += 100

    site.method.during_create = tick
    assert made(site, volume).taken_at_s == expected


def test_the_copys_time_is_that_of_the_clock_of_file_systems(
    site: Site, volume: Volume, tmp_path: Path
) -> None:
    # Readings of a finer clock may be a second ahead of the last tick.
    site.kernel.now_s = time.time() + 1000
    taken_at_s = made(site, volume).taken_at_s
    (tmp_path / "later").touch()
    changed = (tmp_path / "later").stat().st_ctime
    assert changed - 5 < taken_at_s <= changed


def test_nothing_stays_of_a_copy_that_cannot_be_made(site: Site, volume: Volume) -> None:
    site.method.fail_create = True
    with pytest.raises(TapekitError, match="broken"):
        made(site, volume)
    assert (site.copies(), site.holders(), site.kernel.events) == ([], [], [])
    site.method.fail_create = False
    assert made(site, volume).name == "snapshot_for_backup.0"


def test_nothing_is_begun_that_cannot_be_recorded(site: Site, volume: Volume) -> None:
    site.kernel.state.failing = True
    with pytest.raises(TapekitError, match="broken"):
        made(site, volume)
    assert site.copies() == []


def test_a_copy_that_cannot_be_removed_keeps_its_record_and_is_told(
    site: Site, volume: Volume, caplog: pytest.LogCaptureFixture
) -> None:
    copy = made(site, volume)
    site.method.fail_delete = True
    copy.let_go()
    assert site.holders() == ["/vs1/vol1/snapshot_for_backup.0"]
    assert site.kernel.told()[-1] == ("volumes.snapshot-not-deleted", "snapshot_for_backup.0")
    assert "broken [test.broken: Wait.]" in caplog.text


def test_a_new_holder_replaces_the_records_of_those_that_are_gone(
    site: Site, volume: Volume
) -> None:
    made(site, volume, "gone").let_go()
    stale = "/vs1/vol1/snapshot_for_backup.0#stale"
    site.kernel.state.change("volumes.locks", {stale: b"{}"})
    made(site, volume, "new")
    assert len(site.holders()) == 1
    assert site.keeper.rows(volume)[0].holders == ("new",)


@pytest.mark.requirement("R226")
def test_an_existing_copy_is_read_by_several_and_stays(site: Site, volume: Volume) -> None:
    site.keeper.create(volume, "daily")
    site.kernel.now_s += 3600
    copies = [site.keeper.hold(volume, "daily", holder) for holder in ("a", "b")]
    assert [copy.taken_at_s for copy in copies] == [1000, 1000]
    assert sorted(site.keeper.rows(volume)[0].holders) == ["a", "b"]
    for copy in copies:
        assert copy.tree.root == site.snapshots / "daily"
        copy.let_go()
        copy.let_go()
    assert site.keeper.rows(volume) == [CopyRow("daily", 1000, ())]


def test_a_copy_of_which_nobody_knows_the_time_has_that_of_its_top(
    site: Site, volume: Volume
) -> None:
    (site.snapshots / "foreign").mkdir(parents=True)
    copy = site.keeper.hold(volume, "foreign", "a")
    assert copy.taken_at_s == int((site.snapshots / "foreign").stat().st_ctime)
    assert site.keeper.rows(volume) == [CopyRow("foreign", None, ("a",))]
    copy.let_go()


@pytest.mark.requirement("R345")
def test_a_copy_that_is_not_there_or_not_shared_cannot_be_held(site: Site, volume: Volume) -> None:
    copy = made(site, volume)
    for name in ("missing", copy.name):
        with pytest.raises(TapekitError) as caught:
            site.keeper.hold(volume, name, "a")
        assert str(caught.value) == "Unable to lock a snapshot needed by dump"
        assert "tapekit volume snapshot list /vs1/vol1" in caught.value.explained
    assert site.holders() == ["/vs1/vol1/snapshot_for_backup.0"]
    copy.let_go()


def test_a_held_copy_is_not_deleted(site: Site, volume: Volume) -> None:
    site.keeper.create(volume, "daily")
    copy = site.keeper.hold(volume, "daily", "session 7")
    with pytest.raises(TapekitError, match="daily is in use by session 7"):
        site.keeper.delete(volume, "daily")
    copy.let_go()
    site.keeper.delete(volume, "daily")
    assert site.copies() == []
    assert not site.kernel.state.items("volumes.snapshots")
    assert site.kernel.told()[-1] == ("volumes.snapshot-deleted", "daily")


def test_a_name_in_use_is_not_made_again(site: Site, volume: Volume) -> None:
    site.method.during_create = lambda: refused(site, volume, "daily", "volumes.copy-in-use")
    site.keeper.create(volume, "daily")
    assert site.copies() == ["daily"]


def refused(site: Site, volume: Volume, name: str, row: str) -> None:
    with pytest.raises(TapekitError) as caught:
        site.keeper.create(volume, name)
    assert caught.value.id == row


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "snapshot_for_backup.7"])
def test_names_for_copies_are_checked(site: Site, volume: Volume, name: str) -> None:
    refused(site, volume, name, "volumes.bad-copy-name")


def test_what_is_not_there_is_not_deleted(site: Site, volume: Volume) -> None:
    with pytest.raises(TapekitError, match="/vs1/vol1 has no Snapshot copy missing"):
        site.keeper.delete(volume, "missing")


def test_a_volume_without_a_method_has_no_copies(site: Site) -> None:
    live = site.storage.volume("/vs1/live")
    assert site.keeper.rows(live) == []
    for refuse in (
        lambda: site.keeper.create(live, "a"),
        lambda: site.keeper.delete(live, "a"),
        lambda: site.keeper.hold(live, "a", "b"),
    ):
        with pytest.raises(TapekitError, match="/vs1/live has no Snapshot copies"):
            refuse()


def test_a_folder_that_cannot_be_made_is_told(site: Site, volume: Volume) -> None:
    site.snapshots.write_bytes(b"in the way")
    with pytest.raises(TapekitError, match=r"vol1\.snapshots, cannot be used: File exists"):
        made(site, volume)


def test_the_folder_is_closed_to_others(site: Site, volume: Volume) -> None:
    before = os.umask(0)
    try:
        made(site, volume)
    finally:
        os.umask(before)
    assert site.snapshots.stat().st_mode & 0o777 == 0o700
