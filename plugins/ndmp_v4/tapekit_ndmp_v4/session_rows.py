"""Sessions as an administrator sees them: what they do, and whose they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapekit_ndmp_v4 import addresses
from tapekit_ndmp_v4.numbers import NDMP_VERSION
from tapekit_ndmp_v4.operations import DataRow, MoverRow, SessionRow
from tapekit_ndmp_v4.storage_paths import svm_of

if TYPE_CHECKING:
    from tapekit_ndmp_v4.data_server import DataServer
    from tapekit_ndmp_v4.messages import Addr
    from tapekit_ndmp_v4.mover_server import MoverServer
    from tapekit_ndmp_v4.session import Session

__all__ = ["belongs_to", "session_row"]


def belongs_to(session: Session, svm: str) -> bool:
    """Whether a session is one of this storage virtual machine: its user is
    limited to it among others, or its job works there.
    """
    principal = session.principal
    limited = principal.svms if principal is not None else frozenset[str]()
    return svm in limited or svm_of(session.data.path) == svm


def session_row(session: Session) -> SessionRow:
    """What a session is doing now."""
    principal, tape = session.principal, session.tapes.tape
    return SessionRow(
        session=session.number,
        opened_s=session.opened_s,
        client_address=session.peer.host,
        client_port=session.peer.port,
        local_address=session.link.local_host,
        is_authorized=principal is not None,
        user=principal.name if principal is not None else "",
        vservers=tuple(sorted(principal.svms)) if principal is not None else (),
        version=NDMP_VERSION,
        extensions=session.extensions.names,
        data=_data(session.data),
        mover=_mover(session.mover) if session.mover is not None else MoverRow(),
        tape_device=tape.device.name if tape is not None else "",
        tape_mode="" if tape is None else "Read/Write" if tape.is_writable else "Read only",
        history_entries=session.link.history_entries,
        client_wait_s=round(session.link.client_wait_s, 3),
        queued_bytes=session.link.queued_bytes,
    )


def _data(data: DataServer) -> DataRow:
    progress = data.progress
    return DataRow(
        state=data.state.name,
        operation=data.operation.name,
        halt_reason=data.halt_reason.name,
        backup_format=data.butype,
        path=_printable(data.path),
        bytes_processed=progress.bytes_processed,
        bytes_remaining=progress.bytes_remaining,
        connect_type=addresses.kind_of(data.address).name,
        connect_address=_address(data.address),
    )


def _mover(mover: MoverServer) -> MoverRow:
    progress = mover.progress
    return MoverRow(
        state=mover.state.name,
        mode=mover.mode.name,
        pause_reason=mover.pause_reason.name,
        halt_reason=mover.halt_reason.name,
        record_size=mover.record_size,
        record_number=progress.record_number,
        bytes_moved=progress.bytes_moved,
        seek_position=progress.seek_position,
        bytes_left_to_read=progress.bytes_left_to_read,
        window_offset=mover.window.offset,
        window_length=mover.window.length,
        connect_type=addresses.kind_of(mover.address).name,
        connect_address=_address(mover.address),
    )


def _address(address: Addr) -> str:
    """The first endpoint; empty for a connection inside the session."""
    endpoint = addresses.to_endpoint(address)
    return "" if endpoint is None else str(endpoint)


def _printable(path: str) -> str:
    """A path with escapes for bytes that are not UTF-8, as JSON needs."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
