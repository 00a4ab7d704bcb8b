"""What a session lends to its DATA, MOVER and TAPE servers.

The servers know nothing of sockets or of each other's tasks; through the
link they post to the client, log to the operator and run their jobs. A
message from a worker thread waits for room on the connection, one from a
state machine never does.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final, TypeVar, final

import trio

from tapekit.hookspecs.data_engine import LogLevel
from tapekit_ndmp_v4 import addresses
from tapekit_ndmp_v4.messages import LogMessagePost
from tapekit_ndmp_v4.wire import TEXT_BYTES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from tapekit.errors import TapekitError
    from tapekit_ndmp_v4.connection import NdmpConnection
    from tapekit_ndmp_v4.exchanges import Exchange
    from tapekit_ndmp_v4.messages import Message
    from tapekit_ndmp_v4.outbox import Outbox

__all__ = ["SessionLink"]

T = TypeVar("T")

_CUT: Final = " ..."


@final
class SessionLink:
    """The way from a session's servers to its client."""

    def __init__(
        self,
        *,
        name: str,
        local_host: str,
        other_hosts: Sequence[str] = (),
        wire: NdmpConnection,
        outbox: Outbox,
        nursery: trio.Nursery,
        threads: trio.CapacityLimiter,
        range_multiple: int,
        least_record_bytes: int,
        announce: Callable[[str, Mapping[str, str]], None],
        task_has_ended: Callable[[], None],
    ) -> None:
        """:param other_hosts: further addresses of the interface on which the
        control connection came in.
        :param range_multiple: what the ranges that are asked of a mover
        elsewhere are multiples of, in bytes.
        :param least_record_bytes: the smallest record in which dumps may be written.
        :param announce: tells all plugins of an event, by name and facts.
        :param task_has_ended: called after each of the session's tasks.
        """
        self.name: Final = name
        self.local_host: Final = local_host
        self._hosts: Final = (local_host, *other_hosts)
        self.range_multiple: Final = range_multiple
        self.least_record_bytes: Final = least_record_bytes
        self._announce: Final = announce
        self._task_has_ended: Final = task_has_ended
        self._wire: Final = wire
        self._outbox: Final = outbox
        self._nursery: Final = nursery
        self._threads: Final = threads
        self._log_id = 0
        self.history_entries = 0
        """Entries of file history that jobs have posted."""

    def host_for(self, kind: str) -> str:
        """Our address for data connections of a kind: that of the control
        connection, or the first one of its interface that has the family.
        """
        fitting = (host for host in self._hosts if addresses.family_of(host).name == kind)
        return next(fitting, self.local_host)

    def start(self, task: Callable[[], Awaitable[object]], name: str) -> None:
        """Run a task until it ends or the session does."""

        async def run() -> None:
            try:
                await task()
            finally:
                self._task_has_ended()

        self._nursery.start_soon(run, name=f"{self.name} {name}")

    def announce(self, what: str, **facts: str) -> None:
        """Tell all plugins of something that this session did."""
        self._announce(what, {"holder": self.name, **facts})

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run blocking work in a worker thread; it is never abandoned."""
        return await trio.to_thread.run_sync(work, limiter=self._threads)

    def post(self, message: Message) -> None:
        """Queue a notification now; for the session's own tasks."""
        self._outbox.settle()
        self._outbox.put(self._wire.send_post(message))

    async def room_for_posts(self) -> None:
        """Wait until there is room for posts that come from elsewhere."""
        await self._outbox.room_for_posts()

    def post_history_from_thread(self, kind: type[Message], body: bytes, entries: int) -> None:
        """Queue an encoded post of file history from the thread of the job,
        which waits only if there is no room.
        """
        encode = functools.partial(self._wire.send_encoded_post, kind, body)
        if not self._outbox.hand_over(encode, len(body)):
            trio.from_thread.run(self._outbox.put_when_room, encode)
        self.history_entries += entries

    def post_from_thread(self, message: Message) -> None:
        """Queue a post from a worker thread, waiting for room."""
        encode = functools.partial(self._wire.send_post, message)
        trio.from_thread.run(self._outbox.put_when_room, encode)

    def await_sent_from_thread(self) -> None:
        """Wait in a worker thread until the transport has all that was posted."""
        trio.from_thread.run(self._outbox.all_sent)

    @property
    def client_wait_s(self) -> float:
        """How long jobs have waited for the client to take what they post."""
        return self._outbox.waited_s

    @property
    def queued_bytes(self) -> int:
        """Bytes that the client has not taken yet."""
        return self._outbox.waiting_bytes

    def add_exchanges(self, rows: Sequence[Exchange]) -> None:
        """Take messages of chosen extensions into what the session speaks."""
        self._wire.exchanges = self._wire.exchanges.extended(rows)

    def log(self, level: LogLevel, text: str) -> None:
        """Send the operator a message; for the session's own tasks."""
        self.post(self.log_message(level, text))

    def log_error(self, error: TapekitError) -> None:
        """Send what an error says and what to do about it."""
        self.log(LogLevel.ERROR, error.advice)

    def log_message(self, level: LogLevel, text: str) -> LogMessagePost:
        """The post of a message, numbered within the session."""
        self._log_id += 1
        return LogMessagePost(
            log_type=level.value,
            message_id=self._log_id,
            entry=_fitting(text),
            has_associated_message=0,
            associated_message_sequence=0,
        )


def _fitting(text: str) -> str:
    """A text without the end that no message has room for, since names that
    others chose may be long.
    """
    encoded = text.encode("utf-8", "surrogateescape")
    if len(encoded) <= TEXT_BYTES:
        return text
    return encoded[: TEXT_BYTES - len(_CUT)].decode("utf-8", "surrogateescape") + _CUT
