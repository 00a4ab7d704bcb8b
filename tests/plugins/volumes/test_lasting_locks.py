"""Snapshot copies that are kept over restarts until somebody lets them go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.storage import LockingStorage
from tapekit_volumes.leftovers import LeftoverRemover
from tapekit_volumes.storage import VolumeStorage

if TYPE_CHECKING:
    from tests.plugins.volumes.conftest import Site

VOLUME = "/vs1/vol1"
COPY = "snapshot_for_backup.0"


def locked(site: Site, *holders: str) -> None:
    """A backup has made a copy, locked it, and is over."""
    tree = site.storage.open_backup(VOLUME, "session 1")
    for holder in holders:
        assert site.storage.lock_snapshot(VOLUME, COPY, holder)
    tree.close()


@pytest.mark.requirement("R244")
def test_a_locked_copy_outlives_its_backup_and_a_restart(site: Site) -> None:
    assert isinstance(site.storage, LockingStorage)
    locked(site, "a context")
    assert site.storage.snapshot_names(VOLUME) == [COPY]
    LeftoverRemover(site.kernel).remove_all()
    assert site.copies() == [COPY]
    (row,) = site.keeper.rows(site.storage.volume(VOLUME))
    assert row.holders == ("a context",)
    again = site.storage.open_backup(f"{VOLUME}/.snapshot/{COPY}", "session 2")
    again.close()
    assert site.copies() == [COPY]


def test_a_crash_of_the_backup_that_locked_its_copy_leaves_the_copy(site: Site) -> None:
    tree = site.storage.open_backup(VOLUME, "session 1")
    site.storage.lock_snapshot(VOLUME, COPY, "a context")
    records = dict(site.kernel.state.items("volumes.locks"))
    tree.close()
    # What a killed process leaves: all records, and no lock.
    site.kernel.state.change("volumes.locks", records)
    LeftoverRemover(site.kernel).remove_all()
    assert site.copies() == [COPY]
    assert len(site.holders()) == 1


def test_a_locked_copy_cannot_be_deleted(site: Site) -> None:
    locked(site, "a context")
    with pytest.raises(TapekitError, match="a context"):
        site.keeper.delete(site.storage.volume(VOLUME), COPY)
    assert site.copies() == [COPY]


@pytest.mark.requirement("R244")
def test_the_last_lock_takes_a_copy_along_that_a_backup_made(site: Site) -> None:
    locked(site, "one", "two")
    site.storage.unlock_snapshot(VOLUME, COPY, "one")
    assert site.copies() == [COPY]
    site.storage.unlock_snapshot(VOLUME, COPY, "nobody")
    assert site.copies() == [COPY]
    site.storage.unlock_snapshot(VOLUME, COPY, "two")
    assert site.copies() == []
    assert site.holders() == []
    site.storage.unlock_snapshot(VOLUME, COPY, "two")


def test_a_copy_of_an_administrator_stays_without_its_lock(site: Site) -> None:
    site.keeper.create(site.storage.volume(VOLUME), "monday")
    tree = site.storage.open_backup(f"{VOLUME}/.snapshot/monday", "session 1")
    assert not site.storage.lock_snapshot(VOLUME, "monday", "a context")
    tree.close()
    site.storage.unlock_snapshot(VOLUME, "monday", "a context")
    assert site.copies() == ["monday"]
    assert site.holders() == []


def test_a_copy_that_is_read_or_cannot_be_removed_keeps_its_lock(site: Site) -> None:
    locked(site, "a context")
    reader = site.storage.open_backup(f"{VOLUME}/.snapshot/{COPY}", "a reader")
    with pytest.raises(TapekitError, match="a reader"):
        site.storage.unlock_snapshot(VOLUME, COPY, "a context")
    reader.close()
    site.method.fail_delete = True
    with pytest.raises(TapekitError, match="broken"):
        site.storage.unlock_snapshot(VOLUME, COPY, "a context")
    assert site.copies() == [COPY]
    site.method.fail_delete = False
    site.storage.unlock_snapshot(VOLUME, COPY, "a context")
    assert site.copies() == []


def test_a_name_that_is_locked_is_not_given_to_another_copy(site: Site) -> None:
    locked(site, "a context")
    # Somebody has taken the copy away behind the locks.
    site.method.delete(site.storage.volume(VOLUME).snapshots, COPY)
    tree = site.storage.open_backup(VOLUME, "session 2")
    assert tree.snapshot_name == "snapshot_for_backup.1"
    with pytest.raises(TapekitError):
        site.storage.open_backup(f"{VOLUME}/.snapshot/{COPY}", "a context")
    tree.close()
    site.storage.unlock_snapshot(VOLUME, COPY, "a context")
    assert site.holders() == []


def without_volumes(site: Site) -> VolumeStorage:
    """The storage of the stack once its volumes have left the stack file."""
    storage = VolumeStorage()
    storage.settle(dict, site.keeper, site.storage.withheld, site.storage.states)
    return storage


def test_a_lock_on_a_volume_that_has_left_the_stack_is_let_go(site: Site) -> None:
    locked(site, "one", "two")
    storage = without_volumes(site)
    storage.unlock_snapshot(VOLUME, COPY, "one")
    LeftoverRemover(site.kernel).remove_all()
    assert site.copies() == [COPY]
    assert len(site.holders()) == 1
    storage.unlock_snapshot(VOLUME, COPY, "two")
    LeftoverRemover(site.kernel).remove_all()
    assert site.copies() == []
    assert site.holders() == []


def test_a_copy_of_an_administrator_stays_in_a_volume_that_has_left(site: Site) -> None:
    site.keeper.create(site.storage.volume(VOLUME), "monday")
    tree = site.storage.open_backup(f"{VOLUME}/.snapshot/monday", "session 1")
    site.storage.lock_snapshot(VOLUME, "monday", "a context")
    tree.close()
    without_volumes(site).unlock_snapshot(VOLUME, "monday", "a context")
    LeftoverRemover(site.kernel).remove_all()
    assert site.copies() == ["monday"]
    assert site.holders() == []
