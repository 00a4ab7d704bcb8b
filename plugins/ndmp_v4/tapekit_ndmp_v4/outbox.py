"""What leaves on a control connection, in order.

Replies and notifications are queued at once, since a state machine must
never wait for a slow client; file history and job messages wait for room,
which is the back pressure that an engine feels. A client that takes no
replies is not asked for more requests. A record gets its sequence
number when it is queued, so the order of queueing is the order on the wire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.transport import ControlStream

__all__ = ["Outbox"]


@final
class Outbox:
    """Records on their way out; for one trio task tree."""

    def __init__(self, limit_bytes: int) -> None:
        """:param limit_bytes: how much may wait before posts with
        back pressure do.
        """
        self._waited_s = 0.0
        self._waiting_since: float | None = None
        self._limit: Final = limit_bytes
        self._queue = bytearray()
        self._filled = trio.Event()
        self._drained = trio.Event()
        self._is_open = True

    @property
    def waiting_bytes(self) -> int:
        """Bytes queued and not yet given to the transport."""
        return len(self._queue)

    def put(self, record: bytes) -> None:
        """Queue a record now, whatever is waiting."""
        if self._is_open:
            self._queue += record
            self._filled.set()

    async def put_when_room(self, encode: Callable[[], bytes]) -> None:
        """Wait until little enough is queued, then encode and queue."""
        while self._is_open and len(self._queue) >= self._limit:
            await self._wait_for_room()
        self.put(encode())

    async def room_for_reply(self) -> None:
        """Wait until a request may be answered: replies may fill as much
        again as posts do, so that a session full of posts can be aborted.
        """
        while self._is_open and len(self._queue) >= 2 * self._limit:
            await self._drained.wait()

    async def _wait_for_room(self) -> None:
        drained, since = self._drained, trio.current_time()
        self._waiting_since = since
        try:
            await drained.wait()
        finally:
            self._waiting_since = None
            self._waited_s += trio.current_time() - since

    @property
    def waited_s(self) -> float:
        """How long posts with back pressure have waited so far, in seconds:
        what a slow client has cost the engine.
        """
        since = self._waiting_since
        return self._waited_s + (0.0 if since is None else trio.current_time() - since)

    async def run(self, stream: ControlStream) -> None:
        """Send what is queued until closed and empty.

        :raises trio.BrokenResourceError: the connection broke.
        """
        while self._is_open or self._queue:
            await self._filled.wait()
            self._filled = trio.Event()
            records, self._queue = bytes(self._queue), bytearray()
            if records:
                await stream.send_all(records)
            self._drained.set()
            self._drained = trio.Event()

    def close(self) -> None:
        """Take nothing more; :meth:`run` sends the rest and returns."""
        self._is_open = False
        self._filled.set()
        self._drained.set()
