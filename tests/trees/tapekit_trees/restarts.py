"""A stack whose backups can be restarted, with its state on disk."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit.kernel import assemble, installed
from tapekit.segments import BUFFER_BYTES, Batch, ConnectionBroken
from tapekit.testing import MemoryServices
from tapekit.testing.memory_connection import MemoryRanges, bytes_of
from tapekit_dump.restart_contexts import RestartContexts

if TYPE_CHECKING:
    from pathlib import Path

    from tapekit.hookspecs.data_engine import NodeEntry
    from tapekit.kernel import StackKernel

NOW_S: Final = 1_700_000_000.0
VOLUME: Final = "/vs1/vol1"
PLUGINS: Final = ("dump", "ndmp_v4", "snap_copy", "snapext", "state_sqlite", "volumes")


class UsedSink:
    """A sink whose other end uses everything at once, up to a place at which
    the connection breaks.
    """

    def __init__(self, breaks_after: int | None = None) -> None:
        self._breaks_after = breaks_after
        self._free = [memoryview(bytearray(BUFFER_BYTES)) for _ in range(4)]
        self._is_broken = False
        self.data = bytearray()
        self.is_finished = False

    def _check(self) -> None:
        if self._is_broken:
            raise ConnectionBroken

    def acquire(self) -> memoryview:
        self._check()
        return self._free.pop()

    def recycle(self, buffer: memoryview) -> None:
        self._free.append(buffer)

    def put(self, batch: Batch) -> None:
        """Use a batch; one that the end of the connection meets is let go of
        all the same, as real connections do.
        """
        if not self._is_broken:
            self.data += bytes_of(batch.pieces)
            limit = self._breaks_after
            if limit is not None and len(self.data) > limit:
                del self.data[limit:]
                self._is_broken = True
        batch.release()
        self._check()

    def drain(self) -> None:
        self._check()

    def finish(self) -> None:
        self._check()
        self.is_finished = True


class Outcome(NamedTuple):
    """What one run of a backup has left."""

    data: bytes
    environment: dict[str, str]
    services: MemoryServices
    is_complete: bool

    @property
    def context(self) -> str:
        return self.environment["RESTART_CONTEXT"]

    @property
    def position(self) -> int:
        return int(self.environment["RESTART_POSITION"])

    @property
    def nodes(self) -> list[NodeEntry]:
        """Attributes that the client got."""
        return self.services.collected.nodes


class RestartSite:
    """A folder with a volume; each kernel of it is a new start of the server."""

    def __init__(self, folder: Path, *, snapshots: str = "copy") -> None:
        self.folder = folder
        self.volume = folder / "volume"
        self.volume.mkdir()
        names = ", ".join(f'"{name}"' for name in PLUGINS)
        self.stack_file = folder / "stack.toml"
        self.stack_file.write_text(
            f"plugins = [{names}]\n"
            "[dump]\nrestart_checkpoint_bytes = 65536\n"
            f'[[volumes.volume]]\npath = "{VOLUME}"\ndirectory = "volume"\n'
            f'snapshots = "{snapshots}"\n'
        )
        self.path = VOLUME
        """What is backed up."""
        self.kernel = self.start()

    def start(self) -> StackKernel:
        """The stack as it is after a restart of the server."""
        self.kernel = assemble(self.stack_file, installed(), clock=lambda: NOW_S)
        return self.kernel

    def set(self, lines: str) -> None:
        """Start anew with further settings of the dump engine."""
        text = self.stack_file.read_text()
        self.stack_file.write_text(text.replace("[dump]\n", f"[dump]\n{lines}\n"))
        self.start()

    def keep_copy(self) -> None:
        """Make a Snapshot copy, and back up that from now on."""
        self.kernel.storage.keeper.create(self.kernel.storage.volume(VOLUME), "kept")
        self.path = f"{VOLUME}/.snapshot/kept"
        # Its access time is that of the first reading, with most mount options.
        self.back_up()

    def contexts(self) -> RestartContexts:
        storage = self.kernel.storage
        return RestartContexts(self.kernel.state, storage, self.kernel.clock)

    def copies(self) -> list[str]:
        """The Snapshot copies of the volume."""
        return list(self.kernel.storage.snapshot_names(VOLUME))

    def back_up(
        self, *variables: tuple[str, str], breaks_after: int | None = None, forget: bool = True
    ) -> Outcome:
        """One run; a connection that breaks ends it.

        :param forget: whether a first run gets the date that all others have,
            so that streams can be compared; levels need dates of their own.
        """
        if forget and not any(name == "RESTART_CONTEXT" for name, _ in variables):
            self.kernel.state.change("dump.dates", {VOLUME: None})
        sink, services = UsedSink(breaks_after), MemoryServices(wants_history=True)
        pairs = (("FILESYSTEM", self.path), ("HIST", "Y"), *variables)
        with ExitStack() as undo:
            job = self.kernel.engines["dump"].prepare_backup(pairs, "a test")
            undo.callback(job.close)
            try:
                job.run(sink, services)
            except ConnectionBroken:
                assert breaks_after is not None
            environment = dict(job.environment())
        return Outcome(bytes(sink.data), environment, services, sink.is_finished)

    def restore(self, data: bytes, environment: dict[str, str], folder: str) -> Path:
        """Restore a stream into a folder of the volume's machine."""
        pairs = (*environment.items(), ("PREFIX", f"{VOLUME}/{folder}"))
        services = MemoryServices()
        job = self.kernel.engines["dump"].prepare_recover(pairs, (), "a test")
        try:
            job.run(MemoryRanges(data), services)
        finally:
            job.close()
        return self.volume / folder
