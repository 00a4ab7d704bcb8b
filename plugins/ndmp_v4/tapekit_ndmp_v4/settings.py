"""Settings of the NDMP server, and how many sessions a machine's memory allows."""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple, TypeAlias, final

import msgspec
from msgspec import Meta

__all__ = ["NdmpV4Settings", "SessionLimits", "limits_for_memory"]

_GIB: Final = 1 << 30

_Sessions: TypeAlias = Annotated[int, Meta(ge=1, le=1000)]


@final
class SessionLimits(NamedTuple):
    """Sessions at one time; each kind is counted apart from the others."""

    ndmp: int
    """Control connections."""
    dump: int
    """Backups and restores of the engine ``dump`` in progress."""
    smtape: int
    """Backups and restores of the engine ``smtape`` in progress."""

    def of_engine(self, butype: str) -> int | None:
        """The limit of an engine; one that has none is bounded by
        :attr:`ndmp`, since a session runs one job at a time.
        """
        return {"dump": self.dump, "smtape": self.smtape}.get(butype)


# By the machine's memory: below the first figure the first row, and so on. A
# machine sold as 16 GB reports a little less.
_LIMITS: Final = (
    (15 * _GIB, SessionLimits(ndmp=8, dump=4, smtape=6)),
    (23 * _GIB, SessionLimits(ndmp=20, dump=16, smtape=16)),
)
_MOST: Final = SessionLimits(ndmp=36, dump=32, smtape=32)


def limits_for_memory(memory: int) -> SessionLimits:
    """How many sessions a machine with so many bytes of memory serves."""
    for below, limits in _LIMITS:
        if memory < below:
            return limits
    return _MOST


class NdmpV4Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table ``[ndmp_v4]`` of a stack file."""

    vendor: str = "tapekit"
    """Vendor name that CONFIG_GET_SERVER_INFO gives."""
    product: str = "tapekit NDMP server"
    """Product name that CONFIG_GET_SERVER_INFO gives."""
    sessions: _Sessions | None = None
    """Sessions at one time; without it 8, 20 or 36 by the machine's memory
    (below 16 GB, below 24 GB, more)."""
    dump_sessions: _Sessions | None = None
    """Dump backups and restores in progress at one time; without it 4, 16 or
    32 by the machine's memory."""
    smtape_sessions: _Sessions | None = None
    """SMTape backups and restores in progress at one time; without it 6, 16
    or 32 by the machine's memory."""
    local_tape_jobs: _Sessions = 16
    """Backups and restores that use tape drives of this server at one time."""
    login_timeout_s: Annotated[float, Meta(gt=0, le=86400)] = 120.0
    """Seconds within which a client must log in; after that its connection
    is closed, so that nobody without a password can use up the sessions."""
    finish_timeout_s: Annotated[float, Meta(gt=0, le=3600)] = 10.0
    """Seconds that clients have when the server shuts down and their jobs
    have ended, to ask for the variables of a backup and to write filemarks."""
    queue_bytes: Annotated[int, Meta(ge=65536, le=1 << 30)] = 1 << 20
    """Bytes of notifications that may wait for a slow client before its
    engine waits for it."""

    range_multiple_bytes: Annotated[int, Meta(ge=1, le=1 << 30)] = 1
    """What offset and length of the ranges are multiples of that a restore
    asks of movers elsewhere: their record size, if they send whole records
    only."""

    least_record_bytes: Annotated[int, Meta(ge=1, le=4096)] = 4096
    """Record size that backups of dump and smtape to a drive of this server
    must have at least, unless a backup application cannot do it."""

    log_directory: Annotated[str, Meta(min_length=1)] = "logs"
    """Folder of the logs that "log start" makes, relative to the stack file's
    folder; it is made if need be."""

    def limits(self, memory: int) -> SessionLimits:
        """What is set here, and for the rest what so much memory allows."""
        by_memory = limits_for_memory(memory)
        return SessionLimits(
            ndmp=self.sessions or by_memory.ndmp,
            dump=self.dump_sessions or by_memory.dump,
            smtape=self.smtape_sessions or by_memory.smtape,
        )
