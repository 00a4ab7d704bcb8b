"""Which data connections of recorded sessions lead where.

A server that listens is connected to by a session that is played too, by
somebody whose session was not recorded, or by nobody; the traces tell which.
All of it is decided from rows, before anything is played. The one rule: a
connection is made when the trace first shows it made, not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.addresses import to_endpoint
from tapekit_ndmp_v4.trace_reading import CutField, message_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tapekit.hookspecs.transport import Endpoint
    from tapekit_ndmp_v4.trace_reading import TraceRow
    from tapekit_ndmp_v4.wire import Message

__all__ = ["Join", "Joins", "endpoint_in"]

_LISTENS: Final[dict[str, type[Message]]] = {
    "DATA_LISTEN": m.DataListenReply,
    "MOVER_LISTEN": m.MoverListenReply,
}
_CONNECTS: Final[dict[str, type[Message]]] = {
    "DATA_CONNECT": m.DataConnectRequest,
    "MOVER_CONNECT": m.MoverConnectRequest,
}

_JOINED_STATES: Final = frozenset({"CONNECTED", "ACTIVE", "PAUSED"})
_STARTS: Final = frozenset(
    {"DATA_START_BACKUP", "DATA_START_RECOVER", "DATA_START_RECOVER_FILEHIST"}
)
_ENDS: Final = frozenset({"DATA_STOP", "MOVER_STOP"})
_UNJOINED_HALTS: Final = frozenset({"ABORTED", "NA"})


class Join(NamedTuple):
    """A connection that is to be made to a server of a played session."""

    line: int
    """Before this line of the session's trace."""
    endpoint: Endpoint
    """Where the server listened when it was recorded."""


@final
class Joins:
    """The data connections of all sessions of a replay."""

    def __init__(self, sessions: Sequence[Sequence[TraceRow]]) -> None:
        self._connected: Final = {
            endpoint
            for rows in sessions
            for row in rows
            if row.kind == "request" and (endpoint := endpoint_in(row)) is not None
        }

    def unrecorded(self, rows: Sequence[TraceRow]) -> Iterator[Join]:
        """The connections to a session's servers that others made, whose
        sessions are not played.
        """
        for number, row in enumerate(rows):
            endpoint = endpoint_in(row) if row.kind == "reply" else None
            if endpoint is None or endpoint in self._connected:
                continue
            line = _line_of_join(rows[number + 1 :])
            if line is not None:
                yield Join(line, endpoint)


def endpoint_in(row: TraceRow) -> Endpoint | None:
    """Where a reply to LISTEN or a CONNECT request of a trace leads on a
    network; ``None`` for any other row.
    """
    kinds, field = (_LISTENS, "connect_addr") if row.kind == "reply" else (_CONNECTS, "addr")
    kind = kinds.get(row.message or "")
    if kind is None or row.body is None:
        return None
    try:
        addr: Any = getattr(message_of(kind, row.body), field)
        return to_endpoint(addr)
    except (CutField, KeyError, TypeError, ValueError):
        # It is told when the row itself is played.
        return None


def _line_of_join(rows: Sequence[TraceRow]) -> int | None:
    """The first line that needs the connection, among those that follow the
    reply to LISTEN; without one nobody connected.
    """
    asked: dict[str | None, int] = {}
    for row in rows:
        if row.kind == "request":
            if row.message in _LISTENS or row.message in _ENDS:
                return None
            asked[row.message] = row.line
        elif _shows_connection(row):
            return asked.get(row.message, row.line) if row.kind == "reply" else row.line
    return None


def _shows_connection(row: TraceRow) -> bool:
    body = row.body or {}
    match row.message:
        case "DATA_GET_STATE" | "MOVER_GET_STATE":
            return str(body.get("state")) in _JOINED_STATES
        case "NOTIFY_MOVER_PAUSED":
            return True
        case "NOTIFY_MOVER_HALTED":
            return str(body.get("reason")) not in _UNJOINED_HALTS
        case message:
            return row.kind == "reply" and message in _STARTS and body.get("error") == "NO_ERR"
