"""States and types of volumes: what is refused, and what outlives a restart."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.volume_images import (
    MirrorStorage,
    VolumeState,
    VolumeStyle,
    VolumeType,
)
from tapekit_volumes.states import memory_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.volumes.conftest import Site

    from tapekit_volumes.table import Volume

PATH = "/vs1/vol1"


@pytest.fixture
def volume(site: Site) -> Volume:
    return site.storage.volume(PATH)


def uses(site: Site) -> dict[str, Callable[[], object]]:
    """Everything that uses the files of a volume."""
    storage = site.storage
    return {
        "check": lambda: storage.check_backup(PATH),
        "backup": lambda: storage.open_backup(PATH, "session 1"),
        "copy": lambda: storage.open_backup(f"{PATH}/.snapshot/daily", "session 1"),
        "restore": lambda: storage.open_restore(PATH, "session 1"),
        "create": lambda: storage.create_snapshot(PATH, "weekly", "session 1"),
        "delete": lambda: storage.delete_snapshot(PATH, "daily", "session 1"),
        "hold": lambda: storage.hold_snapshot(PATH, "daily", "session 1"),
        "top": lambda: storage.top(storage.volume(PATH)).__enter__(),
    }


@pytest.mark.requirement("R379")
@pytest.mark.parametrize(
    ("state", "row", "text"),
    [
        (VolumeState.OFFLINE, "volumes.volume-offline", "Volume offline"),
        (VolumeState.RESTRICTED, "volumes.volume-restricted", "/vs1/vol1 is restricted"),
    ],
)
def test_nobody_uses_a_volume_that_serves_no_data(
    site: Site, volume: Volume, state: VolumeState, row: str, text: str
) -> None:
    site.storage.create_snapshot(PATH, "daily", "an administrator")
    site.storage.states.change(volume, state)
    for use in uses(site).values():
        with pytest.raises(TapekitError) as caught:
            use()
        assert (caught.value.id, str(caught.value)) == (row, text)
    assert site.copies() == ["daily"]
    site.storage.states.change(volume, VolumeState.ONLINE)
    site.storage.open_backup(PATH, "session 1").close()


def test_a_state_outlives_a_restart_and_is_told(site: Site, volume: Volume) -> None:
    site.storage.states.change(volume, VolumeState.OFFLINE)
    (event,) = site.kernel.events
    assert event.name == "volumes.changed"
    assert event.facts == {"volume": PATH, "state": "offline", "type": "rw"}
    site.settle()
    facts = site.storage.volume_facts(PATH)
    assert (facts.state, facts.type, facts.style) == (
        VolumeState.OFFLINE,
        VolumeType.RW,
        VolumeStyle.FLEXVOL,
    )
    listed = {info.path: (info.status, info.writable) for info in site.storage.filesystems()}
    assert listed == {PATH: ("offline", False), "/vs1/live": ("online", True)}


@pytest.mark.parametrize("name", ["backup", "copy", "restore", "hold"])
def test_a_volume_in_use_keeps_its_state(site: Site, volume: Volume, name: str) -> None:
    site.storage.create_snapshot(PATH, "daily", "an administrator")
    used = uses(site)[name]()
    changes: tuple[Callable[[], None], ...] = (
        lambda: site.storage.states.change(volume, VolumeState.RESTRICTED),
        lambda: site.storage.states.change_type(volume, VolumeType.DP),
    )
    for change in changes:
        with pytest.raises(TapekitError, match="/vs1/vol1 is in use"):
            change()
    used.close()  # type: ignore[attr-defined]  # whatever it is, it can be closed
    for change in changes:
        change()


@pytest.mark.requirement("R340")
def test_no_dump_begins_while_dumps_are_suspended(site: Site) -> None:
    storage = site.storage
    storage.create_snapshot(PATH, "daily", "session 1")
    running = storage.open_backup(PATH, "session 1")
    with storage.dumps_suspended(PATH), storage.dumps_suspended(PATH):
        for use in ("check", "backup", "copy"):
            with pytest.raises(
                TapekitError, match="Dumps temporarily disabled on volume, try again"
            ):
                uses(site)[use]()
        assert os.fstat(running.descriptor)
        storage.hold_snapshot(PATH, "daily", "session 1").close()
    running.close()
    storage.open_backup(PATH, "session 1").close()


def test_a_storage_of_mirrors_changes_states_and_types(site: Site) -> None:
    assert isinstance(site.storage, MirrorStorage)
    site.storage.change_state(PATH, VolumeState.RESTRICTED)
    site.storage.change_type(PATH, VolumeType.DP)
    facts = site.storage.volume_facts(PATH)
    assert (facts.state, facts.type) == (VolumeState.RESTRICTED, VolumeType.DP)
    with pytest.raises(TapekitError, match="no volume"):
        site.storage.dumps_suspended("/vs1/none")


def test_who_waits_for_a_change_of_state_is_refused(site: Site, volume: Volume) -> None:
    with site.storage.states.alone(volume), pytest.raises(TapekitError) as caught:
        site.storage.open_backup(PATH, "session 1")
    assert str(caught.value) == "Volume is temporarily in a transitional state"


@pytest.mark.requirement("R338")
def test_a_protected_volume_is_read_only_in_the_guides_words(site: Site) -> None:
    site.settle(type=VolumeType.DP)
    with pytest.raises(TapekitError) as caught:
        site.storage.open_restore(PATH, "session 1")
    assert str(caught.value) == "Destination volume is read-only"
    assert not site.storage.filesystems()[0].writable
    with pytest.raises(TapekitError, match="its Snapshot copies come from its source"):
        site.storage.create_snapshot(PATH, "daily", "session 1")
    tree = site.storage.open_backup(PATH, "session 1")
    assert os.stat("inner/file", dir_fd=tree.descriptor).st_size == 7
    tree.close()


def test_the_type_of_the_stack_file_is_that_at_first(site: Site, volume: Volume) -> None:
    site.storage.states.change_type(volume, VolumeType.DP)
    assert site.storage.volume_facts(PATH).type is VolumeType.DP
    site.storage.states.change_type(volume, VolumeType.RW)
    site.settle(type=VolumeType.DP)
    assert site.storage.volume_facts(PATH).type is VolumeType.RW
    assert site.storage.volume_facts("/vs1/live").type is VolumeType.DP


@pytest.mark.requirement("R274")
def test_what_engines_know_of_an_image_is_gone_once_the_type_changes(
    site: Site, volume: Volume
) -> None:
    for kind in (VolumeType.DP, VolumeType.RW):
        memory_of(volume).mkdir(parents=True)
        (memory_of(volume) / "inodes").write_bytes(b"known")
        site.storage.states.change_type(volume, kind)
        assert not memory_of(volume).exists()


def test_what_cannot_be_read_of_a_state_is_not_guessed(site: Site) -> None:
    site.kernel.state.change("volumes.states", {PATH: b'{"state": "molten"}'})
    with pytest.raises(TapekitError, match="cannot be read: Invalid enum value 'molten'"):
        site.storage.open_backup(PATH, "session 1")


def test_a_state_that_cannot_be_written_is_not_changed(site: Site, volume: Volume) -> None:
    site.kernel.state.failing = True
    with pytest.raises(TapekitError, match="broken"):
        site.storage.states.change(volume, VolumeState.OFFLINE)
    site.storage.open_backup("/vs1/live", "session 1").close()
    site.storage.check_backup(PATH)
