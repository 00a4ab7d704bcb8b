"""Moves of a volume: what is refused, what writers would lose, and crashes at every step."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.storage import for_ever
from tapekit.hookspecs.volume_images import VolumeState, VolumeType
from tapekit.kernel import assemble, installed
from tapekit_volumes.storage import VolumeStorage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tapekit.kernel import StackKernel

VOLUME = "/vs1/vol1"
STACK = """
plugins = ["volumes", "snap_copy", "state_sqlite"]
[[volumes.volume]]
path = "/vs1/vol1"
directory = "vol1"
snapshots = "copy"
[[volumes.volume]]
path = "/vs1/live"
directory = "live"
[[volumes.volume]]
path = "/vs1/dp"
directory = "dp"
type = "dp"
snapshots = "copy"
[[volumes.volume]]
path = "/vs1/group"
directory = "group"
style = "flexgroup"
snapshots = "copy"
[[volumes.aggregate]]
name = "aggr2"
path = "aggr2"
[[volumes.aggregate]]
name = "aggr3"
path = "aggr3"
[[volumes.aggregate]]
name = "far"
path = "aggr2"
node = "another"
[[volumes.aggregate]]
name = "unmounted"
path = "not/there"
[[volumes.aggregate]]
name = "pathless"
"""

MOVING = """
import os, signal, sys
from pathlib import Path
from tapekit.kernel import assemble, installed

kernel = assemble(Path(sys.argv[1]), installed(), clock=lambda: 1000.0)
left = int(sys.argv[2])
store = type(kernel.state)
change = store.change

def counted(self, namespace, values):
    global left
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    change(self, namespace, values)

