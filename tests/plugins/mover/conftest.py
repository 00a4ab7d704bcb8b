"""A mover in a thread of its own, and what it tells, in order."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any, final

import pytest

from tapekit.hookspecs.tape_driver import DeviceRow
from tapekit.segments import Batch, ConnectionBroken
from tapekit.testing import MemorySink, MemoryTape, MemoryTapeDrive
from tapekit_mover.mover import TapeMover

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tapekit.hookspecs.mover import MoverHalt, MoverPause

PATIENCE_S = 60.0
RECORD = 1024


@final
class MemoryOpenTape:
    """A device that is open, over any drive."""

    device = DeviceRow(name="nrst0a", rewinds=False, unloads=False, compression="a")
    is_writable = True

    def __init__(self, drive: Any) -> None:
        self.drive = drive

    def close(self) -> None:
        self.drive.close()


@final
class QueueSource:
    """A connection whose other end is the test: it gives, ends and breaks."""

    def __init__(self) -> None:
        self._items: queue.Queue[Batch | type[ConnectionBroken] | None] = queue.Queue()
        self.released = 0
        self._releases: queue.Queue[int] = queue.Queue()

    def give(self, data: bytes) -> None:
        self._items.put(Batch.of([memoryview(data)], self._count))

    def _count(self) -> None:
        self.released += 1
        self._releases.put(self.released)

    def until_released(self, batches: int) -> None:
        """Wait until the mover has let go of so many."""
        while self._releases.get(timeout=PATIENCE_S) < batches:
            pass

    def end(self) -> None:
        self._items.put(None)

    def break_off(self) -> None:
        self._items.put(ConnectionBroken)

    def get(self) -> Batch | None:
        item = self._items.get(timeout=PATIENCE_S)
        if item is ConnectionBroken:
            raise ConnectionBroken
        assert item is None or isinstance(item, Batch)
        return item


@final
class Rig:
    """Runs a mover and hears what it tells."""

    def __init__(self) -> None:
        self._told: queue.Queue[tuple[object, ...]] = queue.Queue()
        self.texts: list[str] = []
        """What the operator has been told apart from a halt's own text."""
        self.advice: str | None = None
        """The whole text of a halt: what happened, the identifier, what to do."""
        self._thread: threading.Thread | None = None
        self._lengths: queue.Queue[int] = queue.Queue()
        self.sink = MemorySink(watch=self._lengths.put)
        self.tape = MemoryTape()
        self.mover = self.over(MemoryTapeDrive(self.tape))

    def over(self, drive: Any, record_size: int = RECORD, run_bytes: int = 8 * RECORD) -> TapeMover:
        self.mover = TapeMover(MemoryOpenTape(drive), record_size, run_bytes, self)
        return self.mover

    def resume(self, drive: Any) -> None:
        self.mover.resume(MemoryOpenTape(drive))

    def start(self, run: Callable[[], None]) -> None:
        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def paused(self, reason: MoverPause, seek_position: int) -> None:
        self._told.put((reason, seek_position))

    def explained(self, text: str) -> None:
        self.texts.append(text.partition(" [")[0])

    def halted(self, reason: MoverHalt, explanation: str | None) -> None:
        self.advice = explanation
        self._told.put((reason, explanation and explanation.partition(" [")[0]))

    @property
    def is_silent(self) -> bool:
        """Whether everything that the mover told has been heard."""
        return self._told.empty()

    def hears(self) -> tuple[object, ...]:
        """The next thing that the mover tells."""
        return self._told.get(timeout=PATIENCE_S)

    def ends(self) -> tuple[object, ...]:
        """What the mover tells last; nothing comes after it."""
        told = self.hears()
        self.join()
        assert self._told.empty()
        return told

    def send_until(self, length: int) -> None:
        """Wait until so many bytes have gone into the sink."""
        while self._lengths.get(timeout=PATIENCE_S) < length:
            pass

    def join(self) -> None:
        if self._thread is not None:
            self._thread.join(PATIENCE_S)
            assert not self._thread.is_alive(), "the mover's thread does not end"


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.mover.abort()
    made.join()


@pytest.fixture
def source() -> Iterator[QueueSource]:
    made = QueueSource()
    yield made
    made.break_off()
