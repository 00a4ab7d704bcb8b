"""A stack with a volume to back up and one to restore to, both real."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from tapekit.hookspecs.volume_images import VolumeState
from tapekit.kernel import assemble, installed
from tapekit.testing import MemoryServices, MemorySink
from tapekit.testing.memory_connection import MemoryRanges
from tapekit_state_sqlite.store import SqliteStateStore
from tapekit_volumes.storage import VolumeStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tapekit.hookspecs.data_engine import DataEngine, FileResult, LogLevel

SOURCE = "/vs1/source"
TARGET = "/vs1/target"
STACK = """
plugins = ["smtape", "volumes", "snap_{method}", "state_sqlite"]

[[volumes.volume]]
path = "/vs1/source"
directory = "source"
snapshots = "{method}"

[[volumes.volume]]
path = "/vs1/target"
directory = "target"
type = "dp"
snapshots = "{method}"

[[volumes.volume]]
path = "/vs1/spread"
directory = "spread"
style = "flexgroup"
snapshots = "{method}"
"""


class Image(NamedTuple):
    """A backup that has been made."""

    data: bytes
    variables: dict[str, str]
    log: Sequence[tuple[LogLevel, str]]


class InterruptedServices:
    """Does something when a message comes that begins in a certain way."""

    history = None

    def __init__(self, begins: str, act: Callable[[], None]) -> None:
        self._begins = begins
        self._act = act
        self.texts: list[str] = []

    def log(self, level: LogLevel, text: str) -> None:
        del level
        self.texts.append(text)
        if text.startswith(self._begins):
            self._act()

    def file_result(self, path: str, result: FileResult) -> None:
        raise AssertionError(f"a backup has no result of {path}: {result}")

    def break_off(self) -> None:
        raise AssertionError("nobody moves the storage of this site")


class BackupSite:
    """A stack without a server."""

    def __init__(self, folder: Path, method: str = "copy") -> None:
        self.folder = folder
        self.source, self.target = folder / "source", folder / "target"
        for name in ("source", "target", "spread"):
            (folder / name).mkdir(exist_ok=True)
        file = folder / "stack.toml"
        file.write_text(STACK.format(method=method))
        self.kernel = assemble(file, installed(), clock=lambda: 1_700_000_000.0)
        storage = self.kernel.storage
        assert isinstance(storage, VolumeStorage)
        self.storage = storage

    @property
    def engine(self) -> DataEngine:
        return self.kernel.engines["smtape"]

    def set_state(self, state: VolumeState, volume: str = SOURCE) -> None:
        self.storage.states.change(self.storage.volume(volume), state)

    def take(self, name: str) -> None:
        self.storage.create_snapshot(SOURCE, name, "the application")

    def copies(self, volume: str = SOURCE) -> list[str]:
        return [copy.name for copy in self.storage.snapshot_copies(volume)]

    def copy_place(self, name: str, volume: str = "source") -> Path:
        return self.folder / f"{volume}.snapshots" / name

    def back_up(self, volume: str = SOURCE, **variables: str) -> Image:
        sink, services = MemorySink(), MemoryServices()
        pairs = (("FILESYSTEM", volume), *variables.items())
        with closing(self.engine.prepare_backup(pairs, "session 1")) as job:
            job.run(sink, services)
            assert job.progress.bytes_processed == len(sink.data)
            environment = dict(job.environment())
        assert sink.is_finished
        return Image(sink.data, environment, tuple(services.messages))

    def increment(self, base: Image, name: str) -> Image:
        return self.back_up(
            BASE_DATE=base.variables["DUMP_DATE"],
            SMTAPE_BACKUP_SET_ID=base.variables["SMTAPE_BACKUP_SET_ID"],
            SMTAPE_SNAPSHOT_NAME=name,
        )

    def restore(self, image: Image, **variables: str) -> None:
        self.set_state(VolumeState.RESTRICTED, TARGET)
        pairs = (
            *((name, value) for name, value in image.variables.items() if name != "FILESYSTEM"),
            ("FILESYSTEM", TARGET),
            *variables.items(),
        )
        with closing(self.engine.prepare_recover(pairs, (), "session 2")) as job:
            job.run(MemoryRanges(image.data), MemoryServices())

    def close(self) -> None:
        """Close the file of the state."""
        assert isinstance(self.kernel.state, SqliteStateStore)
        self.kernel.state.close()
