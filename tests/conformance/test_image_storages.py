"""The checks of images over every Snapshot method, and over storages with one fault each."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tapekit.hookspecs.volume_images import ImageStorage, VolumeState
from tapekit.kernel import assemble, installed
from tapekit.testing import ImageTrial, check_image_storage
from tapekit_trees.btrfs import make_subvolume, mounted_btrfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STACK = """
plugins = ["volumes", "snap_{method}", "state_sqlite"]
[[volumes.volume]]
path = "/vs1/vol1"
directory = "{place}/vol1"
snapshots = "{method}"
[[volumes.volume]]
path = "/vs1/target"
directory = "{place}/target"
snapshots = "{method}"
type = "dp"
"""


def opened(folder: Path) -> Any:
    storage = assemble(folder / "stack.toml", installed(), clock=lambda: 1e10).storage
    assert isinstance(storage, ImageStorage)
    return storage


def trials(
    folder: Path, volumes: Path, method: str, make: Callable[[Path], object]
) -> Iterator[ImageTrial]:
    """Stacks of their own, one after the other."""
    for number in itertools.count():
        site, place = folder / f"site{number}", volumes / f"volumes{number}"
        site.mkdir()
        place.mkdir()
        for name in ("vol1", "target"):
            make(place / name)
        (site / "stack.toml").write_text(STACK.format(method=method, place=place))
        storage = opened(site)
        storage.states.change(storage.volume("/vs1/target"), VolumeState.RESTRICTED)

        def reopen(site: Path = site) -> Any:
            return opened(site)

        yield ImageTrial(storage, "/vs1/vol1", "/vs1/target", reopen)


def test_volumes_with_copies_keep_the_contract(tmp_path: Path) -> None:
    sites = trials(tmp_path, tmp_path, "copy", lambda place: place.mkdir())
    check_image_storage(lambda: next(sites))


def test_volumes_on_btrfs_keep_the_contract(tmp_path: Path) -> None:
    with mounted_btrfs(tmp_path) as place:
        sites = trials(tmp_path, place, "btrfs", make_subvolume)
        check_image_storage(lambda: next(sites))


class OneFault:
    """A right storage; the subclasses do one thing wrong."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)


class NewestFirst(OneFault):
    def snapshot_copies(self, volume: str) -> Any:
        return self._storage.snapshot_copies(volume)[::-1]


class NamesAreIdentifiers(OneFault):
    def create_snapshot(self, volume: str, name: str, holder: str) -> Any:
        return self._storage.create_snapshot(volume, name, holder)._replace(identifier=name)

    def snapshot_copies(self, volume: str) -> Any:
        return [
            each._replace(identifier=each.name) for each in self._storage.snapshot_copies(volume)
        ]


class NothingIsHeld(OneFault):
    def hold_snapshot(self, volume: str, name: str, holder: str) -> Any:
        held = self._storage.hold_snapshot(volume, name, holder)
        held.close()
        return held


class AlwaysWhole(OneFault):
    def volume_facts(self, volume: str) -> Any:
        return msgspec.structs.replace(self._storage.volume_facts(volume), is_whole=True)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (NewestFirst, "copies stay: snapshot_copies after two were created"),
        (NamesAreIdentifiers, "identifiers of three copies"),
        (NothingIsHeld, "copy that is held"),
        (AlwaysWhole, "is_whole while an image is written"),
    ],
)
def test_a_fault_is_found_and_told(tmp_path: Path, fault: Any, words: str) -> None:
    sites = trials(tmp_path, tmp_path, "copy", lambda place: place.mkdir())

    def trial() -> ImageTrial:
        right = next(sites)
        return right._replace(storage=fault(right.storage), reopen=lambda: fault(right.reopen()))

    with pytest.raises(AssertionError, match=words):
        check_image_storage(trial)
