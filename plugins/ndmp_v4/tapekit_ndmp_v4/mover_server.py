"""The mover of a session: states, reasons and replies around a mover.

The mover itself works in a thread and knows records and windows; this is
what the DMA sees of it. The one rule: a state changes before the post that
tells of it is queued, and a thread that is left over from an aborted
transfer can change nothing any more.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, final

import trio

from tapekit.hookspecs.data_engine import LogLevel
from tapekit.hookspecs.mover import MoverHalt, MoverPause, MoverProgress, Window
from tapekit.machine import Machine
from tapekit_ndmp_v4 import addresses
from tapekit_ndmp_v4.accepting import accept_peer
from tapekit_ndmp_v4.messages import LocalAddr, NotifyMoverHaltedPost, NotifyMoverPausedPost
from tapekit_ndmp_v4.mover_state import TRANSITIONS, MoverEvent
from tapekit_ndmp_v4.numbers import (
    MoverHaltReason,
    MoverMode,
    MoverPauseReason,
    MoverState,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tapekit.hookspecs.mover import Mover, MoverFactory
    from tapekit.hookspecs.tape_driver import OpenTape
    from tapekit.hookspecs.transport import (
        Credentials,
        DataConnection,
        DataListener,
        DataTransport,
        Endpoint,
    )
    from tapekit_ndmp_v4.link import SessionLink
    from tapekit_ndmp_v4.messages import Addr
    from tapekit_ndmp_v4.tape_server import TapeServer

__all__ = ["MoverServer"]

_LOG: Final = logging.getLogger("tapekit.ndmp_v4")

_NO_PROGRESS: Final = MoverProgress(0, 0, 0, 0)

_ENGAGED: Final = frozenset({MoverState.LISTEN, MoverState.ACTIVE, MoverState.PAUSED})

_CLOSE_PATIENCE_S: Final = 2.0
"""How long MOVER_CLOSE waits for the data server to take what was sent."""


_PEER_CHECK_S: Final = 1.0
"""How often a mover that may wait between two ranges looks for its peer."""


@final
class MoverServer:
    """What the DMA sees of a mover."""

    def __init__(
        self,
        link: SessionLink,
        factory: MoverFactory,
        tapes: TapeServer,
        has_halted: Callable[[], None],
    ) -> None:
        """:param has_halted: called after each halt, for who is joined to the mover."""
        self._link: Final = link
        self._has_halted: Final = has_halted
        self._factory: Final = factory
        self._tapes: Final = tapes
        self.machine: Final = Machine("mover", TRANSITIONS, MoverState.IDLE)
        self.record_size = factory.default_record_size
        self._settled = trio.Event()
        self._settled.set()
        self._listening: trio.CancelScope | None = None
        self._is_connecting = False
        self._forget()

    def _forget(self) -> None:
        self.mode = MoverMode.NOACTION
        self.pause_reason = MoverPauseReason.NA
        self.halt_reason = MoverHaltReason.NA
        self.window = Window()
        self.address: Addr = LocalAddr()
        self.awaits_local = False
        self._mover: Mover | None = None
        self._connection: DataConnection | None = None

    @property
    def state(self) -> MoverState:
        """Where the mover is (NDMP v4, mover states)."""
        return self.machine.state

    @property
    def is_engaged(self) -> bool:
        """Whether it moves data, is about to, or waits to go on."""
        return self._is_connecting or self.state in _ENGAGED

    @property
    def progress(self) -> MoverProgress:
        """The counters of MOVER_GET_STATE."""
        return self._mover.progress if self._mover is not None else _NO_PROGRESS

    @property
    def largest_record_size(self) -> int:
        """What MOVER_SET_RECORD_SIZE accepts at most, in bytes."""
        return self._factory.largest_record_size

    # Connecting.

    def listen_local(self, mode: MoverMode) -> None:
        """Wait for the session's own data server."""
        self.machine.fire(MoverEvent.LISTEN)
        self.mode, self.awaits_local, self.address = mode, True, LocalAddr()

    async def listen_at(self, transport: DataTransport, mode: MoverMode) -> None:
        """Wait for a data server on a port of this host.

        :raises TapekitError: no port can be had; the state stays.
        """
        with self._connecting():
            listener = await transport.listen(self._link.host_for(transport.kind))
        self.machine.fire(MoverEvent.LISTEN)
        self.mode = mode
        self.address = addresses.of_endpoints(listener.endpoints, listener.credentials)
        scope = self._listening = trio.CancelScope()
        self._link.start(lambda: self._accept(listener, scope), "mover accept")

    async def _accept(self, listener: DataListener, scope: trio.CancelScope) -> None:
        try:
            connection = await accept_peer(listener, scope)
        except OSError as error:
            _LOG.warning("%s: mover cannot accept: %s", self._link.name, error)
            self._halt(MoverHalt.CONNECT_ERROR)
            return
        if connection is not None:
            self.machine.fire(MoverEvent.ACCEPTED)
            self.begin(connection)

    async def connect_to(
        self,
        transport: DataTransport,
        mode: MoverMode,
        endpoint: Endpoint,
        credentials: Credentials,
    ) -> None:
        """Connect to a data server that listens.

        :raises TapekitError: nobody answers; the state stays.
        """
        with self._connecting():
            connection = await transport.connect(endpoint, credentials)
        self.machine.fire(MoverEvent.CONNECT)
        self.mode = mode
        self.begin(connection)

    @contextmanager
    def _connecting(self) -> Iterator[None]:
        """Count as engaged while a transport takes its time."""
        self._is_connecting = True
        try:
            yield
        finally:
            self._is_connecting = False

    def connect_local(self, mode: MoverMode) -> None:
        """Join the session's own data server, which listens."""
        self.machine.fire(MoverEvent.CONNECT)
        self.mode = mode

    # Moving.

    def begin(self, connection: DataConnection) -> Mover:
        """Start to move; the tape is open, as the requests have checked."""
        tape = self._tapes.tape
        assert tape is not None
        self.awaits_local = False
        self._connection = connection
        if connection.peer is not None:
            self.address = addresses.of_endpoints([connection.peer])
        mover = self._factory.create(tape, self.record_size, _Observer(self))
        mover.set_window(self.window)
        self._mover = mover
        self._settled = trio.Event()
        self._link.start(lambda: self._run(mover, connection), "mover")
        if self.mode is MoverMode.WRITE:
            self._link.start(lambda: self._until_peer_leaves(mover, connection), "mover peer")
        return mover

    async def _run(self, mover: Mover, connection: DataConnection) -> None:
        def work() -> None:
            if self.mode is MoverMode.READ:
                mover.run_to_tape(connection.source())
            else:
                mover.run_from_tape(connection.sink())

        settled = self._settled
        try:
            async with self._tapes.in_use:
                pass  # the end of a request that came while the mover listened
            await self._link.in_thread(work)
        except Exception:  # noqa: BLE001  # a defect ends one job, not the server
            _LOG.exception("%s: the mover failed", self._link.name)
            self._halt(MoverHalt.INTERNAL_ERROR)
        finally:
            connection.close()
            settled.set()

    async def _until_peer_leaves(self, mover: Mover, connection: DataConnection) -> None:
        """Close a mover whose data server has gone: between two ranges it
        sends nothing, and so would not notice.
        """
        settled = self._settled
        while not settled.is_set():
            with trio.move_on_after(_PEER_CHECK_S):
                await settled.wait()
            if connection.has_peer_left():
                mover.close()
                return

    def read(self, offset: int, length: int) -> None:
        """Ask for a range of the stream."""
        assert self._mover is not None
        self._mover.read(offset, length)

    def set_window(self, window: Window) -> None:
        """Set the window at the tape's present position."""
        self.window = window
        if self._mover is not None:
            self._mover.set_window(window)

    def resume(self, tape: OpenTape) -> None:
        """Leave a pause."""
        assert self._mover is not None
        self.machine.fire(MoverEvent.CONTINUE)
        self.pause_reason = MoverPauseReason.NA
        self._mover.resume(tape)

    # Ending.

    def abort(self) -> None:
        """Halt now, whatever is under way."""
        self._stop_listening()
        self._halt(MoverHalt.ABORTED)
        if self._mover is not None:
            self._mover.abort()
        if self._connection is not None:
            self._connection.abort()

    async def close(self) -> None:
        """Halt after what has been sent; the data server sees a clean end."""
        self._stop_listening()
        mover, connection = self._mover, self._connection
        if mover is not None and connection is not None:
            mover.close()
            if self.mode is MoverMode.READ:
                connection.abort()
            with trio.move_on_after(_CLOSE_PATIENCE_S) as patience:
                await self._settled.wait()
            if patience.cancelled_caught:
                connection.abort()
                await self._settled.wait()
        self._halt(MoverHalt.CONNECT_CLOSED)

    def release(self) -> None:
        """Wake and break everything; the session is over."""
        self._stop_listening()
        if self._mover is not None:
            self._mover.abort()
        if self._connection is not None:
            self._connection.abort()

    async def settled(self) -> None:
        """Wait until no thread of the mover uses the tape."""
        await self._settled.wait()

    async def stop(self) -> None:
        """Back to the beginning; the record size stays."""
        await self._settled.wait()
        self.machine.fire(MoverEvent.STOP)
        self._forget()

    def _stop_listening(self) -> None:
        self.awaits_local = False
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None

    # What the mover tells.

    def on_paused(self, reason: MoverPause, seek_position: int) -> None:
        """The mover waits for the DMA."""
        if not self.machine.allows(MoverEvent.PAUSE):
            return
        self.machine.fire(MoverEvent.PAUSE)
        self.pause_reason = MoverPauseReason(reason.value)
        self._link.post(
            NotifyMoverPausedPost(reason=self.pause_reason, seek_position=seek_position)
        )

    def on_explained(self, text: str) -> None:
        """The mover has something for the operator."""
        if self.machine.allows(MoverEvent.HALT):
            self._link.log(LogLevel.ERROR, text)

    def on_halted(self, reason: MoverHalt, explanation: str | None) -> None:
        """The mover is done."""
        if explanation is not None:
            self._link.log(LogLevel.ERROR, explanation)
        # The other end must not end well after the DMA has heard of this.
        if self._connection is not None:
            self._connection.close()
        self._halt(reason)

    def _halt(self, reason: MoverHalt) -> None:
        if not self.machine.allows(MoverEvent.HALT):
            return
        self.machine.fire(MoverEvent.HALT)
        self.pause_reason = MoverPauseReason.NA
        self.halt_reason = MoverHaltReason(reason.value)
        self._link.post(NotifyMoverHaltedPost(reason=self.halt_reason))
        self._has_halted()


@final
class _Observer:
    """Carries a mover's news from its thread to the session's task.

    A transfer cannot begin before the thread of the last one has ended
    (MOVER_STOP waits for it), so the news is always of the present one.
    """

    def __init__(self, server: MoverServer) -> None:
        self._server: Final = server

    def paused(self, reason: MoverPause, seek_position: int) -> None:
        trio.from_thread.run_sync(self._server.on_paused, reason, seek_position)

    def explained(self, text: str) -> None:
        trio.from_thread.run_sync(self._server.on_explained, text)

    def halted(self, reason: MoverHalt, explanation: str | None) -> None:
        trio.from_thread.run_sync(self._server.on_halted, reason, explanation)
