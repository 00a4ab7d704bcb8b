"""A stack with the two volumes of a relationship, and connections that fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit.kernel import assemble, installed
from tapekit.segments import ConnectionBroken
from tapekit_snapmirror.course import Course
from tapekit_snapmirror.relationships import Relationship, RelationshipKind, Relationships, Step
from tapekit_snapmirror.transfer import prepare_transfer
from tapekit_state_sqlite.store import SqliteStateStore
from tapekit_volumes.storage import VolumeStorage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tapekit.hookspecs.data_engine import DataEngine
    from tapekit.hookspecs.transport import DataConnection, DataTransport
    from tapekit.hookspecs.volume_images import VolumeState
    from tapekit.segments import Batch, DataSink
    from tapekit_snapmirror.course import Plan

SOURCE, COPY = "/vs1/source", "/vs1/copy"
ID = "0123456789abcdef0123456789abcdef"
STACK = """
plugins = ["smtape", "snapmirror", "volumes", "snap_copy", "state_sqlite", "transport_tcp"]

[[volumes.volume]]
path = "/vs1/source"
directory = "source"
snapshots = "copy"

[[volumes.volume]]
path = "/vs1/copy"
directory = "copy"
type = "dp"
snapshots = "copy"

[[volumes.volume]]
path = "/vs1/spread"
directory = "spread"
style = "flexgroup"
snapshots = "copy"
"""


class FailingKernel(NamedTuple):
    """What a transfer needs of a stack, with connections that break."""

    engines: Mapping[str, DataEngine]
    data_transports: Mapping[str, FailingTransport]


@final
class FailingTransport:
    """Local connections that break after a number of bytes."""

    def __init__(self, transport: DataTransport, after: int) -> None:
        self._transport: Final = transport
        self._after: Final = after

    def pair(self) -> tuple[DataConnection, DataConnection]:
        writer, reader = self._transport.pair()
        return FailingConnection(writer, self._after), reader  # type: ignore[return-value]  # by __getattr__


class FailingConnection:
    """An end whose sink breaks after a number of bytes."""

    def __init__(self, end: DataConnection, after: int) -> None:
        self._end = end
        self._after = after

    def __getattr__(self, name: str) -> object:
        return getattr(self._end, name)

    def sink(self) -> FailingSink:
        return FailingSink(self._end.sink(), self._after)


class FailingSink:
    """A sink that breaks after a number of bytes, which have all been used."""

    def __init__(self, sink: DataSink, after: int) -> None:
        self._sink = sink
        self._left = after

    def __getattr__(self, name: str) -> object:
        return getattr(self._sink, name)

    def put(self, batch: Batch) -> None:
        self._left -= batch.length
        if self._left < 0:
            batch.release()
            self._sink.drain()
            raise ConnectionBroken
        self._sink.put(batch)


class MirrorSite:
    """A stack that does not serve, and the course of its transfers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source, self.copy = folder / "source", folder / "copy"
        for name in ("source", "copy", "spread"):
            (folder / name).mkdir(exist_ok=True)
        file = folder / "stack.toml"
        file.write_text(STACK)
        self.kernel = assemble(file, installed(), clock=lambda: 1_700_000_000.0)
        storage = self.kernel.storage
        assert isinstance(storage, VolumeStorage)
        self.storage = storage
        self.relationships = Relationships(self.kernel.state)
        self.course = Course(storage, self.relationships, self.kernel.clock)

    def make(self, kind: RelationshipKind = RelationshipKind.MIRROR) -> Relationship:
        new = Relationship(id=ID, source=SOURCE, destination=COPY, kind=kind)
        return self.relationships.write(new)

    async def transfer(self, step: Step, breaks_after: int | None = None) -> Plan:
        """A transfer from its beginning to its end.

        :param breaks_after: bytes after which the connection breaks.
        :raises ConnectionBroken: it did.
        """
        plan = self.course.plan(COPY, step)
        self.course.begin(plan)
        kernel = self.kernel
        if breaks_after is not None:
            transport = FailingTransport(kernel.data_transports["LOCAL"], breaks_after)
            kernel = FailingKernel(kernel.engines, {"LOCAL": transport})  # type: ignore[assignment]  # all that is used
        transfer = prepare_transfer(kernel, plan.wish)
        try:
            await transfer.run()
        except BaseException:
            transfer.close()
            self.course.give_up(plan, transfer.bytes, "the connection broke")
            raise
        transfer.close()
        self.course.finish(plan, transfer.bytes)
        return plan

    def copies(self, volume: str) -> list[str]:
        """The names of a volume's copies, those of the relationship by number."""
        names = [copy.name for copy in self.storage.snapshot_copies(volume)]
        return [name.removeprefix(f"snapmirror.{ID}.") for name in names]

    def set_state(self, state: VolumeState, volume: str = COPY) -> None:
        self.storage.change_state(volume, state)

    def close(self) -> None:
        """Close the file of the state."""
        assert isinstance(self.kernel.state, SqliteStateStore)
        self.kernel.state.close()
