"""Whether a storage keeps the contract of :class:`ImageStorage`.

Copies are made, held and deleted on a volume that is in use, and images are
written to one that is restricted, each check with volumes of its own. The one
rule: whatever a restore leaves unfinished must be found so when the storage is
opened again.
"""

from __future__ import annotations

import os
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit.errors import TapekitError
from tapekit.hookspecs.volume_images import VolumeState, VolumeType
from tapekit.testing.expecting import expect, expect_equal, expect_raises, title

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.hookspecs.volume_images import ImageStorage, SnapshotCopy

__all__ = ["ImageTrial", "check_image_storage"]

_HOLDER: Final = "conformance check"
_FILE: Final = "file of the check"
_IDENTIFIER: Final = "identifier of another system"


class ImageTrial(NamedTuple):
    """A storage with two volumes without Snapshot copies."""

    storage: ImageStorage
    volume: str
    """Online and read/write, and able to make Snapshot copies."""
    target: str
    """A restricted data protection volume, which is whole."""
    reopen: Callable[[], ImageStorage]
    """The storage as a next process finds it."""


def check_image_storage(make_trial: Callable[[], ImageTrial]) -> None:
    """Claim everything that the contract of :class:`ImageStorage` promises.

    :param make_trial: a fresh trial at each call.
    :raises AssertionError: naming the first claim that does not hold.
    """
    for check in _CHECKS:
        try:
            check(make_trial())
        except (AssertionError, TapekitError) as error:
            raise AssertionError(f"{title(check)}: {error}") from error


def _copies_stay(trial: ImageTrial) -> None:
    """Copies come oldest first, each with an identifier that is its own."""
    storage, volume = trial.storage, trial.volume
    made = []
    for name in ("first", "second"):
        _write(storage, volume, name.encode())
        made.append(storage.create_snapshot(volume, name, _HOLDER))
    found = list(storage.snapshot_copies(volume))
    expect_equal(_known(found), _known(made), "snapshot_copies after two were created")
    again = trial.reopen().snapshot_copies(volume)
    expect_equal(_known(again), _known(made), "snapshot_copies when opened again")
    expect_raises(
        TapekitError,
        partial(storage.create_snapshot, volume, "first", _HOLDER),
        "create_snapshot with a name in use",
    )
    storage.delete_snapshot(volume, "first", _HOLDER)
    expect_raises(
        TapekitError,
        partial(storage.delete_snapshot, volume, "first", _HOLDER),
        "delete_snapshot of a copy that is gone",
    )
    made.append(storage.create_snapshot(volume, "first", _HOLDER))
    expect_equal(len({copy.identifier for copy in made}), 3, "identifiers of three copies")


def _held_copies_do_not_change(trial: ImageTrial) -> None:
    """A copy that is held shows what the volume was, and cannot be deleted."""
    storage, volume = trial.storage, trial.volume
    _write(storage, volume, b"before")
    made = storage.create_snapshot(volume, "copy", _HOLDER)
    _write(storage, volume, b"after")
    delete = partial(storage.delete_snapshot, volume, "copy", _HOLDER)
    with closing(storage.hold_snapshot(volume, "copy", _HOLDER)) as held:
        expect_equal(held.copy.identifier, made.identifier, "identifier of the held copy")
        content = (held.tree.root / _FILE).read_bytes()
        expect_equal(content, b"before", "content of a file in the held copy")
        expect_raises(TapekitError, delete, "delete_snapshot of a copy that is held")
    held.close()
    delete()
    expect_raises(
        TapekitError,
        partial(storage.hold_snapshot, volume, "copy", _HOLDER),
        "hold_snapshot of a copy that is gone",
    )


def _copies_of_backups_are_hidden(trial: ImageTrial) -> None:
    """What a backup has made for itself is no copy for images."""
    with closing(trial.storage.open_backup(trial.volume, _HOLDER)):
        expect_equal(
            list(trial.storage.snapshot_copies(trial.volume)), [], "snapshot_copies during a backup"
        )


