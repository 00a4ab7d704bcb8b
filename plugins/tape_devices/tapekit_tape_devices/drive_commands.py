"""``tapekit storage tape online`` and its kin, and ``tapekit storage stats
tape``: the commands of the guide for single drives.

Options may be written its way (``-name st0``) or with two dashes. The one
rule: the running server performs everything, since it knows who uses a drive.
"""

from __future__ import annotations

import datetime as dt
import enum
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias, final

import typer

from tapekit.console import say_json
from tapekit.hookspecs.operations import NoRequest, Privilege, way_to
from tapekit_tape_devices.drive_operations import (
    COUNTERS,
    ERASE,
    ERRORS,
    ONLINE,
    POSITION,
    RESET,
    STATISTICS,
    TRACE,
    ZERO_STATISTICS,
    CountersRequest,
    DriveRequest,
    Movement,
    OnlineRequest,
    PositionRequest,
    TraceRequest,
)
from tapekit_tape_devices.errors import CATALOGUE
from tapekit_tape_devices.printing import columns, lone_command, say_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tapekit.errors import TapekitError
    from tapekit.hookspecs.commands import CommandGroup
    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.operations import Management
    from tapekit_tape_devices.drive_operations import (
        CountersReply,
        DriveErrors,
        DriveStatistics,
        ErrorsReply,
        PositionReply,
        StatisticsReply,
        TraceReply,
    )

__all__ = ["counter_listing", "drive_groups", "error_listing", "statistics_listing"]


class _Switch(enum.StrEnum):
    TRUE = "true"
    FALSE = "false"


_Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Answer with JSON.")]
_Node: TypeAlias = Annotated[
    str | None, typer.Option("--node", "-node", help="The name of a node, or local.")
]
_Drive: TypeAlias = Annotated[
    str,
    typer.Option(
        "--name",
        "-name",
        help="A name of the drive, such as st0, its device ID or its serial number.",
    ),
]
_Advanced: TypeAlias = Annotated[
    bool, typer.Option("--advanced", help="Ask for the advanced privilege level.")
]


def drive_groups(kernel: Callable[[], Kernel]) -> Sequence[CommandGroup]:
    """The commands; ``kernel`` is asked when one of them runs."""
    commands = _Commands(kernel)
    return (
        lone_command("storage tape online", "Bring a tape drive online", commands.online),
        lone_command("storage tape offline", "Take a tape drive offline", commands.offline),
        lone_command("storage tape trace", "Trace what a tape drive does", commands.trace),
        lone_command("storage tape position", "Move the tape in a drive", commands.position),
        lone_command("storage tape reset", "Reset a tape drive", commands.reset),
        lone_command("storage tape show-errors", "Errors of tape drives", commands.show_errors),
        lone_command("storage stats tape", "Statistics of tape drives", commands.statistics),
    )


