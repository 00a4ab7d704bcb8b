"""Data connections inside the process: the kind LOCAL.

A ring carries batches one way between two threads: a bounded queue, and a
bounded stock of buffers that go round. Everything it knows changes under
one lock, and whoever waits is woken by every change, so that breaking the
ring from any thread reaches both ends. The one rule: a batch that was put
is released exactly once, by the reader that got it or by the ring that
could not deliver it, and never with the lock held.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, final

from tapekit.segments import BUFFER_BYTES, Batch, ConnectionBroken
from tapekit_transport_tcp.errors import CATALOGUE

if TYPE_CHECKING:
    from tapekit.hookspecs.transport import (
        Credentials,
        DataConnection,
        DataListener,
        Endpoint,
    )
    from tapekit.segments import DataSink, DataSource

__all__ = ["LocalConnection", "LocalTransport", "Ring"]


@final
class Ring:
    """One direction of a connection: a sink to one thread, a source to another.

    ``size`` bounds both the batches that wait and the buffers. Only when the
    writer waits for a buffer while the reader waits for data does the ring
    lend one buffer more: the reader then holds the others because it needs
    more of the stream, and both would wait for ever.
    """

    def __init__(self, size: int) -> None:
        self._size: Final = size
        self._changed: Final = threading.Condition(threading.Lock())
        self._free: Final[list[memoryview]] = []
        self._lent: Final[dict[int, memoryview]] = {}
        self._queue: Final[deque[Batch]] = deque()
        self._unreleased = 0
        self._reader_waits = False
        self._is_finished = False
        self._is_read = False
        self._is_broken = False

    def acquire(self) -> memoryview:
        """See :meth:`DataSink.acquire`."""
        with self._changed:
            while not self._free and not self._may_grow():
                self._check()
                self._changed.wait()
            self._check()
            buffer = self._free.pop() if self._free else memoryview(bytearray(BUFFER_BYTES))
            self._lent[id(buffer.obj)] = buffer
            return buffer

    def recycle(self, buffer: memoryview) -> None:
        """See :meth:`DataSink.recycle`; also takes a part of the buffer.

        :raises ValueError: the buffer is not out: it came back twice, and
            a third use would overwrite data that is still needed.
        """
        with self._changed:
            whole = self._lent.pop(id(buffer.obj), None)
            if whole is None:
                raise ValueError("this buffer was not lent by this ring, or came back twice")
            if not self._is_broken and len(self._free) + len(self._lent) < self._size:
                self._free.append(whole)
                self._changed.notify_all()

    def put(self, batch: Batch) -> None:
        """See :meth:`DataSink.put`.

        :raises ValueError: the stream has been finished.
        """
        with self._changed:
            while len(self._queue) >= self._size and not self._is_over:
                self._changed.wait()
            if not self._is_over:
                self._queue.append(
                    Batch(batch.pieces, batch.length, lambda: self._take_back(batch))
                )
                self._unreleased += 1
                self._changed.notify_all()
                return
        batch.release()
        self._check()
        raise ValueError("a batch was put after the stream had been finished")

    def drain(self) -> None:
        """See :meth:`DataSink.drain`: waits for the reader's last release."""
        with self._changed:
            self._check()
            while self._unreleased:
                self._changed.wait()
                self._check()

    def finish(self) -> None:
        """See :meth:`DataSink.finish`; returns at once.

        :raises ConnectionBroken: the reader will never see the end.
        """
        with self._changed:
            self._check()
            self._is_finished = True
            self._changed.notify_all()

    def get(self) -> Batch | None:
        """See :meth:`DataSource.get`."""
        with self._changed:
            while not self._queue:
                self._check()
                if self._is_finished:
                    self._is_read = True
                    return None
                self._wait_as_reader()
            self._changed.notify_all()
            return self._queue.popleft()

    def abort(self) -> None:
        """Break the ring and wake both ends; nothing if all of it was used."""
        with self._changed:
            if self._is_read and not self._unreleased:
                return
            self._is_broken = True
            undelivered = tuple(self._queue)
            self._queue.clear()
            self._free.clear()
            self._changed.notify_all()
        with ExitStack() as releases:
            for batch in reversed(undelivered):
                releases.callback(batch.release)

    def close_writer(self) -> None:
        """The writer leaves: what it finished is still read, all else breaks."""
        with self._changed:
            is_finished = self._is_finished
        if not is_finished:
            self.abort()

    @property
    def is_broken(self) -> bool:
        """Whether either end has broken the ring."""
        return self._is_broken

    @property
    def _is_over(self) -> bool:
        return self._is_broken or self._is_finished

    def _check(self) -> None:
        if self._is_broken:
            raise ConnectionBroken

    def _may_grow(self) -> bool:
        return len(self._lent) < self._size or (self._reader_waits and not self._queue)

    def _wait_as_reader(self) -> None:
        # A writer that waits for a buffer has to learn of it, once.
        self._reader_waits = True
        self._changed.notify_all()
        try:
            self._changed.wait()
        finally:
            self._reader_waits = False

    def _take_back(self, batch: Batch) -> None:
        try:
            batch.release()
        finally:
            with self._changed:
                self._unreleased -= 1
                self._changed.notify_all()


@final
class LocalConnection:
    """One of two joined ends inside the process."""

    def __init__(self, outgoing: Ring, incoming: Ring) -> None:
        self._outgoing: Final = outgoing
        self._incoming: Final = incoming

    @property
    def peer(self) -> Endpoint | None:
        """Nobody outside the process."""
        return None

    def sink(self) -> DataSink:
        """The writing end."""
        return self._outgoing

    def source(self) -> DataSource:
        """The reading end."""
        return self._incoming

    def has_peer_left(self) -> bool:
        """See :meth:`DataConnection.has_peer_left`."""
        return self._outgoing.is_broken

    def abort(self) -> None:
        """See :meth:`DataConnection.abort`; breaks both directions."""
        self._outgoing.abort()
        self._incoming.abort()

    def close(self) -> None:
        """See :meth:`DataConnection.close`; what was finished is still read."""
        self._outgoing.close_writer()
        self._incoming.abort()


@final
class LocalTransport:
    """Makes connections inside the process, with rings of ``ring_buffers``."""

    def __init__(self, ring_buffers: int) -> None:
        self._ring_buffers: Final = ring_buffers

    @property
    def kind(self) -> str:
        """The stem of NDMP's address type."""
        return "LOCAL"

    def pair(self) -> tuple[LocalConnection, LocalConnection]:
        """Two joined ends."""
        there, back = Ring(self._ring_buffers), Ring(self._ring_buffers)
        return LocalConnection(there, back), LocalConnection(back, there)

    async def listen(self, host: str) -> DataListener:  # noqa: ARG002 - as specified
        """Nothing to listen on.

        :raises TapekitError: always.
        """
        raise CATALOGUE.error("local-only")

    async def connect(
        self,
        endpoint: Endpoint,  # noqa: ARG002 - as specified
        credentials: Credentials = (),  # noqa: ARG002 - as specified
    ) -> DataConnection:
        """Nothing to connect to.

        :raises TapekitError: always.
        """
        raise CATALOGUE.error("local-only")