unchanged = kernel.storage.fingerprint("/vs1/vol1")
store.change = counted
kernel.storage.move_in("/vs1/vol1", unchanged)
"""
STEPS = 5
"""How many changes of the state a move consists of."""


@pytest.fixture
def stack_file(tmp_path: Path) -> Path:
    for name in ("vol1", "live", "dp", "group", "aggr2", "aggr3"):
        (tmp_path / name).mkdir()
    (tmp_path / "vol1" / "inner").mkdir()
    (tmp_path / "vol1" / "inner" / "file").write_bytes(b"content")
    file = tmp_path / "tapekit.toml"
    file.write_text(STACK)
    return file


def assembled(file: Path) -> StackKernel:
    """The stack as another process finds it."""
    return assemble(file, installed(), clock=lambda: 2000.0)


def storage_of(file: Path) -> VolumeStorage:
    storage = assembled(file).storage
    assert isinstance(storage, VolumeStorage)
    return storage


def arrived(storage: VolumeStorage, aggregate: str = "aggr2") -> None:
    """Bring to another aggregate what is in the volume, with its copies."""
    name = storage.make_room(VOLUME, aggregate)
    if "daily" not in storage.snapshot_names(VOLUME):
        storage.create_snapshot(VOLUME, "daily", "nobody")
    image = storage.open_image(name, "volume move")
    source = storage.volume(VOLUME).directory
    shutil.copytree(source, image.root, symlinks=True, dirs_exist_ok=True)
    for copy in storage.snapshot_copies(VOLUME):
        image.take(copy.name, copy.identifier, copy.created_at_s)
    image.go_online(writable=False)
    image.close()


def moved(storage: VolumeStorage, aggregate: str = "aggr2") -> None:
    arrived(storage, aggregate)
    storage.move_in(VOLUME, storage.fingerprint(VOLUME))


def refused(caught: pytest.ExceptionInfo[TapekitError]) -> str:
    return caught.value.fault.id.removeprefix("volumes.")


def _rewrite(file: Path) -> None:
    status = file.stat()
    file.write_bytes(b"CONTENT")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("steps", range(STEPS + 1))
def test_a_killed_move_leaves_the_old_place_or_the_new_one(stack_file: Path, steps: int) -> None:
    old = stack_file.parent / "vol1"
    new = stack_file.parent / "aggr2" / "vs1" / "vol1"
    arrived(storage_of(stack_file))
    command = [sys.executable, "-c", MOVING, str(stack_file), str(steps)]
    done = subprocess.run(command, check=False, timeout=60)
    assert done.returncode == (0 if steps == STEPS else -signal.SIGKILL)
    storage = storage_of(stack_file)
    assert storage.volume(VOLUME).directory == (new if steps else old).resolve()
    storage.moves.resume()
    if not steps:
        storage.move_in(VOLUME, storage.fingerprint(VOLUME))
    assert storage.volume(VOLUME).directory == new.resolve()
    assert storage.volume(VOLUME).traits.moves == 1
    assert storage.snapshot_names(VOLUME) == ["daily"]
    facts = storage.volume_facts(VOLUME)
    assert (facts.state, facts.type) == (VolumeState.ONLINE, VolumeType.RW)
    storage.delete_snapshot(VOLUME, "daily", "nobody")
    # The old place is left as it is, and nothing remembers what arrived.
    assert (old / "inner" / "file").read_bytes() == b"content"
    assert not [
        key
        for table in ("volumes.states", "volumes.snapshots", "volumes.locks")
        for key in assembled(stack_file).state.items(table)
        if "incoming" in key
    ]


@pytest.mark.parametrize(
    "write",
    [
        lambda file: file.write_bytes(b"another"),
        lambda file: (file.parent / "new").touch(),
        lambda file: file.unlink(),
        # Nothing but the change time tells.
        _rewrite,
    ],
    ids=["rewritten", "made", "removed", "with the old time"],
)
def test_what_somebody_writes_before_the_cutover_keeps_the_volume_where_it_is(
    stack_file: Path, write: Callable[[Path], object]
) -> None:
    storage = storage_of(stack_file)
    arrived(storage)
    unchanged = storage.fingerprint(VOLUME)
    place = storage.volume(VOLUME).directory
    write(place / "inner" / "file")
    with pytest.raises(TapekitError) as caught:
        storage.move_in(VOLUME, unchanged)
    assert refused(caught) == "volume-changed"
    assert storage.volume(VOLUME).directory == place
    assert not storage.is_unchanged(str(place), unchanged)


def test_what_arrived_otherwise_keeps_the_volume_where_it_is(stack_file: Path) -> None:
    storage = storage_of(stack_file)
    arrived(storage)
    (stack_file.parent / "aggr2/vs1/vol1/inner/file").chmod(0o600)
    with pytest.raises(TapekitError, match="inner/file is not what it should be") as caught:
        storage.move_in(VOLUME, storage.fingerprint(VOLUME))
    assert refused(caught) == "arrival-differs"


def test_what_did_not_arrive_is_no_place_for_a_volume(stack_file: Path) -> None:
    storage = storage_of(stack_file)
    with pytest.raises(TapekitError) as caught:
        storage.move_in(VOLUME, storage.fingerprint(VOLUME))
    assert refused(caught) == "nothing-arrived"
    storage.make_room(VOLUME, "aggr2")
    with pytest.raises(TapekitError) as caught:
        storage.move_in(VOLUME, storage.fingerprint(VOLUME))
    assert refused(caught) == "nothing-arrived"


def test_a_copy_that_was_made_too_late_to_arrive_is_not_lost(stack_file: Path) -> None:
    storage = storage_of(stack_file)
    arrived(storage)
    unchanged = storage.fingerprint(VOLUME)
    storage.create_snapshot(VOLUME, "late", "nobody")
    with pytest.raises(TapekitError) as caught:
        storage.move_in(VOLUME, unchanged)
    assert refused(caught) == "volume-changed"


def test_a_copy_that_a_restartable_backup_needs_keeps_the_volume(stack_file: Path) -> None:
    storage = storage_of(stack_file)
    arrived(storage)
    tree = storage.open_backup(VOLUME, "session 1")
    assert tree.snapshot_name is not None
    storage.lock_snapshot(VOLUME, tree.snapshot_name, "restartable backup 1")
    tree.close()
    with pytest.raises(TapekitError, match="restartable backup 1 has locked") as caught:
        storage.move_in(VOLUME, storage.fingerprint(VOLUME))
    assert refused(caught) == "copy-locked-here"


def test_nobody_uses_a_volume_while_its_name_changes_place(stack_file: Path) -> None:
    storage = storage_of(stack_file)
    arrived(storage)
    tree = storage.open_restore(VOLUME, "session 1")
    with pytest.raises(TapekitError) as caught:
        storage.move_in(VOLUME, storage.fingerprint(VOLUME))
    assert refused(caught) == "volume-in-use"
    tree.close()


def test_a_process_that_knows_the_old_place_alone_does_not_use_it(stack_file: Path) -> None:
    earlier = storage_of(stack_file)
    assert earlier.volume(VOLUME).directory == (stack_file.parent / "vol1").resolve()
    moved(storage_of(stack_file))
    with pytest.raises(TapekitError) as caught:
        earlier.open_restore(VOLUME, "session 1")
    assert refused(caught) == "volume-in-transitional-state"


def test_images_from_before_a_move_cannot_be_followed(stack_file: Path) -> None:
    storage = storage_of(stack_file)
    arrived(storage)
    (before,) = storage.snapshot_copies(VOLUME)
    storage.move_in(VOLUME, storage.fingerprint(VOLUME))
    (after,) = storage.snapshot_copies(VOLUME)
    assert (after.name, after.created_at_s) == (before.name, before.created_at_s)
    assert after.identifier != before.identifier


def test_a_corrected_stack_file_is_believed(stack_file: Path) -> None:
    moved(storage_of(stack_file))
    text = stack_file.read_text()
    other = stack_file.parent / "other"
    other.mkdir()
    stack_file.write_text(text.replace('directory = "vol1"', 'directory = "other"'))
    volume = storage_of(stack_file).volume(VOLUME)
    assert volume.directory == other.resolve()
    # Inode numbers are not those from before the move for all that.
    assert volume.traits.moves == 1
    stack_file.write_text(text)
    shutil.rmtree(stack_file.parent / "vol1")
    storage = storage_of(stack_file)
    assert storage.volume(VOLUME).directory == (stack_file.parent / "aggr2/vs1/vol1").resolve()
    (aggregate,) = [each for each in storage.aggregates() if VOLUME in each.volumes]
    assert aggregate.name == "aggr2"
    moved(storage, "aggr3")
    assert storage_of(stack_file).volume(VOLUME).traits.moves == 2


def test_volumes_whose_places_cannot_be_read_are_not_used(stack_file: Path) -> None:
    moved(storage_of(stack_file))
    assembled(stack_file).state.change("volumes.places", {VOLUME: b"nonsense"})
    storage = storage_of(stack_file)
    with pytest.raises(TapekitError) as caught:
        storage.open_restore(VOLUME, "session 1")
    assert refused(caught) == "state-not-understood"


@pytest.mark.parametrize(
    ("volume", "aggregate", "row"),
    [
        (VOLUME, "nowhere", "aggregate-takes-no-volumes"),
        (VOLUME, "pathless", "aggregate-takes-no-volumes"),
        (VOLUME, "far", "aggregate-of-other-node"),
        (VOLUME, "unmounted", "room-not-made"),
        ("/vs1/live", "aggr2", "volume-without-copies"),
        ("/vs1/dp", "aggr2", "protected-volume-stays"),
        ("/vs1/group", "aggr2", "volume-is-flexgroup"),
        ("/vs1/none", "aggr2", "no-such-volume"),
    ],
)
def test_volumes_and_aggregates_that_do_not_go_together(
    stack_file: Path, volume: str, aggregate: str, row: str
) -> None:
    storage = storage_of(stack_file)
    with pytest.raises(TapekitError) as caught:
        storage.make_room(volume, aggregate)
    assert refused(caught) == row
    assert not list((stack_file.parent / "aggr2").iterdir())


def test_nothing_is_written_over_what_lies_in_an_aggregate(stack_file: Path) -> None:
    storage = storage_of(stack_file)
    name = storage.make_room(VOLUME, "aggr2")
    assert storage.make_room(VOLUME, "aggr2") == name
    with pytest.raises(TapekitError) as caught:
        storage.make_room(VOLUME, "aggr3")
    assert refused(caught) == "volume-moves-elsewhere"
    left = storage.give_up_room(VOLUME)
    assert left == str((stack_file.parent / "aggr2/vs1/vol1").resolve())
    assert storage.give_up_room(VOLUME) is None
    (stack_file.parent / "aggr2/vs1/vol1/somebody's").touch()
    with pytest.raises(TapekitError) as caught:
        storage.make_room(VOLUME, "aggr2")
    assert refused(caught) == "room-not-empty"
    storage.make_room(VOLUME, "aggr3")


def test_what_is_left_can_be_looked_at_for_what_was_written_too_late(stack_file: Path) -> None:
    storage = storage_of(stack_file)
    arrived(storage)
    unchanged = storage.fingerprint(VOLUME)
    left = storage.move_in(VOLUME, unchanged, for_ever)
    assert storage.is_unchanged(left, unchanged)
    (stack_file.parent / "vol1" / "late").touch()
    assert not storage.is_unchanged(left, unchanged)
    shutil.rmtree(left)
    assert not storage.is_unchanged(left, unchanged)
