"""What leaves on a control connection, in order.

Replies and notifications are queued at once, since a state machine must
never wait for a slow client; file history and job messages wait for room,
which is the back pressure that an engine feels. While there is room an
engine's thread hands file history over without a word with this one. A client
that takes no replies is not asked for more requests. A record gets its
sequence number when it is queued, so the order of queueing is the order on
the wire.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple, final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.transport import ControlStream

__all__ = ["Outbox"]


class _HandedOver(NamedTuple):
    """A record that a thread has left to be queued."""

    encode: Callable[[], bytes]
    size: int


@final
class Outbox:
    """Records on their way out; for one trio task tree, but for
    :meth:`hand_over`.
    """

    def __init__(self, limit_bytes: int) -> None:
        """:param limit_bytes: how much may wait before posts with
        back pressure do.
        """
        self._waited_s = 0.0
        self._waiting_since: float | None = None
        self._queued_bytes = 0
        """All that has ever been queued."""
        self._limit: Final = limit_bytes
        self._queue = bytearray()
        self._token: Final = trio.lowlevel.current_trio_token()
        self._handed: Final[deque[_HandedOver]] = deque()
        self._handed_bytes = 0
        """All that has been handed over; only the thread changes it."""
        self._taken_bytes = 0
        """What of it has been queued; only trio's thread changes it."""
        self._sent_bytes = 0
        """All that the transport has taken."""
        self._filled = trio.Event()
        self._drained = trio.Event()
        self._is_open = True

    @property
    def waiting_bytes(self) -> int:
        """Bytes queued and not yet given to the transport."""
        return len(self._queue) + self._handed_bytes - self._taken_bytes

    def hand_over(self, encode: Callable[[], bytes], size: int) -> bool:
        """Leave a record to be queued as soon as trio comes to it, if there
        is room; for one worker thread at a time, which goes on at once.

        :param size: how long the record will be, more or less, in bytes.
        :returns: whether there was room; if not, nothing has happened.
        """
        if self.waiting_bytes >= self._limit:
            return False
        self._handed_bytes += size
        self._handed.append(_HandedOver(encode, size))
        self._token.run_sync_soon(self._wake, idempotent=True)
        return True

    def _wake(self) -> None:
        self._filled.set()

    def settle(self) -> None:
        """Queue what has been handed over, before a record gets its number
        that has to come after it.
        """
        while self._handed:
            encode, size = self._handed.popleft()
            if self._is_open:
                self._append(encode())
            self._taken_bytes += size

    def put(self, record: bytes) -> None:
        """Queue a record now, whatever is waiting."""
        if self._is_open:
            self._append(record)
            self._filled.set()

    def _append(self, record: bytes) -> None:
        self._queue += record
        self._queued_bytes += len(record)

    async def put_when_room(self, encode: Callable[[], bytes]) -> None:
        """Wait until little enough is queued, then encode and queue."""
        await self.room_for_posts()
        self.put(encode())

    async def room_for_posts(self) -> None:
        """Wait until little enough is queued."""
        self.settle()
        while self._is_open and len(self._queue) >= self._limit:
            await self._wait_for_room()

    async def all_sent(self) -> None:
        """Wait until the transport has taken what is queued now, or takes
        nothing more.
        """
        self.settle()
        self._filled.set()
        queued = self._queued_bytes
        while self._is_open and self._sent_bytes < queued:
            await self._wait_for_room()

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
            self.settle()
            records, self._queue = bytes(self._queue), bytearray()
            if records:
                await stream.send_all(records)
                self._sent_bytes += len(records)
            self._drained.set()
            self._drained = trio.Event()

    def close(self) -> None:
        """Take nothing more; :meth:`run` sends the rest and returns."""
        self.settle()
        self._is_open = False
        self._filled.set()
        self._drained.set()
