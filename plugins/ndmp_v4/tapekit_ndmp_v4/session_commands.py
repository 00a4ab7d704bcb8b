"""Commands that deal with sessions, for each group that has them.

The guide has them twice, for a node and for a storage virtual machine, and
``tapekit ndmp`` a third time. Here is what they do; the groups say how they
are called. The one rule: a command prints what the server answered.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, final

from tapekit.console import json_text, say, say_json, say_table
from tapekit.hookspecs.operations import NoRequest, Privilege
from tapekit_ndmp_v4 import operations as ops
from tapekit_ndmp_v4.printing import say_pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.operations import Management

__all__ = ["SessionCommands", "privilege"]

_COLUMNS: Final = (
    "Session", "Client", "User", "Data", "Operation", "Mover", "Bytes", "History", "Waited",
    "Device", "Path",
)  # fmt: skip


def privilege(*, advanced: bool) -> Privilege:
    """What ``--advanced`` asks for."""
    return Privilege.ADVANCED if advanced else Privilege.ADMIN


@final
class SessionCommands:
    """What the commands do; ``kernel`` is asked when one of them runs."""

    def __init__(self, kernel: Callable[[], Kernel]) -> None:
        self._kernel: Final = kernel

    @property
    def _management(self) -> Management:
        return self._kernel().management

    def status(self, vserver: str | None, *, place: str, as_json: bool) -> None:
        """List sessions.

        :param place: heading of the column that says where a session is:
            ``Node``, ``Vserver``, or empty for none.
        """
        found = self._management.call(ops.SESSIONS, ops.SessionChoice(vserver=vserver))
        if as_json:
            say_json(found.sessions)
            return
        rows = [(*_place(place, found.node, row), *_cells(row)) for row in found.sessions]
        say_table((place, *_COLUMNS) if place else _COLUMNS, rows)

    def probe(self, session: int | None, vserver: str | None, *, place: str, as_json: bool) -> None:
        """Show sessions in full."""
        chosen = ops.SessionChoice(session=session, vserver=vserver)
        found = self._management.call(ops.SESSIONS, chosen)
        if as_json:
            say_json(found.sessions)
            return
        for number, row in enumerate(found.sessions):
            if number:
                say("")
            say_pairs([("Node", found.node), *_fields(row)] if place == "Node" else _fields(row))

    def kill(self, session: int, vserver: str | None) -> None:
        """End a session."""
        self._management.call(ops.KILL, ops.SessionChoice(session=session, vserver=vserver))
        say(f"Session {session} is ended.")

    def kill_all(self, vserver: str | None) -> None:
        """End all sessions, or all of a storage virtual machine."""
        killed = self._management.call(ops.KILL, ops.SessionChoice(vserver=vserver))
        _say_killed(killed)

    def terminate(self, *, advanced: bool) -> None:
        """End all sessions by force."""
        asked = privilege(advanced=advanced)
        _say_killed(self._management.call(ops.TERMINATE, NoRequest(), asked))

    def log_start(self, session: int | None, vserver: str | None, *, advanced: bool) -> None:
        """Begin a log."""
        request = ops.LogRequest(session=session, vserver=vserver)
        log = self._management.call(ops.LOG_START, request, privilege(advanced=advanced))
        say(f"Logging to {log.file}")

    def log_stop(self, session: int | None, vserver: str | None, *, advanced: bool) -> None:
        """End a log."""
        request = ops.LogRequest(session=session, vserver=vserver)
        log = self._management.call(ops.LOG_STOP, request, privilege(advanced=advanced))
        say(f"Logged to {log.file}")

    def lines(self, session: int | None, *, is_replayable: bool) -> Iterator[str]:
        """Messages as they come and go."""
        request = ops.TraceRequest(session=session, is_replayable=is_replayable)
        for item in self._management.follow(ops.TRACE, request):
            yield from map(json_text, item.lines)


def _say_killed(killed: ops.Killed) -> None:
    if killed.sessions:
        say(f"Ended the sessions {', '.join(map(str, killed.sessions))}.")
    else:
        say("No session was open.")


def _place(place: str, node: str, row: ops.SessionRow) -> tuple[str, ...]:
    match place:
        case "Node":
            return (node,)
        case "Vserver":
            return (",".join(row.vservers) or "-",)
        case _:
            return ()


def _cells(row: ops.SessionRow) -> tuple[str, ...]:
    moved = max(row.data.bytes_processed, row.mover.bytes_moved)
    return (
        str(row.session),
        row.client_address,
        row.user or "-",
        row.data.state,
        row.data.operation,
        row.mover.state,
        str(moved),
        str(row.history_entries),
        f"{row.client_wait_s:.1f} s",
        row.tape_device or "-",
        row.data.path or "-",
    )


def _fields(row: ops.SessionRow) -> list[tuple[str, str]]:
    """A session in full, under the names by which administrators know it."""
    data, mover = row.data, row.mover
    remaining = data.bytes_remaining
    opened = dt.datetime.fromtimestamp(row.opened_s, dt.UTC)
    return [
        ("Vserver Name", ", ".join(row.vservers) or "all"),
        ("Session Identifier", str(row.session)),
        ("Opened", opened.isoformat(timespec="seconds").replace("+00:00", "Z")),
        ("NDMP Version", str(row.version)),
        ("Session Authorized", str(row.is_authorized).lower()),
        ("User", row.user),
        ("Extensions", ", ".join(row.extensions) or "none"),
        ("NDMP Client Address", row.client_address),
        ("NDMP Client Port", str(row.client_port)),
        ("NDMP Server Address", row.local_address),
        ("Data State", data.state),
        ("Data Operation", data.operation),
        ("Data Server Halt Reason", data.halt_reason),
        ("Data Backup Format", data.backup_format or "unset"),
        ("Data Path", data.path),
        ("Data Bytes Processed", str(data.bytes_processed)),
        ("Data Bytes Remaining", "unknown" if remaining is None else str(remaining)),
        ("Data Server Connect Type", data.connect_type),
        ("Data Server Connect Address", data.connect_address),
        ("Mover State", mover.state),
        ("Mover Mode", mover.mode),
        ("Mover Pause Reason", mover.pause_reason),
        ("Mover Halt Reason", mover.halt_reason),
        ("Mover Record Size", str(mover.record_size)),
        ("Mover Record Num", str(mover.record_number)),
        ("Mover Bytes Moved", str(mover.bytes_moved)),
        ("Mover Seek Position", str(mover.seek_position)),
        ("Mover Bytes Left to Read", str(mover.bytes_left_to_read)),
        ("Mover Window Offset", str(mover.window_offset)),
        ("Mover Window Length", str(mover.window_length)),
        ("Mover Connect Type", mover.connect_type),
        ("Mover Connect Address", mover.connect_address),
        ("Tape Device", row.tape_device or "not open"),
        ("Tape Mode", row.tape_mode),
        ("File History Entries Sent", str(row.history_entries)),
        ("Waited for Client", f"{row.client_wait_s:.3f} s"),
        ("Bytes Queued for Client", str(row.queued_bytes)),
    ]