@final
class _Commands:
    """One method a command; the docstring is its help."""

    def __init__(self, kernel: Callable[[], Kernel]) -> None:
        self._kernel: Final = kernel

    def _way(self, node: str | None = None) -> Management:
        return way_to(self._kernel().management, node)

    def online(self, name: _Drive, node: _Node = None, as_json: _Json = False) -> None:
        """Bring a tape drive online, so that it can be opened."""
        self._switch(name, node, is_online=True, as_json=as_json)

    def offline(self, name: _Drive, node: _Node = None, as_json: _Json = False) -> None:
        """Take a tape drive offline: it is not opened until it is online again."""
        self._switch(name, node, is_online=False, as_json=as_json)

    def _switch(self, name: str, node: str | None, *, is_online: bool, as_json: bool) -> None:
        request = OnlineRequest(drive=name, is_online=is_online, node=node)
        reply = self._way(node).call(ONLINE, request)
        if as_json:
            say_json(reply)
        else:
            state = "online" if reply.is_online else "offline"
            say_lines([f"Tape drive {reply.physical_path} is {state}."])

    def trace(
        self,
        is_trace_enabled: Annotated[
            _Switch,
            typer.Option("--is-trace-enabled", "-is-trace-enabled", help="Whether it is traced."),
        ],
        name: Annotated[
            str | None,
            typer.Option("--name", "-name", help="The drive, as for the other commands; or all."),
        ] = None,
        node: _Node = None,
        as_json: _Json = False,
    ) -> None:
        """Write what a tape drive is asked and answers into a file, or stop that."""
        is_on = is_trace_enabled is _Switch.TRUE
        reply = self._way(node).call(TRACE, TraceRequest(is_on=is_on, drive=name, node=node))
        if as_json:
            say_json(reply)
        else:
            say_lines(_trace_lines(reply))

    def position(
        self,
        name: _Drive,
        operation: Annotated[
            Movement, typer.Option("--operation", "-operation", help="What to do to the tape.")
        ],
        count: Annotated[
            int,
            typer.Option(
                "--count", "-count", min=1, max=0x7F_FFFF, help="How many filemarks or records."
            ),
        ] = 1,
        node: _Node = None,
        advanced: _Advanced = False,
        as_json: _Json = False,
    ) -> None:
        """Move the tape in a drive that nobody uses, or write filemarks on it.

        To erase it needs the advanced privilege level.
        """
        if operation is Movement.ERASE and advanced:
            erasing = DriveRequest(drive=name, node=node)
            reply = self._way(node).call(ERASE, erasing, Privilege.ADVANCED)
        else:
            request = PositionRequest(drive=name, movement=operation, count=count, node=node)
            reply = self._way(node).call(POSITION, request)
        if as_json:
            say_json(reply)
        else:
            say_lines(_position_lines(reply, operation))

    def reset(
        self,
        name: _Drive,
        node: _Node = None,
        advanced: _Advanced = False,
        as_json: _Json = False,
    ) -> None:
        """Reset a tape drive; this needs the advanced privilege level."""
        privilege = Privilege.ADVANCED if advanced else Privilege.ADMIN
        reply = self._way(node).call(RESET, DriveRequest(drive=name, node=node), privilege)
        if as_json:
            say_json(reply)
        else:
            say_lines([f"Tape drive {reply.physical_path} has been reset."])

    def show_errors(
        self,
        name: Annotated[
            str | None,
            typer.Option("--name", "-name", help="One drive, as for the other commands."),
        ] = None,
        node: _Node = None,
        counters: Annotated[
            bool,
            typer.Option(
                "--counters", "-counters", help="Show what drives and tapes count themselves."
            ),
        ] = False,
        as_json: _Json = False,
    ) -> None:
        """Show what went wrong with tape drives since the stack started.

        With -counters, what drives that nobody uses, and the tapes in them, have counted.
        """
        if counters:
            counted = self._way(node).call(COUNTERS, CountersRequest(drive=name, node=node))
            if as_json:
                say_json(counted.drives)
            else:
                say_lines(counter_listing(counted))
            return
        reply = self._way(node).call(ERRORS, NoRequest())
        if node not in {None, "local", reply.node}:
            raise CATALOGUE.error("other-node", node=node, present=reply.node)
        drives = tuple(one for one in reply.drives if name is None or _has_name(one, name))
        if not drives and name is not None:
            raise _no_such_drive(name, [each for one in reply.drives for each in one.aliases])
        if as_json:
            say_json(drives)
        else:
            say_lines(error_listing(type(reply)(node=reply.node, drives=drives)))

    def statistics(
        self,
        words: Annotated[
            list[str] | None,
            typer.Argument(
                metavar="[show|zero] [TAPE_NAME]",
                help="show, or only the drive, shows statistics; zero sets them to zero.",
            ),
        ] = None,
        as_json: _Json = False,
    ) -> None:
        """Show what tape drives have done, or begin to count anew."""
        given = list(words or ())
        verb = given.pop(0) if given and given[0] in {"show", "zero"} else "show"
        if len(given) > 1:
            raise typer.BadParameter("one tape drive at a time")
        if verb == "zero":
            if not given:
                raise typer.BadParameter("zero needs the name of a tape drive")
            zeroed = self._way().call(ZERO_STATISTICS, DriveRequest(drive=given[0]))
            if as_json:
                say_json(zeroed)
            return
        reply = self._way().call(STATISTICS, NoRequest())
        drives = [one for one in reply.drives if not given or _is_called(one, given[0])]
        if given and not drives:
            raise _no_such_drive(given[0], [name for one in reply.drives for name in one.aliases])
        if as_json:
            say_json(drives)
        else:
            say_lines(statistics_listing(type(reply)(node=reply.node, drives=tuple(drives))))


def _has_name(drive: DriveErrors, words: str) -> bool:
    names = {*drive.aliases, drive.physical_path, drive.serial}
    return words in names or words.lstrip("nru")[:-1] in drive.aliases


