"""A whole stack without a disk: tapes in memory, an engine and a drive that wait on cue.

The stack serves in a thread of its own, so that plain code (and property
tests, which are plain code) can talk to it. Nobody needs to log in. The one
rule: gates are open when a stack ends, since no thread is ever left behind.
"""

from __future__ import annotations

import threading
from array import array
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, ClassVar

import trio

from plain_client import PATIENCE_S, PlainClient
from session_stack import clock, serving
from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.data_engine import Ability, JobProgress, permit_every_path
from tapekit.hookspecs.lifecycle import Manifest, NoSettings
from tapekit.hookspecs.tape_driver import Condition, DriveDescription, TapeError
from tapekit.kernel import Available, assemble, installed
from tapekit.testing import MemoryTape, MemoryTapeDrive
from tapekit.testing.errors import CATALOGUE
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import NdmpClient
from tapekit_ndmp_v4.numbers import UNLIMITED, AuthType

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
    from pathlib import Path

    from session_stack import ServedStack
    from tapekit.hookspecs.data_engine import (
        JobServices,
        Pairs,
        PathPermit,
        RangeSource,
        Selection,
    )
    from tapekit.hookspecs.events import Event
    from tapekit.segments import DataSink, Piece

DRIVES = 3


def image(length: int) -> bytes:
    """A stream in which every 8 bytes tell where they are."""
    return array("Q", range(length // 8 + 1)).tobytes()[:length]


class MemoryEngine:
    """The butype ``memory``: BYTES of :func:`image`, and back.

    A backup has written everything and a restore has read nothing when they
    come to the gate; one that is SLOW comes there after each batch. A restore
    reads RANGES, such as ``0:100 4096:50``, or
    all there is, and its last one leaves what it read in :attr:`restored`.
    """

    name = "memory"
    abilities = Ability(0)

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.restored: list[bytes] = []
        self.open_jobs = 0
        self.defects: set[str] = set()
        """Where it fails as only a program error would: prepare, close."""

    def fail_at(self, place: str) -> None:
        if place in self.defects:
            raise ZeroDivisionError("a defect on cue")

    def prepare_backup(
        self, environment: Pairs, holder: str, permit: PathPermit = permit_every_path
    ) -> MemoryBackup:
        self.fail_at("prepare")
        return MemoryBackup(self, dict(environment))

    def prepare_recover(
        self,
        environment: Pairs,
        selections: Sequence[Selection],
        holder: str,
        permit: PathPermit = permit_every_path,
    ) -> MemoryRecover:
        return MemoryRecover(self, dict(environment))


class _Job:
    def __init__(self, engine: MemoryEngine, environment: Mapping[str, str]) -> None:
        self.engine = engine
        self.asked = environment
        self.done = 0
        engine.open_jobs += 1

    @property
    def progress(self) -> JobProgress:
        return JobProgress(self.done, None, None)

    def close(self) -> None:
        self.engine.open_jobs -= 1
        self.engine.fail_at("close")


class MemoryBackup(_Job):
    def run(self, sink: DataSink, services: JobServices) -> None:
        from tapekit.segments import Batch

        data = image(int(self.asked.get("BYTES", "0")))
        while self.done < len(data):
            buffer = sink.acquire()
            part = data[self.done : self.done + len(buffer)]
            buffer[: len(part)] = part
            self.done += len(part)

            def release(used: memoryview = buffer) -> None:
                sink.recycle(used)

            sink.put(Batch.of([buffer[: len(part)]], release))
        self.engine.gate.wait(PATIENCE_S)
        sink.finish()

    def environment(self) -> Pairs:
        return (*self.asked.items(), ("DUMP_DATE", "1"))


class MemoryRecover(_Job):
    def run(self, stream: RangeSource, services: JobServices) -> None:
        from tapekit.testing import bytes_of

        gate = self.engine.gate
        is_slow = "SLOW" in self.asked
        if not is_slow:
            gate.wait(PATIENCE_S)
        ranges = self.asked.get("RANGES", f"0:{UNLIMITED}")
        self.engine.restored = []
        for each in ranges.split():
            offset, length = map(int, each.split(":"))
            source = stream.request(offset, length)
            found = b""
            while (batch := source.get()) is not None:
                found += bytes_of(batch.pieces)
                batch.release()
                if is_slow:
                    gate.wait(PATIENCE_S)
            self.engine.restored.append(found)
            self.done += len(found)


class GatedDrive:
    """A drive in memory that may be told to keep a writer waiting."""

    def __init__(self, tape: MemoryTape | None, tapes: MemoryTapes) -> None:
        self._drive = MemoryTapeDrive(tape)
        self._tapes = tapes

    def write_records(self, pieces: Sequence[Piece], record_size: int) -> int:
        if (condition := self._tapes.failures.get("write_records")) is not None:
            raise CATALOGUE.raised_as(TapeError, "no-tape", condition=condition)
        self._tapes.waiting.set()
        self._tapes.gate.wait(PATIENCE_S)
        self._tapes.waiting.clear()
        return self._drive.write_records(pieces, record_size)

    def __getattr__(self, name: str) -> Any:
        condition = self._tapes.failures.get(name)
        if condition is not None:
            raise CATALOGUE.raised_as(TapeError, "no-tape", condition=condition)
        return getattr(self._drive, name)


class MemoryTapes:
    """The device scheme ``memory``: a tape in each drive, or none."""

    scheme = "memory"

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = threading.Event()
        """Set while a writer is at the gate."""
        self.failures: dict[str, Condition] = {}
        """What a drive says instead of doing what is asked, by method."""
        self.inserted: list[MemoryTape | None] = [MemoryTape() for _ in range(DRIVES)]

    def discover(self) -> Sequence[DriveDescription]:
        return [
            DriveDescription(
                address=str(number),
                physical_path=f"m.{number}",
                vendor="TEST",
                product="MEMORY",
                revision="1",
                serial=f"MEM{number}",
                formats=dict.fromkeys("lmha", "in memory"),
            )
            for number in range(DRIVES)
        ]

    def open_drive(self, address: str) -> Any:
        return GatedDrive(self.inserted[int(address)], self)


class MemoryPlugin:
    """Offers both to a stack."""

    manifest: ClassVar = Manifest(name="memory", summary="Memory", settings=NoSettings)

    def __init__(self, settings: NoSettings) -> None:
        self.engine = MemoryEngine()
        self.tapes = MemoryTapes()
        self.sessions: set[str] = set()
        self.changed = threading.Condition()

    @hookimpl
    def tapekit_on_event(self, event: Event) -> None:
        """Know which sessions there are."""
        with self.changed:
            match event.name:
                case "ndmp_v4.session-opened":
                    self.sessions.add(event.facts["session"])
                case "ndmp_v4.session-closed":
                    self.sessions.discard(event.facts["session"])
            self.changed.notify_all()

    @hookimpl
    def tapekit_register_data_engines(self) -> Sequence[MemoryEngine]:
        return (self.engine,)

    @hookimpl
    def tapekit_register_tape_drivers(self) -> Sequence[MemoryTapes]:
        return (self.tapes,)


class MemoryStack:
    """A stack that listens on a port of loopback, in a thread of its own."""

    def __init__(self, directory: Path, settings: str = "") -> None:
        self.directory = directory
        self.plugin = MemoryPlugin(NoSettings())
        self.engine, self.tapes = self.plugin.engine, self.plugin.tapes
        self.volume = directory / "volume"
        self.volume.mkdir()
        file = directory / "tapekit.toml"
        names = (
            "ndmp_v4",
            "transport_tcp",
            "tape_devices",
            "mover",
            "dump",
            "volumes",
            "snap_copy",
            "memory",
        )
        lines = [
            f"plugins = [{', '.join(map(repr, names))}]",
            "[transport_tcp]",
            'listen = ["127.0.0.1:0"]',
            "[[volumes.volume]]",
            'path = "/vs1/vol1"',
            'directory = "volume"',
            'snapshots = "copy"',
            "[dump]",
            "sync_at_end = false",
            settings,
        ]
        file.write_text("\n".join(lines) + "\n", "utf-8")
        available = [
            *(each for each in installed() if each.name in names),
            Available("memory", "tests", __name__, self._plugin_class),
        ]
        self.kernel = assemble(file, available, clock=clock)
        self.port = 0
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="served stack")
        self._failure: BaseException | None = None
        self._token: trio.lowlevel.TrioToken
        self._stop: trio.Event
        self._served: ServedStack

    def _plugin_class(self) -> Any:
        """A class whose one object is there already."""
        plugin = self.plugin

        class Present(MemoryPlugin):
            def __init__(self, settings: NoSettings) -> None:
                self.__dict__ = plugin.__dict__

        return Present

    def _run(self) -> None:
        async def main() -> None:
            self._token, self._stop = trio.lowlevel.current_trio_token(), trio.Event()
            async with serving(self.directory, self.kernel) as stack:
                self.port, self._served = stack.port, stack
                self._started.set()
                await self._stop.wait()

        try:
            trio.run(main)
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            self._failure = error
        self._started.set()

    def start(self) -> None:
        self._thread.start()
        self._started.wait(60)
        if self._failure is not None:
            raise self._failure

    def begin_stop(self) -> None:
        """Ask the stack to end, as a signal would."""
        trio.from_thread.run_sync(self._stop.set, trio_token=self._token)

    def begin_stop_now(self) -> None:
        """Ask a second time: nothing is waited for any more."""
        trio.from_thread.run(self._served.hurry, trio_token=self._token)

    def stop(self) -> None:
        self.open_gates()
        with suppress(trio.RunFinishedError):
            self.begin_stop()
        self._thread.join(30)
        assert not self._thread.is_alive(), "the stack does not end"
        if self._failure is not None:
            raise self._failure

    @property
    def holders(self) -> list[str]:
        """Who holds a drive."""
        inventory = self.kernel.tape_inventory
        assert inventory is not None
        return [row.holder for row in inventory.drives() if row.holder is not None]

    def until_free(self) -> None:
        """Wait for the sessions of clients that have gone; then nobody holds
        a drive or a job.
        """
        with self.plugin.changed:
            assert self.plugin.changed.wait_for(lambda: not self.plugin.sessions, PATIENCE_S)
        assert not self.holders
        assert not self.engine.open_jobs

    @contextmanager
    def client(self, *, logged_in: bool = True) -> Iterator[PlainClient]:
        """A session that is logged in, or one that has only connected."""
        with PlainClient(self.port) as client:
            if logged_in:
                client.do(m.ConnectOpenRequest(protocol_version=4))
                client.do(m.ConnectClientAuthRequest(auth_data=m.AuthNone()))
            yield client

    def open_gates(self) -> None:
        """Let everybody go on."""
        self.engine.gate.set()
        self.tapes.gate.set()

    @contextmanager
    def closed_gates(self) -> Iterator[None]:
        """Keep engines from finishing until the block ends."""
        self.engine.gate.clear()
        try:
            yield
        finally:
            self.open_gates()


@contextmanager
def memory_stack(directory: Path, settings: str = "") -> Iterator[MemoryStack]:
    """A stack that serves inside the block, and drains at its end."""
    stack = MemoryStack(directory, settings)
    stack.start()
    try:
        yield stack
    finally:
        stack.stop()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[NdmpClient]:
    """A session of the client library."""
    async with NdmpClient.connect("127.0.0.1", port, clock=clock) as client:
        await client.open()
        await client.authenticate(AuthType.NONE)
        yield client
