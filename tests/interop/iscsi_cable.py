"""A way to an iSCSI portal that can be cut, and remembers what was sent over it."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOP_OUT = 0x00
"""The answer to a question of the target whether anybody is there (RFC 7143)."""

HEADER_BYTES = 48
PATIENCE_S = 60


class Cable:
    """Forwards connections to a port, until it is cut."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._sent: list[bytearray] = []
        """What initiators have sent, a row a connection."""
        self.on_sent: Callable[[int], object] | None = None
        """Is told how much an initiator has sent over a connection, before the
        last of it gets to the target."""
        self._changed = threading.Condition()
        self._is_cut = False
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._to))
                except OSError:
                    # The target is gone; whoever asks for it is told so.
                    near.close()
                else:
                    self._join(near, far)

    def _join(self, near: socket.socket, far: socket.socket) -> None:
        """Forward between two ends, unless the cable was cut meanwhile."""
        with self._changed:
            if self._is_cut:
                near.close()
                far.close()
                return
            self._sockets += [near, far]
            self._sent.append(bytearray())
            for ends in ((near, far, self._sent[-1]), (far, near, None)):
                thread = threading.Thread(target=self._forward, args=ends)
                self._threads.append(thread)
                thread.start()

    def _forward(self, source: socket.socket, sink: socket.socket, kept: bytearray | None) -> None:
        how = socket.SHUT_RDWR
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if kept is not None:
                    self._keep(data, kept)
                sink.sendall(data)
            how = socket.SHUT_WR
        for one in (sink,) if how == socket.SHUT_WR else (sink, source):
            with suppress(OSError):
                one.shutdown(how)

    def _keep(self, data: bytes, kept: bytearray) -> None:
        with self._changed:
            kept += data
            self._changed.notify_all()
        if self.on_sent is not None:
            self.on_sent(len(kept))

    def wait_for(self, is_enough: Callable[[list[int]], bool]) -> bool:
        """Wait until the operation codes that were sent are enough."""
        with self._changed:
            return self._changed.wait_for(
                lambda: is_enough([code for row in self._sent for code in opcodes(row)]),
                PATIENCE_S,
            )

    def cut(self) -> None:
        with self._changed:
            self._is_cut = True
        for one in (self._listener, *self._sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        for one in (self._listener, *self._sockets):
            one.close()
        for thread in self._threads:
            thread.join()


def opcodes(sent: bytes | bytearray) -> Iterator[int]:
    """The operation codes of an initiator's messages, which have no digests."""
    start = 0
    while len(sent) >= start + HEADER_BYTES:
        yield sent[start] & 0x3F
        more = 4 * sent[start + 4]
        data = int.from_bytes(sent[start + 5 : start + 8], "big")
        start += HEADER_BYTES + more + (data + 3 & ~3)


@contextmanager
def cable(to: int) -> Iterator[Cable]:
    """A cable to a port, cut at the end of the block."""
    made = Cable(to)
    try:
        yield made
    finally:
        made.cut()
