"""Performs what an administrator asks of the NDMP server.

Each operation of :mod:`tapekit_ndmp_v4.operations` is one method; they look
at sessions, switch the service and end what runs, but move no data. The one
rule: an operation that ends sessions answers when what they held is free.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, final

import msgspec
import trio

from tapekit.hookspecs.authentication import AuthMethod
from tapekit.hookspecs.operations import NoReply
from tapekit_ndmp_v4 import operations as ops
from tapekit_ndmp_v4.errors import CATALOGUE
from tapekit_ndmp_v4.numbers import NDMP_VERSION
from tapekit_ndmp_v4.session_rows import belongs_to, session_row
from tapekit_ndmp_v4.storage_paths import svm_of
from tapekit_ndmp_v4.tracing import TraceQueue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.operations import NoRequest, OfferedOperation, Tell
    from tapekit.hookspecs.tape_driver import DriveRow
    from tapekit_ndmp_v4.hookspecs import Extension, SecureControl
    from tapekit_ndmp_v4.host import HostFacts
    from tapekit_ndmp_v4.server import NdmpServer
    from tapekit_ndmp_v4.service import ServiceSwitch
    from tapekit_ndmp_v4.session import Session
    from tapekit_ndmp_v4.session_logs import SessionLogs

__all__ = ["Administration", "Serving"]

_WAITING_BYTES: Final = 4 << 20
"""What may wait for a slow reader of a trace before messages are dropped."""

_KILL_PATIENCE_S: Final = 10.0
"""How long the end of sessions is waited for; a Snapshot copy that is being
made is finished first."""


class Serving(NamedTuple):
    """What there is to administer while the stack runs."""

    kernel: Kernel
    server: NdmpServer
    service: ServiceSwitch
    logs: SessionLogs
    extensions: Sequence[Extension]
    addresses: tuple[str, ...]
    """Where the standard service listens."""
    secure: SecureControl | None
    memory_bytes: int

    @property
    def host(self) -> HostFacts:
        """What the server says of its machine and itself."""
        return self.server.host


@final
class Administration:
    """Performs the operations; until the server serves it refuses them."""

    def __init__(self) -> None:
        self._serving: Serving | None = None

    def begin(self, serving: Serving) -> None:
        """The server serves from now on."""
        self._serving = serving

    def end(self) -> None:
        """The server serves no more."""
        self._serving = None

    def offered(self) -> tuple[OfferedOperation, ...]:
        """All of them, for the kernel."""
        return (
            ops.SESSIONS.performed_by(self.sessions),
            ops.KILL.performed_by(self.kill),
            ops.TERMINATE.performed_by(self.terminate),
            ops.LOG_START.performed_by(self.log_start),
            ops.LOG_STOP.performed_by(self.log_stop),
            ops.TRACE.performed_by(self.trace),
            ops.SERVICE.performed_by(self.service),
            ops.MODIFY_SERVICE.performed_by(self.modify_service),
            ops.RUN_SERVICE.performed_by(self.run_service),
            ops.SYSCONFIG.performed_by(self.sysconfig),
            ops.SVMS.performed_by(self.svms),
            ops.MODIFY_SVM.performed_by(self.modify_svm),
            ops.EXTENSIONS.performed_by(self.extensions),
            ops.MODIFY_EXTENSION.performed_by(self.modify_extension),
        )

    # Sessions.

    async def sessions(self, request: ops.SessionChoice) -> ops.Sessions:
        """Show sessions."""
        serving = self._now()
        chosen = _chosen(serving, request)
        return ops.Sessions(serving.kernel.node_name, tuple(map(session_row, chosen)))

    async def kill(self, request: ops.SessionChoice) -> ops.Killed:
        """End sessions."""
        serving = self._now()
        return await _ended(
            serving, _chosen(serving, request), "An administrator ended the session"
        )

    async def terminate(self, _request: NoRequest) -> ops.Killed:
        """End all sessions."""
        serving = self._now()
        reason = "An administrator ended all sessions by force"
        return await _ended(serving, serving.server.sessions, reason)

    async def log_start(self, request: ops.LogRequest) -> ops.LogFile:
        """Begin a log."""
        serving = self._now()
        _require(serving, request.session, request.vserver)
        return ops.LogFile(str(await serving.logs.start(request.session)))

    async def log_stop(self, request: ops.LogRequest) -> ops.LogFile:
        """End a log; that of a session that is over has ended with it."""
        return ops.LogFile(str(await self._now().logs.stop(request.session)))

    async def trace(self, request: ops.TraceRequest, tell: Tell[ops.TraceLines]) -> None:
        """Show messages until the session ends or nobody reads any more."""
        serving = self._now()
        _require(serving, request.session, None)
        queue = TraceQueue(
            _WAITING_BYTES, serving.kernel.clock, is_replayable=request.is_replayable
        )
        with serving.server.traces.reading(queue, request.session):
            while lines := await queue.take():
                await tell(ops.TraceLines(tuple(msgspec.Raw(line.rstrip()) for line in lines)))

    # The service.

    async def service(self, _request: NoRequest) -> ops.ServiceStatus:
        """Tell whether NDMP is on."""
        serving = self._now()
        limits = serving.server.limits
        return ops.ServiceStatus(
            node=serving.kernel.node_name,
            is_enabled=serving.service.is_enabled,
            is_running=serving.service.is_running,
            version=NDMP_VERSION,
            sessions_open=len(serving.server.sessions),
            sessions_limit=limits.ndmp,
            dump_sessions_limit=limits.dump,
            smtape_sessions_limit=limits.smtape,
            memory_bytes=serving.memory_bytes,
            takes_clear_text=serving.service.takes_clear_text,
            addresses=(*serving.addresses, *(serving.secure.addresses if serving.secure else ())),
        )

    async def modify_service(self, request: ops.ServiceChange) -> NoReply:
        """Switch the node or plaintext logins on or off, or limit sessions."""
        service = self._now().service
        if request.takes_clear_text is not None:
            await service.take_clear_text(is_on=request.takes_clear_text)
        if request.is_enabled is not None:
            await service.enable(is_on=request.is_enabled)
        if request.sessions_limit is not None:
            await service.limit_sessions(request.sessions_limit or None)
        return NoReply()

    async def run_service(self, request: ops.ServiceRun) -> NoReply:
        """Start or stop taking new sessions."""
        self._now().service.is_running = request.is_running
        return NoReply()

    async def sysconfig(self, _request: NoRequest) -> ops.SystemFacts:
        """Show the machine, what it permits, and its tape drives."""
        serving = self._now()
        inventory, limits, host = serving.kernel.tape_inventory, serving.server.limits, serving.host
        drives = () if inventory is None else await trio.to_thread.run_sync(inventory.drives)
        return ops.SystemFacts(
            node=serving.kernel.node_name,
            product=host.product,
            revision=host.revision,
            os_type=host.os_type,
            os_version=host.os_version,
            memory_bytes=serving.memory_bytes,
            sessions_limit=limits.ndmp,
            dump_sessions_limit=limits.dump,
            smtape_sessions_limit=limits.smtape,
            local_tape_jobs_limit=serving.server.local_tape_jobs,
            drives=tuple(map(_drive, drives)),
        )

    async def svms(self, _request: NoRequest) -> ops.Svms:
        """Show the storage virtual machines."""
        serving = self._now()
        return ops.Svms(
            tuple(
                ops.SvmRow(
                    vserver=svm,
                    is_enabled=serving.service.serves(svm),
                    version=NDMP_VERSION,
                    auth_methods=_words(serving, svm),
                    is_secure=None if serving.secure is None else serving.secure.is_on(svm),
                )
                for svm in await _svms(serving.kernel)
            )
        )

    async def modify_svm(self, request: ops.SvmChange) -> NoReply:
        """Change what was said of a storage virtual machine."""
        serving = self._now()
        known = await _svms(serving.kernel)
        if request.vserver not in known:
            raise CATALOGUE.error(
                "no-such-svm", svm=request.vserver, known=", ".join(known) or "none"
            )
        if request.is_secure is not None:
            if serving.secure is None:
                raise CATALOGUE.error("no-secure-connections")
            await serving.secure.switch(request.vserver, is_on=request.is_secure)
        if request.auth_methods is not None:
            methods = tuple(map(AuthMethod, request.auth_methods))
            await serving.service.limit_methods(request.vserver, methods)
        if request.is_enabled is not None:
            await serving.service.enable_svm(request.vserver, is_on=request.is_enabled)
        return NoReply()

    async def extensions(self, _request: NoRequest) -> ops.Extensions:
        """Show the extensions."""
        serving = self._now()
        return ops.Extensions(
            tuple(
                ops.ExtensionRow(
                    class_id=each.class_id,
                    name=each.name,
                    versions=each.versions,
                    is_enabled=serving.service.offers(each.class_id),
                )
                for each in serving.extensions
            )
        )

    async def modify_extension(self, request: ops.ExtensionChange) -> NoReply:
        """Offer an extension or not."""
        serving = self._now()
        known = [each.class_id for each in serving.extensions]
        if request.class_id not in known:
            listed = ", ".join(map(hex, known)) or "none"
            raise CATALOGUE.error("no-such-extension", class_id=request.class_id, known=listed)
        await serving.service.enable_extension(request.class_id, is_on=request.is_enabled)
        return NoReply()

    def _now(self) -> Serving:
        if self._serving is None:
            raise CATALOGUE.error("not-serving")
        return self._serving


def _chosen(serving: Serving, request: ops.SessionChoice) -> list[Session]:
    """The sessions that are meant.

    :raises TapekitError: the one that is named is not open, or not of the
        storage virtual machine.
    """
    return [
        session
        for session in _require(serving, request.session, request.vserver)
        if request.vserver is None or belongs_to(session, request.vserver)
    ]


def _require(serving: Serving, number: int | None, svm: str | None) -> Sequence[Session]:
    """One session, or all."""
    sessions = serving.server.sessions
    if number is None:
        return sessions
    for session in sessions:
        if session.number == number and (svm is None or belongs_to(session, svm)):
            return [session]
    raise CATALOGUE.error("session-not-active", session_id=number)


async def _ended(serving: Serving, sessions: Sequence[Session], reason: str) -> ops.Killed:
    numbers = [session.number for session in sessions]
    with trio.move_on_after(_KILL_PATIENCE_S):
        await serving.server.end(numbers, reason)
    left = sorted({session.number for session in serving.server.sessions}.intersection(numbers))
    if left:
        raise CATALOGUE.error(
            "session-ends-slowly",
            sessions=", ".join(map(str, left)),
            patience_s=_KILL_PATIENCE_S,
        )
    return ops.Killed(tuple(numbers))


def _drive(row: DriveRow) -> ops.SystemDrive:
    found = row.description
    return ops.SystemDrive(
        physical_path=found.physical_path,
        vendor=found.vendor,
        product=found.product,
        devices=tuple(
            ops.SystemDevice(
                name=device.name,
                rewinds=device.rewinds,
                unloads=device.unloads,
                format=found.formats.get(device.compression, ""),
            )
            for device in row.devices
        ),
    )


def _words(serving: Serving, svm: str) -> tuple[str, ...]:
    """How those who use a storage virtual machine may have logged in, as far
    as the stack offers it.
    """
    authenticator = serving.kernel.authenticator
    offered = frozenset({AuthMethod.NONE}) if authenticator is None else authenticator.methods
    if not serving.service.takes_clear_text:
        offered -= {AuthMethod.PLAINTEXT}
    return tuple(sorted(one.value for one in offered & serving.service.methods(svm)))


async def _svms(kernel: Kernel) -> list[str]:
    """The storage virtual machines that have volumes or interfaces."""
    storage, placement = kernel.storage, kernel.placement
    rows = [] if storage is None else await trio.to_thread.run_sync(storage.filesystems)
    owners = () if placement is None else placement.svms
    return sorted({*(svm_of(row.path) for row in rows), *owners})
