"""A kernel and Snapshot methods that work in memory and temporary folders."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tapekit.errors import Catalogue, Fault
from tapekit.hookspecs.storage import Origin
from tapekit.kernel.memory_state import MemoryStateStore
from tapekit_volumes.settings import VolumeSettings
from tapekit_volumes.snapshots import SnapshotKeeper
from tapekit_volumes.states import VolumeStates
from tapekit_volumes.storage import VolumeStorage
from tapekit_volumes.table import volume_table
from tapekit_volumes.withheld import WithheldFiles

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    import trio

    from tapekit.hookspecs.events import Event
    from tapekit.hookspecs.storage import KeepGoing

ROWS = Catalogue(
    "test", {"broken": Fault(id="test.broken", message="broken", cause="Cue.", action="Wait.")}
)


class MemoryTree:
    """A copy whose origins are those of the files it was copied from."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def origin(self, status: os.stat_result) -> Origin:
        return Origin(status.st_ino + 1_000_000, status.st_ctime_ns)

    def birth_ns(self, directory: int, name: bytes) -> int:
        """As if each copy were made a second after its original."""
        return os.stat(name, dir_fd=directory).st_ctime_ns - 10**9

    def close(self) -> None:
        """Nothing is open."""


class MemoryMethod:
    """Copies with the standard library; fails when it is told to."""

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.fail_create = False
        self.fail_delete = False
        self.during_create: Callable[[], object] = lambda: None

    def create(self, volume: Path, snapshots: Path, name: str, keep_going: KeepGoing) -> MemoryTree:
        keep_going()
        if self.fail_create:
            raise ROWS.error("broken")
        shutil.copytree(volume, snapshots / f".{name}.new", symlinks=True)
        self.during_create()
        (snapshots / f".{name}.new").rename(snapshots / name)
        return MemoryTree(snapshots / name)

    def open(self, snapshots: Path, name: str) -> MemoryTree:
        if not (snapshots / name).is_dir():
            raise ROWS.error("broken")
        return MemoryTree(snapshots / name)

    def delete(self, snapshots: Path, name: str) -> None:
        if self.fail_delete:
            raise ROWS.error("broken")
        for leftover in (name, f".{name}.new"):
            if (snapshots / leftover).is_dir():
                shutil.rmtree(snapshots / leftover)

    def names(self, snapshots: Path) -> Sequence[str]:
        if not snapshots.is_dir():
            return ()
        return sorted(path.name for path in snapshots.iterdir() if path.name[0] != ".")


class FailingStateStore:
    """Works until it is told to fail."""

    def __init__(self) -> None:
        self._store = MemoryStateStore()
        self.failing = False

    def get(self, namespace: str, key: str) -> bytes | None:
        return self._store.get(namespace, key)

    def items(self, namespace: str, prefix: str = "") -> Mapping[str, bytes]:
        return self._store.items(namespace, prefix)

    def change(self, namespace: str, values: Mapping[str, bytes | None]) -> None:
        if self.failing:
            raise ROWS.error("broken")
        self._store.change(namespace, values)


class MemoryKernel:
    """As much of a kernel as volumes need."""

    def __init__(self, base_directory: Path, *methods: MemoryMethod) -> None:
        self.base_directory = base_directory
        self.snapshot_methods = {method.name: method for method in methods}
        self.state = FailingStateStore()
        self.now_s = 1000.5
        self.events: list[Event] = []
        self.nursery: trio.Nursery | None = None

    def clock(self) -> float:
        return self.now_s

    def announce(self, event: Event) -> None:
        self.events.append(event)

    def start_task(self, run: Callable[[], Awaitable[object]], name: str) -> None:
        assert self.nursery is not None
        self.nursery.start_soon(run, name=name)

    def told(self) -> list[tuple[str, object]]:
        """The names of the events and the copies that they are about."""
        return [(event.name, event.facts["snapshot"]) for event in self.events]


class Site:
    """Two volumes, one of which makes Snapshot copies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("vol1", "live"):
            (folder / name / "inner").mkdir(parents=True)
            (folder / name / "inner" / "file").write_bytes(b"content")
        self.method = MemoryMethod()
        self.kernel = MemoryKernel(folder, self.method)
        self.storage = VolumeStorage()
        self.settle()

    def settle(self, **changes: object) -> None:
        """Settle the storage, with changed settings of both volumes."""
        rows = (
            self.row("/vs1/vol1", "vol1", snapshots="memory", **changes),
            self.row("/vs1/live", "live", **changes),
        )
        self.settle_rows(*rows)

    def settle_rows(self, *rows: VolumeSettings) -> None:
        """Settle the storage with these volumes."""
        table = volume_table(rows, self.folder, self.kernel.snapshot_methods)
        withheld = WithheldFiles(self.kernel.state)
        states = VolumeStates(self.kernel)
        self.storage.settle(lambda: table, SnapshotKeeper(self.kernel), withheld, states)

    def row(self, path: str, directory: str, **more: object) -> VolumeSettings:
        return VolumeSettings(path=path, directory=self.folder / directory, **more)

    @property
    def keeper(self) -> SnapshotKeeper:
        return self.storage.keeper

    @property
    def snapshots(self) -> Path:
        return self.folder / "vol1.snapshots"

    def copies(self) -> list[str]:
        """Everything in the folder of copies but the locks."""
        if not self.snapshots.is_dir():
            return []
        return sorted(path.name for path in self.snapshots.iterdir() if path.name != ".locks")

    def holders(self) -> list[str]:
        """The copies that the state has records of."""
        return [key.partition("#")[0] for key in self.kernel.state.items("volumes.locks")]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)
