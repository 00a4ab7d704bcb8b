"""The DATA server of a session: states, reasons and the running job.

An engine's job works in one thread from DATA_START_* to the halt. The one
rule: whatever ends a job, its file history and messages are queued first,
then the data connection is closed, then the state changes and is told.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Final, TypeVar, final

import trio

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import JobProgress
from tapekit.machine import Machine
from tapekit.segments import ConnectionBroken
from tapekit_ndmp_v4 import addresses
from tapekit_ndmp_v4.accepting import accept_peer
from tapekit_ndmp_v4.data_state import TRANSITIONS, DataEvent
from tapekit_ndmp_v4.errors import CATALOGUE
from tapekit_ndmp_v4.job_services import SessionServices, wanted_history, wants_unicode
from tapekit_ndmp_v4.messages import LocalAddr, NotifyDataHaltedPost, NotifyDataReadPost
from tapekit_ndmp_v4.numbers import DataHaltReason, DataOperation, DataState
from tapekit_ndmp_v4.ranges import AskedRanges

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.hookspecs.data_engine import (
        BackupJob,
        DataEngine,
        Job,
        Pairs,
        PathPermit,
        RecoverJob,
        Selection,
    )
    from tapekit.hookspecs.mover import Mover
    from tapekit.hookspecs.transport import (
        Credentials,
        DataConnection,
        DataListener,
        DataTransport,
        Endpoint,
    )
    from tapekit.segments import DataSource
    from tapekit_ndmp_v4.link import SessionLink
    from tapekit_ndmp_v4.messages import Addr

__all__ = ["DataServer"]

T = TypeVar("T")

_LOG: Final = logging.getLogger("tapekit.ndmp_v4")

_NO_PROGRESS: Final = JobProgress(0, None, None)

_HEARING_OUT_S: Final = 1.0
"""How long a restore listens to a peer that has said all it wanted to hear."""


@final
class DataServer:
    """What the DMA sees of a data engine at work."""

    def __init__(self, link: SessionLink) -> None:
        self._link: Final = link
        self.machine: Final = Machine("data", TRANSITIONS, DataState.IDLE)
        self._settled = trio.Event()
        self._settled.set()
        self._listening: trio.CancelScope | None = None
        self.at_work: str | None = None
        """The butype of the job in progress, from its first check until its
        thread has ended."""
        self._forget()

    def _forget(self) -> None:
        self.operation = DataOperation.NOACTION
        self.halt_reason = DataHaltReason.NA
        self.address: Addr = LocalAddr()
        self.awaits_local = False
        self.last_read = (0, 0)
        self.butype = ""
        self.path = ""
        """What the operation reads or writes, as the client named it."""
        self._mover: Mover | None = None
        """What has the other end of a local connection."""
        self._record_bytes = 1
        self._connection: DataConnection | None = None
        self._has_accepted = False
        self._met_end = False
        """Whether a restore failed at the end of a remote tape's stream."""
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

    async def listen_at(self, transport: DataTransport) -> None:
        """Wait for a peer on a port of this host.

        :raises TapekitError: no port can be had; the state stays.
        """
        listener = await transport.listen(self._link.host_for(transport.kind))
        self.machine.fire(DataEvent.LISTEN)
        self.address = addresses.of_endpoints(listener.endpoints, listener.credentials)
        scope = self._listening = trio.CancelScope()
        self._link.start(lambda: self._accept(listener, scope), "data accept")

    async def _accept(self, listener: DataListener, scope: trio.CancelScope) -> None:
        try:
            connection = await accept_peer(listener, scope)
        except OSError as error:
            _LOG.warning("%s: data server cannot accept: %s", self._link.name, error)
            self._halt(DataHaltReason.CONNECT_ERROR)
            return
        if connection is not None:
            self.machine.fire(DataEvent.ACCEPTED)
            self._connected(connection)
            self._has_accepted = True

    async def connect_to(
        self, transport: DataTransport, endpoint: Endpoint, credentials: Credentials
    ) -> None:
        """Connect to a peer that listens.

        :raises TapekitError: nobody answers; the state stays.
        """
        connection = await transport.connect(endpoint, credentials)
        self.machine.fire(DataEvent.CONNECT)
        self._connected(connection)

    def connect_local(self) -> None:
        """Join the session's own mover, which listens."""
        self.machine.fire(DataEvent.CONNECT)

    def join(self, connection: DataConnection, mover: Mover, record_bytes: int) -> None:
        """Take one end of the local connection.

        :param mover: has the other one; it is asked for ranges, since no DMA will.
        :param record_bytes: the mover's record size.
        """
        self.awaits_local = False
        self._mover, self._record_bytes = mover, record_bytes
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

    async def start_backup(
        self, engine: DataEngine, environment: Pairs, permit: PathPermit
    ) -> Callable[[], None]:
        """Check a backup and become active.

        :param permit: says which paths it may read.
        :returns: what begins to move data, to be called after the reply.
        :raises PathNotPermitted: it would use a path that it may not.
        :raises TapekitError: it cannot run; the state stays.
        """
        name = self._link.name
        job = await self._prepared(engine, lambda: engine.prepare_backup(environment, name, permit))
        self._activate(DataOperation.BACKUP, job)
        self._describe(engine, environment)
        self._backup = job
        services = SessionServices(
            self._link,
            wanted_history(environment, engine.abilities),
            break_off=self._break_off,
            with_unicode=wants_unicode(environment),
        )
        return lambda: self._begin(lambda: self._run_backup(job, services))

    async def start_recover(
        self,
        engine: DataEngine,
        environment: Pairs,
        selections: Sequence[Selection],
        permit: PathPermit,
    ) -> Callable[[], None]:
        """Check a restore and become active; see :meth:`start_backup`."""
        name = self._link.name
        job = await self._prepared(
            engine, lambda: engine.prepare_recover(environment, selections, name, permit)
        )
        self._activate(DataOperation.RECOVER, job)
        self._describe(engine, environment)
        services = SessionServices(self._link, break_off=self._break_off)
        return lambda: self._begin(lambda: self._run_recover(job, services))

    async def _prepared(self, engine: DataEngine, prepare: Callable[[], T]) -> T:
        self.at_work = engine.name
        try:
            return await self._link.in_thread(prepare)
        except BaseException:
            self.at_work = None
            raise

    def _activate(self, operation: DataOperation, job: Job) -> None:
        self._job = job
        self.machine.fire(DataEvent.START)
        self.operation = operation

    def _describe(self, engine: DataEngine, environment: Pairs) -> None:
        self.butype = engine.name
        self.path = dict(environment).get("FILESYSTEM", "")

    def _begin(self, work: Callable[[], None]) -> None:
        settled = self._settled = trio.Event()

        async def run() -> None:
            try:
                await self._work(work)
            finally:
                self.at_work = None
                settled.set()

        self._link.start(run, "data job")

    async def _work(self, work: Callable[[], None]) -> None:
        try:
            await self._link.in_thread(work)
        except ConnectionBroken as broken:
            self._explain(broken)
            self._end(DataHaltReason.CONNECT_ERROR, CATALOGUE.error("network-communication-error"))
        except TapekitError as error:
            if self._met_end and self.machine.allows(DataEvent.HALT):
                self._link.log_error(CATALOGUE.error("read-socket-received-eof"))
            self._end(DataHaltReason.INTERNAL_ERROR, error)
        except Exception:  # noqa: BLE001  # a defect ends one job, not the server
            _LOG.exception("%s: the data engine failed", self._link.name)
            self._end(DataHaltReason.INTERNAL_ERROR, CATALOGUE.error("internal-error"))
        else:
            await self._hear_out()
            self._end(DataHaltReason.SUCCESSFUL, None)

    def _explain(self, broken: ConnectionBroken) -> None:
        """Tell what the system says of a connection that the other side broke."""
        cause = broken.__cause__
        if not isinstance(cause, OSError) or not self.machine.allows(DataEvent.HALT):
            return
        reason = cause.strerror or str(cause)
        if self.operation is DataOperation.BACKUP:
            error = CATALOGUE.error("message-from-write-dirnet", error_string=reason)
        else:
            error = CATALOGUE.error("message-from-read-socket", error_string=reason)
        self._link.log_error(error)

    async def _hear_out(self) -> None:
        """Take in the end of a stream that another data server sends us.

        A restore has all it needs before the padding of the last block, and
        closing then would look like a failure to the sender. A mover, to
        which one connects as a rule, sends no such end by itself.
        """
        connection = self._connection
        if self.operation is not DataOperation.RECOVER or not self._has_accepted:
            return
        assert connection is not None
        async with trio.open_nursery() as nursery:

            async def limit() -> None:
                await trio.sleep(_HEARING_OUT_S)
                connection.close()

            nursery.start_soon(limit)
            await self._link.in_thread(lambda: _pass_over(connection.source()))
            nursery.cancel_scope.cancel()

    def _run_backup(self, job: BackupJob, services: SessionServices) -> None:
        assert self._connection is not None
        job.run(self._connection.sink(), services)

    def _run_recover(self, job: RecoverJob, services: SessionServices) -> None:
        with contextlib.closing(self._ranges()) as ranges:
            try:
                job.run(ranges, services)
            except TapekitError:
                self._met_end = ranges.has_ended and not self.is_local
                raise

    def _ranges(self) -> AskedRanges:
        assert self._connection is not None
        source = self._connection.source()
        if self.is_local:
            assert self._mover is not None
            return AskedRanges(source, self._mover.read, self._record_bytes)
        return AskedRanges(source, self._post_read, self._link.range_multiple)

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
        self._free_mover()

    def _free_mover(self) -> None:
        """Have a mover that is paused keep no file of ours open."""
        if self._mover is not None and self.operation is DataOperation.BACKUP:
            self._mover.let_go()

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
        if reason is not DataHaltReason.SUCCESSFUL:
            self._free_mover()
        self._halt(reason)

    def _halt(self, reason: DataHaltReason) -> None:
        if not self.machine.allows(DataEvent.HALT):
            return
        self.machine.fire(DataEvent.HALT)
        self.halt_reason = reason
        self._link.post(NotifyDataHaltedPost(reason=reason))


def _pass_over(source: DataSource) -> None:
    """Read to the end, or until the connection is closed."""
    try:
        while (batch := source.get()) is not None:
            batch.release()
    except ConnectionBroken:
        _LOG.debug("the end of the stream was cut off")
