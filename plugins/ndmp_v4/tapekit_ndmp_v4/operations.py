"""What an administrator can ask of the NDMP server, as both ends know it.

Commands send these requests and the running server answers them; see
``tapekit.hookspecs.operations``. The one rule: no struct here has a field
that could hold a secret.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from tapekit.hookspecs.operations import Feed, NoReply, NoRequest, Operation, Privilege

__all__ = [
    "EXTENSIONS",
    "KILL",
    "LOG_START",
    "LOG_STOP",
    "MODIFY_EXTENSION",
    "MODIFY_SERVICE",
    "MODIFY_SVM",
    "RUN_SERVICE",
    "SERVICE",
    "SESSIONS",
    "SVMS",
    "SYSCONFIG",
    "TERMINATE",
    "TRACE",
    "DataRow",
    "ExtensionChange",
    "ExtensionRow",
    "Extensions",
    "Killed",
    "LogFile",
    "LogRequest",
    "MoverRow",
    "ServedMethod",
    "ServiceChange",
    "ServiceRun",
    "ServiceStatus",
    "SessionChoice",
    "SessionRow",
    "Sessions",
    "SvmChange",
    "SvmRow",
    "Svms",
    "SystemDevice",
    "SystemDrive",
    "SystemFacts",
    "TraceLines",
    "TraceRequest",
]


ServedMethod: TypeAlias = Literal["plaintext", "challenge"]
"""How somebody may log in, in the words of ``-authtype``."""


class _Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class SessionChoice(_Request, frozen=True, kw_only=True):
    """Which sessions are meant."""

    session: int | None = None
    """One; without it all."""
    vserver: str | None = None
    """Those of users of this storage virtual machine alone."""


class DataRow(msgspec.Struct, frozen=True, kw_only=True):
    """The data server of a session."""

    state: str
    operation: str
    halt_reason: str
    backup_format: str
    """The butype of the operation; empty before one."""
    path: str
    """What it reads or writes, as the client named it."""
    bytes_processed: int
    bytes_remaining: int | None
    connect_type: str
    connect_address: str
    """Empty for a connection inside the session."""


class MoverRow(msgspec.Struct, frozen=True, kw_only=True):
    """The mover of a session; as it stands that of a server without one."""

    state: str = "IDLE"
    mode: str = "NOACTION"
    pause_reason: str = "NA"
    halt_reason: str = "NA"
    record_size: int = 0
    record_number: int = 0
    bytes_moved: int = 0
    seek_position: int = 0
    bytes_left_to_read: int = 0
    window_offset: int = 0
    window_length: int = 0
    connect_type: str = "LOCAL"
    connect_address: str = ""


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A session in full. Bytes and positions are those of the protocol, words
    are the document's names.
    """

    session: int
    opened_s: float
    """Seconds since 1970."""
    client_address: str
    client_port: int
    local_address: str
    is_authorized: bool
    user: str
    """Empty until somebody has logged in."""
    vservers: tuple[str, ...]
    """The storage virtual machines to which the user is limited; empty
    means all."""
    version: int
    extensions: tuple[str, ...]
    data: DataRow
    mover: MoverRow
    tape_device: str
    """Empty while none is open."""
    tape_mode: str
    history_entries: int
    """Entries of file history that the session has sent."""
    client_wait_s: float
    """How long file history and job messages have waited for the client."""
    queued_bytes: int
    """Bytes that the client has not taken yet."""


class Sessions(msgspec.Struct, frozen=True):
    """The sessions that are open."""

    node: str
    sessions: tuple[SessionRow, ...]


class Killed(msgspec.Struct, frozen=True):
    """Sessions that were ended; all they held is free."""

    sessions: tuple[int, ...]


class LogRequest(_Request, frozen=True, kw_only=True):
    """Which session's messages are to be kept in a file."""

    session: int | None = None
    """One; without it all, those to come included."""
    vserver: str | None = None
    """The session must be of a user of this storage virtual machine."""


class LogFile(msgspec.Struct, frozen=True):
    """The file of a log."""

    file: str


class TraceRequest(_Request, frozen=True, kw_only=True):
    """Which session's messages are to be shown."""

    session: int | None = None
    """One; without it all, those to come included."""
    is_replayable: bool = False
    """Whether long fields of what clients send are shown whole."""


class TraceLines(msgspec.Struct, frozen=True):
    """Messages since the last item, as :mod:`tapekit_ndmp_v4.trace` writes them."""

    lines: tuple[msgspec.Raw, ...]


class ServiceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The service of a node."""

    node: str
    is_enabled: bool
    is_running: bool
    version: int
    sessions_open: int
    sessions_limit: int
    dump_sessions_limit: int
    smtape_sessions_limit: int
    memory_bytes: int
    takes_clear_text: bool
    addresses: tuple[str, ...]


class ServiceChange(_Request, frozen=True, kw_only=True):
    """What is to change; ``None`` leaves it as it is."""

    is_enabled: bool | None = None
    sessions_limit: Annotated[int, Meta(ge=0, le=1000)] | None = None
    """0 for what the stack file says."""
    takes_clear_text: bool | None = None


class ServiceRun(_Request, frozen=True, kw_only=True):
    """Whether the service is to run, until it is said again or restarted."""

    is_running: bool


class SvmRow(msgspec.Struct, frozen=True, kw_only=True):
    """A storage virtual machine."""

    vserver: str
    is_enabled: bool
    version: int
    auth_methods: tuple[str, ...]
    """How those who use it may have logged in."""
    is_secure: bool | None
    """Whether it has secure control connections; ``None`` where the stack has
    none to switch."""


class SystemDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device name of a drive."""

    name: str
    rewinds: bool
    unloads: bool
    format: str
    """What its compression letter stands for."""


class SystemDrive(msgspec.Struct, frozen=True, kw_only=True):
    """A tape drive."""

    physical_path: str
    vendor: str
    product: str
    devices: tuple[SystemDevice, ...]


class SystemFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The machine, what it permits, and its tape drives."""

    node: str
    product: str
    revision: str
    os_type: str
    os_version: str
    memory_bytes: int
    sessions_limit: int
    dump_sessions_limit: int
    smtape_sessions_limit: int
    local_tape_jobs_limit: int
    drives: tuple[SystemDrive, ...]


class Svms(msgspec.Struct, frozen=True):
    """The storage virtual machines of the volumes that are served."""

    vservers: tuple[SvmRow, ...]


class SvmChange(_Request, frozen=True, kw_only=True):
    """A storage virtual machine, and what of it is to change; ``None`` leaves
    it as it is.
    """

    vserver: str
    is_enabled: bool | None = None
    auth_methods: Annotated[tuple[ServedMethod, ...], Meta(min_length=1)] | None = None
    is_secure: bool | None = None


class ExtensionRow(msgspec.Struct, frozen=True, kw_only=True):
    """An extension of the protocol that a plugin brings."""

    class_id: int
    name: str
    versions: tuple[int, ...]
    is_enabled: bool


class Extensions(msgspec.Struct, frozen=True):
    """The extensions that there are."""

    extensions: tuple[ExtensionRow, ...]


class ExtensionChange(_Request, frozen=True, kw_only=True):
    """An extension to offer, or not, to sessions to come."""

    class_id: int
    is_enabled: bool


SESSIONS: Final = Operation(
    name="ndmp_v4.sessions",
    summary="Show sessions in full",
    request=SessionChoice,
    reply=Sessions,
)
KILL: Final = Operation(
    name="ndmp_v4.kill",
    summary="End sessions, and free what they hold",
    request=SessionChoice,
    reply=Killed,
)
TERMINATE: Final = Operation(
    name="ndmp_v4.terminate",
    summary="End all sessions by force",
    request=NoRequest,
    reply=Killed,
    privilege=Privilege.ADVANCED,
)
LOG_START: Final = Operation(
    name="ndmp_v4.log-start",
    summary="Keep a session's messages in a file",
    request=LogRequest,
    reply=LogFile,
    privilege=Privilege.ADVANCED,
)
LOG_STOP: Final = Operation(
    name="ndmp_v4.log-stop",
    summary="End the log of a session",
    request=LogRequest,
    reply=LogFile,
    privilege=Privilege.ADVANCED,
)
TRACE: Final = Feed(
    name="ndmp_v4.trace",
    summary="Show messages as they come and go",
    request=TraceRequest,
    reply=TraceLines,
)
SERVICE: Final = Operation(
    name="ndmp_v4.service",
    summary="Tell whether NDMP is on, and its limits",
    request=NoRequest,
    reply=ServiceStatus,
)
MODIFY_SERVICE: Final = Operation(
    name="ndmp_v4.modify-service",
    summary="Switch NDMP or plaintext logins on or off, or limit sessions",
    request=ServiceChange,
    reply=NoReply,
)
RUN_SERVICE: Final = Operation(
    name="ndmp_v4.run-service",
    summary="Start or stop taking new sessions",
    request=ServiceRun,
    reply=NoReply,
    privilege=Privilege.ADVANCED,
)
SYSCONFIG: Final = Operation(
    name="ndmp_v4.sysconfig",
    summary="Show the machine, what it permits, and its tape drives",
    request=NoRequest,
    reply=SystemFacts,
)
SVMS: Final = Operation(
    name="ndmp_v4.vservers",
    summary="Show for which storage virtual machines NDMP is on",
    request=NoRequest,
    reply=Svms,
)
MODIFY_SVM: Final = Operation(
    name="ndmp_v4.modify-vserver",
    summary="Change NDMP for a storage virtual machine",
    request=SvmChange,
    reply=NoReply,
)
EXTENSIONS: Final = Operation(
    name="ndmp_v4.extensions",
    summary="Show the extensions of the protocol",
    request=NoRequest,
    reply=Extensions,
    privilege=Privilege.ADVANCED,
)
MODIFY_EXTENSION: Final = Operation(
    name="ndmp_v4.modify-extension",
    summary="Offer an extension of the protocol, or not",
    request=ExtensionChange,
    reply=NoReply,
    privilege=Privilege.ADVANCED,
)
