"""A stack with a data protection volume, and restores of images to it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from tapekit.hookspecs.environment import Environment, Kind, Variable
from tapekit.hookspecs.volume_images import VolumeState
from tapekit.kernel import assemble, installed
from tapekit.testing import MemoryServices
from tapekit.testing.memory_connection import MemoryRanges
from tapekit_smtape.recover_job import prepare
from tapekit_state_sqlite.store import SqliteStateStore
from tapekit_volumes.storage import VolumeStorage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tapekit.hookspecs.data_engine import Pairs, Selection
    from tapekit_smtape.recover_job import RecoverJob

TARGET = "/vs1/back"
STACK = """
plugins = ["volumes", "snap_{method}", "state_sqlite"]

[[volumes.volume]]
path = "/vs1/back"
directory = "back"
type = "dp"
snapshots = "{method}"

[[volumes.volume]]
path = "/vs1/ordinary"
directory = "ordinary"
snapshots = "{method}"
"""
ROWS = (
    *(
        Variable(name=name, engine="smtape", kind=Kind.TEXT, summary="As for the engine")
        for name in ("FILESYSTEM", "SMTAPE_BACKUP_SET_ID")
    ),
    *(
        Variable(name=name, engine="smtape", kind=Kind.SWITCH, summary="As for the engine")
        for name in ("SMTAPE_BREAK_MIRROR", "VERBOSE", "DEBUG")
    ),
)


class RestoreSite:
    """A stack without a server, whose volume ``/vs1/back`` is there for images."""

    def __init__(self, folder: Path, method: str = "copy") -> None:
        self.folder = folder
        self.back = folder / "back"
        for name in ("back", "ordinary"):
            (folder / name).mkdir(exist_ok=True)
        file = folder / "stack.toml"
        file.write_text(STACK.format(method=method))
        self.kernel = assemble(file, installed(), clock=lambda: 1_700_000_000.0)
        storage = self.kernel.storage
        assert isinstance(storage, VolumeStorage)
        self.storage = storage

    def close(self) -> None:
        """Close the file of the state."""
        assert isinstance(self.kernel.state, SqliteStateStore)
        self.kernel.state.close()

    def set_state(self, state: VolumeState, volume: str = TARGET) -> None:
        self.storage.states.change(self.storage.volume(volume), state)

    def state(self) -> tuple[str, str, bool]:
        facts = self.storage.volume_facts(TARGET)
        return facts.state.value, facts.type.value, facts.is_whole

    def copies(self) -> list[str]:
        return [copy.name for copy in self.storage.snapshot_copies(TARGET)]

    def copy_place(self, name: str) -> Path:
        return self.folder / "back.snapshots" / name

    def prepare(self, environment: Pairs = (), selections: Sequence[Selection] = ()) -> RecoverJob:
        pairs = environment if selections else (("FILESYSTEM", TARGET), *environment)
        return prepare(Environment(ROWS, pairs), selections, "session 1", self.kernel)

    def restore(
        self, image: bytes, environment: Pairs = (), selections: Sequence[Selection] = ()
    ) -> MemoryServices:
        """Restrict the volume and restore an image to it."""
        self.set_state(VolumeState.RESTRICTED)
        return self.restore_restricted(image, environment, selections)

    def restore_restricted(
        self, image: bytes, environment: Pairs = (), selections: Sequence[Selection] = ()
    ) -> MemoryServices:
        services = MemoryServices()
        with closing(self.prepare(environment, selections)) as job:
            job.run(MemoryRanges(image), services)
        return services
