"""Sending in a thread of its own, while the writer prepares what comes next.

A ring lies between the two: the writer fills buffers on one processor while
another one is busy in the kernel with what was handed over before, or
encrypts it. The one rule: what stops the thread stops the writer at its next
call, with the thread's own error, and what ends the writer ends the thread.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Final, final

from tapekit.errors import TapekitError
from tapekit.segments import ConnectionBroken
from tapekit_transport_tcp.ring import Ring

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapekit.segments import Batch
    from tapekit_transport_tcp.tcp_ends import TcpSender

__all__ = ["TcpSink"]


@final
class TcpSink:
    """The writing end of a TCP connection: a ring of ``buffers`` and a thread,
    which begins with the first batch and has ended when the stream has.
    """

    def __init__(self, sender: TcpSender, buffers: int) -> None:
        self._sender: Final = sender
        self._ring: Final = Ring(buffers)
        self._thread: threading.Thread | None = None
        self._error: ConnectionBroken | TapekitError | None = None
        self.is_finished = False
        """Whether the whole stream has arrived at the other side."""

    def acquire(self) -> memoryview:
        """See :meth:`DataSink.acquire`."""
        with self._telling():
            return self._ring.acquire()

    def recycle(self, buffer: memoryview) -> None:
        """See :meth:`DataSink.recycle`."""
        self._ring.recycle(buffer)

    def put(self, batch: Batch) -> None:
        """See :meth:`DataSink.put`.

        :raises TapekitError: a file of an earlier batch could not be read.
        """
        with self._telling():
            self._ring.put(batch)
        if self._thread is None:
            self._thread = threading.Thread(target=self._send, name="tcp-sender", daemon=True)
            self._thread.start()

    def drain(self) -> None:
        """See :meth:`DataSink.drain`: everything is with the kernel.

        :raises TapekitError: a file could not be read.
        """
        with self._telling():
            self._ring.drain()

    def finish(self) -> None:
        """See :meth:`DataSink.finish`; returns when everything has arrived.

        :raises ConnectionBroken: the other end broke off before the end.
        :raises TapekitError: a file could not be read.
        """
        if self.is_finished:
            return
        with self._telling():
            self._ring.finish()
            self._join()
            self._sender.finish()
        self.is_finished = True

    def abort(self) -> None:
        """Wake the writer and the thread, whose socket has been ended."""
        self._ring.abort()

    def close(self) -> None:
        """As :meth:`abort`; all batches are released when it returns."""
        self._ring.abort()
        self._join()

    def _send(self) -> None:
        # The writer hears of both at its next call.
        with contextlib.suppress(ConnectionBroken, TapekitError):
            while (batch := self._ring.get()) is not None:
                self._send_one(batch)

    def _send_one(self, batch: Batch) -> None:
        try:
            self._sender.send(batch)
        except BaseException as error:
            # Before the release: who waits for that would take it for success.
            if isinstance(error, ConnectionBroken | TapekitError):
                self._error = error
            self._ring.abort()
            raise
        finally:
            batch.release()

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Let the writer hear what has stopped the thread, and hold nothing by then."""
        try:
            yield
        except ConnectionBroken:
            self._join()
            error = self._error
            if error is None:
                raise
            raise error from error.__cause__

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