def _images_need_a_target(trial: ImageTrial) -> None:
    """An image goes to a volume that is restricted, and to one restore."""
    storage, target = trial.storage, trial.target
    expect_raises(
        TapekitError, partial(storage.open_image, trial.volume, _HOLDER), "open_image online"
    )
    expect_raises(TapekitError, partial(storage.open_image, "/no/volume", _HOLDER), "open_image")
    with closing(storage.open_image(target, _HOLDER)) as image:
        expect(image.memory.is_dir(), "memory: the folder does not exist")
        for other in (storage, trial.reopen()):
            expect_raises(
                TapekitError, partial(other.open_image, target, _HOLDER), "open_image a second time"
            )
        for use in (storage.open_backup, storage.open_restore):
            expect_raises(TapekitError, partial(use, target, _HOLDER), "use of a restricted volume")
    image.close()
    facts = trial.reopen().volume_facts(target)
    expect_equal(facts.is_whole, True, "is_whole after an image was only looked at")


def _images_become_whole(trial: ImageTrial) -> None:
    """An image with its copies is online once it is whole."""
    storage, target = trial.storage, trial.target
    with closing(storage.open_image(target, _HOLDER)) as image:
        (image.memory / "known").write_bytes(b"of the engine")
        for name, moment_s in (("one", 100), ("two", 200)):
            (image.root / _FILE).write_bytes(name.encode())
            image.take(name, f"{_IDENTIFIER} {name}", moment_s)
        expect_raises(
            TapekitError,
            partial(image.take, "three", f"{_IDENTIFIER} one", 300),
            "take with an identifier in use",
        )
        (image.root / _FILE).write_bytes(b"three")
        image.forget("one")
        image.go_online(writable=False)
    opened = trial.reopen()
    facts = opened.volume_facts(target)
    expect_equal(
        (facts.state, facts.type, facts.is_whole),
        (VolumeState.ONLINE, VolumeType.DP, True),
        "volume_facts of a whole image",
    )
    (copy,) = opened.snapshot_copies(target)
    expect_equal(
        (copy.name, copy.identifier, copy.created_at_s),
        ("two", f"{_IDENTIFIER} two", 200),
        "the copy of the source",
    )
    with closing(opened.hold_snapshot(target, "two", _HOLDER)) as held:
        content = (held.tree.root / _FILE).read_bytes()
        expect_equal(content, b"two", "content of a file in the copy")
    expect_raises(TapekitError, partial(opened.open_restore, target, _HOLDER), "a restore of files")
    expect_raises(
        TapekitError, partial(opened.create_snapshot, target, "x", _HOLDER), "a copy of its own"
    )


def _protection_ends(trial: ImageTrial) -> None:
    """An image may end the protection of its volume, and the engine's memory."""
    with closing(trial.storage.open_image(trial.target, _HOLDER)) as image:
        (image.memory / "known").write_bytes(b"of the engine")
        image.go_online(writable=True)
    opened = trial.reopen()
    expect_equal(opened.volume_facts(trial.target).type, VolumeType.RW, "type of the volume")
    expect(not (image.memory / "known").exists(), "memory: it is still there")
    _write(opened, trial.target, b"written")


def _unfinished_images_are_not_whole(trial: ImageTrial) -> None:
    """What may have been changed is not whole until an image is."""
    with closing(trial.storage.open_image(trial.target, _HOLDER)) as image:
        (image.root / _FILE).write_bytes(b"half")
        seen = trial.reopen().volume_facts(trial.target)
        expect_equal(seen.is_whole, False, "is_whole while an image is written")
    for storage in (trial.storage, trial.reopen()):
        facts = storage.volume_facts(trial.target)
        expect_equal(
            (facts.state, facts.is_whole),
            (VolumeState.RESTRICTED, False),
            "volume_facts of an image that was cut",
        )
    with closing(trial.reopen().open_image(trial.target, _HOLDER)) as image:
        image.go_online(writable=False)
    facts = trial.reopen().volume_facts(trial.target)
    expect_equal((facts.state, facts.is_whole), (VolumeState.ONLINE, True), "facts of a whole one")


def _write(storage: ImageStorage, volume: str, content: bytes) -> None:
    """Write a file at the top of a volume."""
    with closing(storage.open_restore(volume, _HOLDER)) as tree:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        file = os.open(_FILE, flags, 0o600, dir_fd=tree.descriptor)
        try:
            os.write(file, content)
        finally:
            os.close(file)


def _known(copies: Sequence[SnapshotCopy]) -> list[tuple[str, str]]:
    return [(copy.name, copy.identifier) for copy in copies]


_CHECKS: Final = (
    _copies_stay,
    _held_copies_do_not_change,
    _copies_of_backups_are_hidden,
    _images_need_a_target,
    _images_become_whole,
    _protection_ends,
    _unfinished_images_are_not_whole,
)