def _no_such_drive(words: str, names: Sequence[str]) -> TapekitError:
    known = f"the drives are {', '.join(names)}" if names else "no tape drive has a name"
    return CATALOGUE.error("no-such-drive", drive=words, known=known)


def _is_called(drive: DriveStatistics, words: str) -> bool:
    """Whether a drive has a name, or a device of the name."""
    names = {drive.physical_path, *drive.aliases}
    return words in names or words.lstrip("nru")[:-1] in names


def _trace_lines(reply: TraceReply) -> Iterator[str]:
    for path, file in reply.files.items():
        verb = "is traced in" if reply.is_on else "was traced in"
        yield f"Tape drive {path} {verb} {file}"
    if not reply.files:
        yield "No tape drive was traced."


def _position_lines(reply: PositionReply, movement: Movement) -> Iterator[str]:
    kinds = {
        Movement.WEOF: ("filemark", "written"),
        Movement.FSF: ("filemark", "passed"),
        Movement.BSF: ("filemark", "passed"),
        Movement.FSR: ("record", "passed"),
        Movement.BSR: ("record", "passed"),
    }
    if movement in kinds:
        kind, what = kinds[movement]
        many = f"{kind} was" if reply.done == 1 else f"{kind}s were"
        yield f"{reply.done} {many} {what}."
    file = "unknown" if reply.file is None else str(reply.file)
    record = "unknown" if reply.record is None else str(reply.record)
    yield f"Tape drive {reply.physical_path}: file {file}, record {record}."


def error_listing(reply: ErrorsReply) -> Iterator[str]:
    """The lines of a listing: how many errors of which kind each drive had,
    what drives tell of themselves, then the latest errors.
    """
    yield f"Node: {reply.node}"
    yield from columns(
        ("Device ID", "Device Type", "Description", "Errors"),
        [
            (
                one.physical_path,
                one.device_type,
                one.description,
                ", ".join(f"{count} {kind}" for kind, count in sorted(one.counts.items())) or "-",
            )
            for one in reply.drives
        ],
    )
    told = [
        (
            one.physical_path,
            str(one.soft_errors),
            ", ".join(f"{flag} {meaning}" for flag, meaning in sorted(one.alerts.items())) or "-",
        )
        for one in reply.drives
        if one.soft_errors or one.alerts
    ]
    if told:
        yield ""
        yield from columns(("Device ID", "Corrected Errors", "TapeAlert"), told)
    latest = [
        (_time(error.time_s), one.physical_path, error.operation, error.message)
        for one in reply.drives
        for error in one.recent
    ]
    if latest:
        yield ""
        yield from columns(("Time", "Device ID", "Operation", "Error"), sorted(latest))


def counter_listing(reply: CountersReply) -> Iterator[str]:
    """The lines of a listing: a heading a drive, then a line a counter."""
    yield f"Node: {reply.node}"
    for drive in reply.drives:
        yield ""
        yield f"Tape drive ({drive.physical_path})"
        if drive.reason:
            yield f"    not asked: {drive.reason}"
        for title, page in drive.pages.items():
            for name, value in page.items():
                yield f"    {title}: {name}: {value}"


def statistics_listing(reply: StatisticsReply) -> Iterator[str]:
    """The lines of a listing: a heading and a few lines a drive."""
    for number, drive in enumerate(reply.drives):
        counts = drive.counts
        if number:
            yield ""
        names = ", ".join(drive.aliases) or "no name"
        yield f"Tape drive ({drive.physical_path})  {names}, since {_time(drive.since_s)}"
        yield f"    opened: {counts.opened}, errors: {counts.errors}"
        yield (
            f"    read: {counts.read_bytes} bytes, {counts.read_records} records, "
            f"{_rate(counts.read_bytes, counts.read_s)}"
        )
        yield (
            f"    written: {counts.written_bytes} bytes, {counts.written_records} records, "
            f"{_rate(counts.written_bytes, counts.write_s)}"
        )
        yield f"    filemarks written: {counts.filemarks}"
        yield f"    movements: {counts.movements}, {counts.movement_s:.1f} s"


def _rate(length: int, seconds: float) -> str:
    """How fast the drive was while it worked."""
    return f"{length / seconds / 1e6:.1f} MB/s" if seconds > 0 else "-"


def _time(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="seconds")[:19] + "Z"
