"""The DATA server of a session: states, reasons and the running job.

An engine's job works in one thread from DATA_START_* to the halt. The one
rule: whatever ends a job, its file history and messages are queued first,
then the data connection is closed, then the state changes and is told.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, final

import trio

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import JobProgress
from tapekit.machine import Machine
from tapekit.segments import ConnectionBroken
from tapekit_ndmp_v4 import addresses
from tapekit_ndmp_v4.data_state import TRANSITIONS, DataEvent
from tapekit_ndmp_v4.errors import CATALOGUE
from tapekit_ndmp_v4.job_services import SessionServices
from tapekit_ndmp_v4.messages import LocalAddr, NotifyDataHaltedPost, NotifyDataReadPost
from tapekit_ndmp_v4.numbers import AddrType, DataHaltReason, DataOperation, DataState
from tapekit_ndmp_v4.ranges import AskedRanges

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.hookspecs.data_engine import (
        BackupJob,
        DataEngine,
        Job,
        Pairs,
        RangeSource,
        RecoverJob,
        Selection,
    )
    from tapekit.hookspecs.transport import DataConnection, DataListener, Endpoint
    from tapekit_ndmp_v4.link import SessionLink
    from tapekit_ndmp_v4.messages import Addr

__all__ = ["DataServer"]

_LOG: Final = logging.getLogger("tapekit.ndmp_v4")

_NO_PROGRESS: Final = JobProgress(0, None, None)


@final
class DataServer:
    """What the DMA sees of a data engine at work."""

    def __init__(self, link: SessionLink) -> None:
        self._link: Final = link
        self.machine: Final = Machine("data", TRANSITIONS, DataState.IDLE)
        self._settled = trio.Event()
        self._settled.set()
        self._listening: trio.CancelScope | None = None
        self._mover_read: Callable[[int, int], None] | None = None
        self._forget()

    def _forget(self) -> None:
        self.operation = DataOperation.NOACTION
        self.halt_reason = DataHaltReason.NA
        self.address: Addr = LocalAddr()
        self.awaits_local = False
        self.last_read = (0, 0)
        self._connection: DataConnection | None = None
        self._job: Job | None = None
        self._backup: BackupJob | None = None

    @property
    def state(self) -> DataState:
        """Where the data server is (NDMP v4, data states)."""
        return self.machine.state

    @property
    def progress(self) -> JobProgress:
        """How far the job is."""
        return self._job.progress if self._job is not None else _NO_PROGRESS

    @property
    def is_local(self) -> bool:
        """Whether the data connection stays inside the session."""
        return self._connection is not None and self._connection.peer is None

    # Connecting.

    def listen_local(self) -> None:
        """Wait for the session's own mover."""
        self.machine.fire(DataEvent.LISTEN)
        self.awaits_local, self.address = True, LocalAddr()

    async def listen_tcp(self) -> None:
        """Wait for a peer on a port of this host.

        :raises TapekitError: no port can be had; the state stays.
        """
        transport = self._link.transports[AddrType.TCP.name]
        listener = await transport.listen(self._link.local_host)
        self.machine.fire(DataEvent.LISTEN)
        self.address = addresses.of_endpoints(listener.endpoints)
        scope = self._listening = trio.CancelScope()
        self._link.start(lambda: self._accept(listener, scope), "data accept")

    async def _accept(self, listener: DataListener, scope: trio.CancelScope) -> None:
        with scope:
            try:
                connection = await listener.accept()
            except OSError as error:
                _LOG.warning("%s: data server cannot accept: %s", self._link.name, error)
                self._halt(DataHaltReason.CONNECT_ERROR)
            else:
                self.machine.fire(DataEvent.ACCEPTED)
                self._connected(connection)
            finally:
                listener.close()

    async def connect_tcp(self, endpoint: Endpoint) -> None:
        """Connect to a peer that listens.

        :raises TapekitError: nobody answers; the state stays.
        """
        connection = await self._link.transports[AddrType.TCP.name].connect(endpoint)
        self.machine.fire(DataEvent.CONNECT)
        self._connected(connection)

    def connect_local(self) -> None:
        """Join the session's own mover, which listens."""
        self.machine.fire(DataEvent.CONNECT)

    def join(self, connection: DataConnection, read: Callable[[int, int], None]) -> None:
        """Take one end of the local connection.

        :param read: asks the mover for a range, since no DMA will.
        """
        self.awaits_local = False
        self._mover_read = read
        self._connected(connection)

    def mover_has_halted(self) -> None:
        """The joined mover ended before any job began."""
        self.halt_reason = DataHaltReason.CONNECT_ERROR
        self._link.post(NotifyDataHaltedPost(reason=self.halt_reason))

    def _connected(self, connection: DataConnection) -> None:
        self._connection = connection
        if connection.peer is not None:
            self.address = addresses.of_endpoints([connection.peer])

    # Working.

    async def start_backup(self, engine: DataEngine, environment: Pairs) -> Callable[[], None]:
        """Check a backup and become active.

        :returns: what begins to move data, to be called after the reply.
        :raises TapekitError: it cannot run; the state stays.
        """
        name = self._link.name
        job = await self._link.in_thread(lambda: engine.prepare_backup(environment, name))
        wants_history = any(key == "HIST" and _is_yes(value) for key, value in environment)
        self._activate(DataOperation.BACKUP, job)
        self._backup = job
        services = SessionServices(self._link, history=wants_history)
        return lambda: self._begin(lambda: self._run_backup(job, services))

    async def start_recover(
        self, engine: DataEngine, environment: Pairs, selections: Sequence[Selection]
    ) -> Callable[[], None]:
        """Check a restore and become active; see :meth:`start_backup`."""
        name = self._link.name
        job = await self._link.in_thread(
            lambda: engine.prepare_recover(environment, selections, name)
        )
        self._activate(DataOperation.RECOVER, job)
        services = SessionServices(self._link, history=False)
        return lambda: self._begin(lambda: self._run_recover(job, services))

    def _activate(self, operation: DataOperation, job: Job) -> None:
        self._job = job
        self.machine.fire(DataEvent.START)
        self.operation = operation

    def _begin(self, work: Callable[[], None]) -> None:
        settled = self._settled = trio.Event()

        async def run() -> None:
            try:
                await self._work(work)
            finally:
                settled.set()

        self._link.start(run, "data job")

    async def _work(self, work: Callable[[], None]) -> None:
        try:
            await self._link.in_thread(work)
        except ConnectionBroken:
            self._end(DataHaltReason.CONNECT_ERROR, CATALOGUE.error("network-communication-error"))
        except TapekitError as error:
            self._end(DataHaltReason.INTERNAL_ERROR, error)
        except Exception:  # noqa: BLE001  # a defect ends one job, not the server
            _LOG.exception("%s: the data engine failed", self._link.name)
            self._end(DataHaltReason.INTERNAL_ERROR, CATALOGUE.error("internal-error"))
        else:
            self._end(DataHaltReason.SUCCESSFUL, None)

    def _run_backup(self, job: BackupJob, services: SessionServices) -> None:
        assert self._connection is not None
        job.run(self._connection.sink(), services)

    def _run_recover(self, job: RecoverJob, services: SessionServices) -> None:
        job.run(self._ranges(), services)

    def _ranges(self) -> RangeSource:
        assert self._connection is not None
        source = self._connection.source()
        if self.is_local:
            assert self._mover_read is not None
            return AskedRanges(source, self._mover_read)
        return AskedRanges(source, self._post_read)

    def _post_read(self, offset: int, length: int) -> None:
        self.last_read = (offset, length)
        self._link.post_from_thread(NotifyDataReadPost(offset=offset, length=length))

    def environment(self) -> Pairs:
        """The variables of the backup, its own and those it was given."""
        assert self._backup is not None
        return self._backup.environment()

    # Ending.

    def abort(self) -> None:
        """Halt now, whatever is under way."""
        self._stop_listening()
        self._halt(DataHaltReason.ABORTED)
        self._break_off()

    def release(self) -> None:
        """Wake and break everything; the session is over."""
        self._stop_listening()
        self._break_off()

    def _break_off(self) -> None:
        if self._connection is not None:
            self._connection.abort()

    async def stop(self) -> None:
        """Back to the beginning."""
        await self._settled.wait()
        self.machine.fire(DataEvent.STOP)
        await self.clear()

    async def clear(self) -> None:
        """Free the job and the connection, once no thread uses them."""
        await self._settled.wait()
        job, connection = self._job, self._connection
        self._forget()
        if connection is not None:
            connection.close()
        if job is not None:
            await self._link.in_thread(job.close)

    def _stop_listening(self) -> None:
        self.awaits_local = False
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None

    def _end(self, reason: DataHaltReason, error: TapekitError | None) -> None:
        if not self.machine.allows(DataEvent.HALT):
            return
        if error is not None:
            self._link.log_error(error)
        if self._connection is not None:
            self._connection.close()
        self._halt(reason)

    def _halt(self, reason: DataHaltReason) -> None:
        if not self.machine.allows(DataEvent.HALT):
            return
        self.machine.fire(DataEvent.HALT)
        self.halt_reason = reason
        self._link.post(NotifyDataHaltedPost(reason=reason))


def _is_yes(value: str) -> bool:
    """Whether a DMA wants file history; F and D choose a style of it."""
    return value[:1].lower() in {"y", "t", "f", "d", "1"}
