"""Volumes as images: copies with identifiers, and restores that are whole or not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.volume_images import (
    ImageStorage,
    SnapshotCopy,
    VolumeState,
    VolumeStyle,
    VolumeType,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.volumes.conftest import Site

    from tapekit.hookspecs.volume_images import VolumeImage

PATH = "/vs1/vol1"


@pytest.fixture
def target(site: Site) -> Site:
    """A site whose volume is a restricted data protection volume."""
    site.settle(type=VolumeType.DP)
    site.storage.states.change(site.storage.volume(PATH), VolumeState.RESTRICTED)
    return site


def state_of(site: Site) -> tuple[VolumeState, VolumeType, bool]:
    facts = site.storage.volume_facts(PATH)
    return facts.state, facts.type, facts.is_whole


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(TapekitError) as caught:
        call()
    return caught.value.id


def restored(site: Site, image: VolumeImage) -> None:
    """Write something that is not what was there."""
    (image.root / "inner" / "file").write_bytes(b"from the image")
    image.take("daily", "identifier of daily", 500)
    assert site.copies() == [".image", "daily"]


def test_a_copy_has_an_identifier_of_its_own(site: Site) -> None:
    assert isinstance(site.storage, ImageStorage)
    made = [site.storage.create_snapshot(PATH, name, "smtape") for name in ("one", "two")]
    assert list(site.storage.snapshot_copies(PATH)) == made
    assert [copy.created_at_s for copy in made] == [1000, 1000]
    site.storage.delete_snapshot(PATH, "one", "smtape")
    again = site.storage.create_snapshot(PATH, "one", "smtape")
    assert len({copy.identifier for copy in (*made, again)}) == 3
    assert site.kernel.events[-1].facts["holder"] == "smtape"


def test_a_copy_without_a_record_has_one_identifier_as_long_as_it_is_there(site: Site) -> None:
    (site.snapshots / "foreign").mkdir(parents=True)
    (first,) = site.storage.snapshot_copies(PATH)
    site.settle()
    assert list(site.storage.snapshot_copies(PATH)) == [first]
    assert first.created_at_s == int((site.snapshots / "foreign").stat().st_ctime)


def test_copies_of_backups_are_not_for_images(site: Site) -> None:
    tree = site.storage.open_backup(PATH, "session 1")
    site.storage.create_snapshot(PATH, "daily", "smtape")
    assert [copy.name for copy in site.storage.snapshot_copies(PATH)] == ["daily"]
    tree.close()


def test_a_copy_that_fails_leaves_no_record(site: Site) -> None:
    site.method.fail_create = True
    assert refused(lambda: site.storage.create_snapshot(PATH, "daily", "smtape")) == "test.broken"
    assert not site.kernel.state.items("volumes.snapshots")


@pytest.mark.requirement("R353")
def test_a_volume_has_255_copies_at_most(site: Site) -> None:
    for number in range(254):
        (site.snapshots / f"copy{number}").mkdir(parents=True)
    site.storage.create_snapshot(PATH, "last", "smtape")
    for refuse in (
        lambda: site.storage.create_snapshot(PATH, "daily", "smtape"),
        lambda: site.storage.open_backup(PATH, "session 1"),
    ):
        with pytest.raises(TapekitError) as caught:
            refuse()
        assert str(caught.value) == "Failed to create snapshot"
        assert "255" in str(caught.value.facts)
    assert refused(lambda: site.storage.create_snapshot(PATH, "last", "smtape")) == (
        "volumes.copy-name-taken"
    )


def test_a_held_copy_stays_and_tells_what_the_volume_is(site: Site) -> None:
    made = site.storage.create_snapshot(PATH, "daily", "smtape")
    held = site.storage.hold_snapshot(PATH, "daily", "smtape")
    assert held.copy == SnapshotCopy("daily", made.identifier, 1000, ("smtape",))
    assert held.tree.root == site.snapshots / "daily"
    assert held.traits == site.storage.volume(PATH).traits
    assert refused(lambda: site.storage.delete_snapshot(PATH, "daily", "x")) == (
        "volumes.copy-in-use"
    )
    held.close()
    held.close()
    site.storage.delete_snapshot(PATH, "daily", "smtape")
    assert site.storage.snapshot_copies(PATH) == []


@pytest.mark.requirement("R380")
def test_an_image_is_restored_to_a_restricted_data_protection_volume_alone(site: Site) -> None:
    storage, volume = site.storage, site.storage.volume(PATH)

    def opened() -> VolumeImage:
        return storage.open_image(PATH, "session 1")

    for state in (VolumeState.ONLINE, VolumeState.OFFLINE):
        storage.states.change(volume, state)
        with pytest.raises(TapekitError) as caught:
            opened()
        assert str(caught.value) == "Volume not restricted"
    storage.states.change(volume, VolumeState.RESTRICTED)
    assert refused(opened) == "volumes.volume-not-protected"
    storage.states.change_type(volume, VolumeType.DP)
    image = opened()
    assert refused(opened) == "volumes.volume-in-use"
    online = lambda: storage.states.change(volume, VolumeState.ONLINE)  # noqa: E731 - three words
    assert refused(online) == "volumes.volume-in-use"
    image.close()
    opened().close()
    site.settle(type=VolumeType.DP, style=VolumeStyle.FLEXGROUP)
    assert refused(lambda: site.storage.open_image(PATH, "x")) == "volumes.volume-is-flexgroup"


def test_an_image_needs_snapshot_copies(site: Site) -> None:
    site.settle(type=VolumeType.DP)
    site.storage.states.change(site.storage.volume("/vs1/live"), VolumeState.RESTRICTED)
    assert refused(lambda: site.storage.open_image("/vs1/live", "x")) == (
        "volumes.volume-without-copies"
    )


def test_a_volume_that_is_read_only_by_the_stack_file_takes_no_image(target: Site) -> None:
    target.settle(type=VolumeType.DP, read_only=True)
    assert refused(lambda: target.storage.open_image(PATH, "x")) == (
        "volumes.destination-volume-read-only"
    )


def test_a_volume_that_was_only_looked_at_stays_whole(target: Site) -> None:
    image = target.storage.open_image(PATH, "session 1")
    assert image.copies() == []
    assert image.memory.stat().st_mode & 0o777 == 0o700
    image.close()
    image.close()
    assert state_of(target) == (VolumeState.RESTRICTED, VolumeType.DP, True)


def test_a_whole_image_is_online(target: Site) -> None:
    image = target.storage.open_image(PATH, "session 1")
    restored(target, image)
    (image.memory / "inodes").write_bytes(b"known")
    image.go_online(writable=False)
    image.close()
    assert state_of(target) == (VolumeState.ONLINE, VolumeType.DP, True)
    (copy,) = target.storage.snapshot_copies(PATH)
    assert copy == SnapshotCopy("daily", "identifier of daily", 500, ())
    assert (image.memory / "inodes").read_bytes() == b"known"
    tree = target.storage.open_backup(f"{PATH}/.snapshot/daily", "session 1")
    # Nothing in the copy is later than the time at which it was made here.
    assert tree.taken_at_s == 1000
    tree.close()


def test_the_stack_file_does_not_end_the_protection_of_an_image(target: Site) -> None:
    with closing(target.storage.open_image(PATH, "a restore")) as image:
        restored(target, image)
        image.go_online(writable=False)
    # What is written to a read/write volume would be unknown to the next increment.
    target.settle(type=VolumeType.RW)
    assert state_of(target) == (VolumeState.ONLINE, VolumeType.DP, True)
    assert refused(lambda: target.storage.open_restore(PATH, "a restore")) == (
        "volumes.destination-volume-protected"
    )
    target.storage.change_type(PATH, VolumeType.RW)
    assert state_of(target) == (VolumeState.ONLINE, VolumeType.RW, True)


def test_a_writable_image_ends_the_protection(target: Site) -> None:
    image = target.storage.open_image(PATH, "session 1")
    restored(target, image)
    image.go_online(writable=True)
    assert state_of(target) == (VolumeState.ONLINE, VolumeType.RW, True)
    assert not image.memory.exists()
    target.settle(type=VolumeType.DP)
    assert state_of(target) == (VolumeState.ONLINE, VolumeType.RW, True)


@pytest.mark.parametrize("what", ["root", "take", "forget"])
def test_an_image_that_is_cut_is_not_whole_until_another_one_is(target: Site, what: str) -> None:
    image = target.storage.open_image(PATH, "session 1")
    if what == "root":
        assert image.root == target.folder / "vol1"
    elif what == "take":
        image.take("daily", "identifier", 500)
    else:
        assert refused(lambda: image.forget("daily")) == "volumes.no-such-copy"
    image.close()
    target.settle(type=VolumeType.DP)
    volume = target.storage.volume(PATH)
    assert state_of(target) == (VolumeState.RESTRICTED, VolumeType.DP, False)
    target.storage.states.change(volume, VolumeState.OFFLINE)
    for change in (
        lambda: target.storage.states.change(volume, VolumeState.ONLINE),
        lambda: target.storage.states.change_type(volume, VolumeType.RW),
    ):
        assert refused(change) == "volumes.image-not-whole"
    target.storage.states.change(volume, VolumeState.RESTRICTED)
    again = target.storage.open_image(PATH, "session 2")
    again.go_online(writable=False)
    assert state_of(target) == (VolumeState.ONLINE, VolumeType.DP, True)


def test_an_image_that_was_cut_is_given_up_by_emptying_the_volume(target: Site) -> None:
    volume = target.storage.volume(PATH)
    image = target.storage.open_image(PATH, "session 1")
    (image.memory / "inodes").write_bytes(b"known")
    (image.root / "lost+found").mkdir()
    image.close()

    def online() -> None:
        target.storage.states.change(volume, VolumeState.ONLINE)

    assert refused(online) == "volumes.image-not-whole"
    shutil.rmtree(volume.directory / "inner")
    online()
    assert state_of(target) == (VolumeState.ONLINE, VolumeType.DP, True)
    assert not image.memory.exists()


def test_nothing_is_changed_before_it_is_remembered(target: Site) -> None:
    image = target.storage.open_image(PATH, "session 1")
    target.kernel.state.failing = True
    assert refused(lambda: image.root) == "test.broken"
    assert refused(lambda: image.take("daily", "identifier", 500)) == "test.broken"
    image.close()
    assert target.copies() == [".image"]


def test_a_copy_stands_once_for_one_of_the_source(target: Site) -> None:
    image = target.storage.open_image(PATH, "session 1")
    image.take("daily", "identifier", 500)
    assert refused(lambda: image.take("other", "identifier", 600)) == "volumes.copy-there-already"
    assert refused(lambda: image.take("daily", "another", 600)) == "volumes.copy-name-taken"
    image.forget("daily")
    image.take("other", "identifier", 600)
    assert [copy.name for copy in image.copies()] == ["other"]
    image.close()


def test_a_killed_process_lets_go_of_the_volume(target: Site) -> None:
    holding = (
        "import fcntl, os, sys\n"
        "fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    target.storage.open_image(PATH, "session 1").close()
    lock = target.folder / "vol1.snapshots/.locks/.volume"
    command = [sys.executable, "-c", holding, str(lock)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert refused(lambda: target.storage.open_image(PATH, "x")) == "volumes.volume-in-use"
        holder.kill()
        holder.wait()
    target.storage.open_image(PATH, "session 1").close()
