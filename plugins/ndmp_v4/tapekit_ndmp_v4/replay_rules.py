"""When a replayed conversation equals the recorded one: rules as data.

Replies are compared in their order, and so is each kind of post that has
one; what depends on the machine, the moment or the speed is left out by the
tables below. The one rule: an error code is always compared.
"""

from __future__ import annotations

from collections import deque
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from tapekit_ndmp_v4.trace_reading import TraceRow

__all__ = ["Difference", "Judge"]

_EVERYWHERE: Final = (
    "*addr.*.ip",
    "*addr.*.port",
    "*addr.*.addr_env.*.1",
)
"""Ports are given out as they are free, addresses are those of the machine, and
so is what a peer must bring with it; of their variables the names are compared."""

_UNCOMPARED: Final[Mapping[str, tuple[str, ...]]] = {
    "CONFIG_GET_HOST_INFO": ("hostname", "os_type", "os_vers", "hostid"),
    "CONFIG_GET_SERVER_INFO": ("revision_number",),
    "CONFIG_GET_FS_INFO": (
        "fs_info.*.fs_physical_device",
        "fs_info.*.*_size",
        "fs_info.*.*_inodes",
    ),
    "DATA_GET_ENV": ("env.*.1",),
    "DATA_GET_STATE": ("est_bytes_remain", "est_time_remain", "unsupported"),
    "TAPE_GET_STATE": ("space_remain", "total_space", "soft_errors"),
    "MOVER_GET_STATE": (),
}
"""Fields that tell of the machine or the moment, as patterns of their paths;
of a backup's variables the names are compared."""

_MOVING: Final[Mapping[str, frozenset[str]]] = {
    "DATA_GET_STATE": frozenset({"ACTIVE"}),
    "MOVER_GET_STATE": frozenset({"ACTIVE"}),
}
"""States in which a recorded reply says how far something was, which no
replay meets again; only the error is compared."""

_LANES: Final[Mapping[str, str]] = {
    "NOTIFY_CONNECTION_STATUS": "notifications",
    "NOTIFY_DATA_HALTED": "halts of the data server",
    "NOTIFY_DATA_READ": "reads",
    "NOTIFY_MOVER_HALTED": "halts of the mover",
    "NOTIFY_MOVER_PAUSED": "pauses",
    "LOG_FILE": "results of files",
    "LOG_MESSAGE": "errors",
}
"""Posts that are compared, and with what they keep their order: the two
servers are not in step. File history is not compared, as it is cut into posts
by how fast the client takes it."""

_TOLD_LOGS: Final = frozenset({"ERROR", "WARNING"})
"""Log messages that are compared; others tell of progress."""

_REPLIES: Final = "replies"


class Difference(NamedTuple):
    """The first thing that is not as it was recorded."""

    line: int | None
    """Of the trace; ``None`` for a message that was not recorded."""
    message: str
    field: str
    recorded: object
    replayed: object

    def __str__(self) -> str:
        if self.line is None:
            return f"not recorded: {self.message}: {_shown(self.replayed)}"
        return (
            f"line {self.line}: {self.message}: {self.field}: "
            f"recorded {_shown(self.recorded)}, replayed {_shown(self.replayed)}"
        )


@final
class Judge:
    """Compares what comes with what was recorded."""

    def __init__(
        self, recorded: Iterable[TraceRow], more_lanes: Collection[str] = frozenset()
    ) -> None:
        """:param more_lanes: posts of extensions; each kind is compared in its order."""
        self._lane_of: Final = {**_LANES, **{name: name for name in more_lanes}}
        self._lanes: Final[dict[str, deque[TraceRow]]] = {}
        for row in recorded:
            lane = self._lane(row)
            if lane is not None:
                self._lanes.setdefault(lane, deque()).append(row)
        self.compared = 0
        """Messages so far."""
        self.difference: Difference | None = None

    def see(self, row: TraceRow) -> TraceRow | None:
        """Compare a message that has come, unless something differs already.

        :returns: the recorded message with which it was compared.
        """
        lane = self._lane(row)
        if lane is None or self.difference is not None:
            return None
        waiting = self._lanes.get(lane)
        if not waiting:
            name = row.message or "a message without name"
            text = (row.body or {}).get("entry", row.body)
            self.difference = Difference(None, name, "message", None, text)
            return None
        recorded = waiting.popleft()
        self.compared += 1
        self.difference = _difference(recorded, row)
        return recorded

    def differs(self) -> bool:
        """Whether the first difference has been found."""
        return self.difference is not None

    def missing(self, before: int) -> TraceRow | None:
        """A post recorded before a line of the trace that has not come."""
        late = [
            lane[0]
            for name, lane in self._lanes.items()
            if name != _REPLIES and lane and lane[0].line < before
        ]
        return min(late, key=lambda row: row.line, default=None)

    def _lane(self, row: TraceRow) -> str | None:
        """What a message keeps its order with; ``None`` if it is not compared."""
        if row.kind == "reply":
            return _REPLIES
        if row.kind != "post" or row.message is None:
            return None
        is_log = row.message == "LOG_MESSAGE"
        if is_log and str((row.body or {}).get("log_type")) not in _TOLD_LOGS:
            return None
        return self._lane_of.get(row.message)


def _difference(recorded: TraceRow, replayed: TraceRow) -> Difference | None:
    name = recorded.message or "a message without name"
    pairs: list[tuple[str, object, object]] = [
        ("message", recorded.message, replayed.message),
        ("header error", recorded.error, replayed.error),
    ]
    before, now = dict(_compared(recorded)), dict(_compared(replayed))
    if _is_moving(recorded):
        before, now = ({"error": fields.get("error")} for fields in (before, now))
    pairs += [(path, before.get(path), now.get(path)) for path in {**before, **now}]
    for field, was, is_now in pairs:
        if was != is_now:
            return Difference(recorded.line, name, field, was, is_now)
    return None


def _is_moving(row: TraceRow) -> bool:
    states = _MOVING.get(row.message or "", frozenset())
    return row.body is not None and str(row.body.get("state")) in states


def _compared(row: TraceRow) -> Iterator[tuple[str, object]]:
    """The fields of a message that are compared, by their paths."""
    patterns = (*_EVERYWHERE, *_UNCOMPARED.get(row.message or "", ()))
    for path, value in _flat("", row.body):
        if not any(fnmatchcase(path, pattern) for pattern in patterns):
            yield path, value


def _flat(path: str, value: Any) -> Iterator[tuple[str, object]]:
    match value:
        case dict():
            for key, inner in value.items():
                yield from _flat(f"{path}.{key}" if path else key, inner)
        case list():
            yield f"{path}.length", len(value)
            for number, inner in enumerate(value):
                yield from _flat(f"{path}.{number}", inner)
        case _:
            yield path, value


def _shown(value: object) -> str:
    return "nothing" if value is None else str(value)
