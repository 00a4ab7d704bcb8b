"""``tapekit ndmpcopy``: from the command line to a copy and its outcome.

Options may stand before or behind the two places. Typer reads annotations
when the command is made, so they are not postponed. The one rule: everything
that can be judged without a server is judged before one is asked.
"""

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final

import msgspec
import trio
import typer

from tapekit.errors import TapekitError
from tapekit_ndmp_v4.client import NDMP_PORT, NDMPS_PORT, Side
from tapekit_ndmpcopy import options as o
from tapekit_ndmpcopy.debug_log import DebugLog, open_debug_log
from tapekit_ndmpcopy.logins import LoginOptions, read_login
from tapekit_ndmpcopy.order import CopyOrder
from tapekit_ndmpcopy.places import Family, Place, read_place, require_two_places
from tapekit_ndmpcopy.report import Report, summarize
from tapekit_ndmpcopy.run import Surroundings, run_copy
from tapekit_ndmpcopy.trust import read_trust
from tapekit_ndmpcopy.words import Hearing

__all__ = ["command_app"]

_HELP: Final = """Copy from one NDMP server to another, without tape.

SOURCE and DESTINATION are ADDRESS:/vserver/volume[/path], where ADDRESS is
an IPv4 address, or an IPv6 address in square brackets. What is in SOURCE
goes into DESTINATION, from server to server.
"""


def command_app(clock: Callable[[], float]) -> typer.Typer:
    """The command; ``clock`` tells the time in seconds since 1970."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    command = app.command(
        "ndmpcopy",
        help=_HELP,
        context_settings={"help_option_names": ["-h", "--help"]},
        no_args_is_help=True,
    )
    command(_Tool(clock).ndmpcopy)
    return app


@final
class _Tool:
    """The command as a method, since it needs a clock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock: Final = clock

    def ndmpcopy(
        self,
        source: o.SourcePlace,
        destination: o.DestinationPlace,
        sa: o.SourceLogin,
        da: o.DestinationLogin,
        st: o.SourceAuth,
        dt: o.DestinationAuth = None,
        level: o.Level = 0,
        debug: o.Debug = False,
        force: o.Force = False,  # noqa: ARG002 - no volume here has system files
        prompt: o.Prompt = False,
        exclude: o.Exclude = "",
        mcs: o.SourceFamily = None,
        mcd: o.DestinationFamily = None,
        md: o.DataFamily = None,
        source_password_file: o.PasswordFile = None,
        destination_password_file: o.PasswordFile = None,
        source_port: o.Port = None,
        destination_port: o.Port = None,
        source_tls: o.SecureBy = None,
        destination_tls: o.SecureBy = None,
        allow_loopback: o.AllowLoopback = False,
        log_directory: o.LogDirectory = Path(),
        json: o.AsJson = False,
    ) -> None:
        place_of = functools.partial(_place, loopback=allow_loopback)
        from_place = place_of(source, source_port, "-mcs", mcs, source_tls)
        to_place = place_of(destination, destination_port, "-mcd", mcd, destination_tls)
        require_two_places(from_place, to_place)
        from_login = LoginOptions(Side.SOURCE, sa, st, source_password_file, prompt)
        to_login = LoginOptions(Side.DESTINATION, da, dt or st, destination_password_file, prompt)
        ask = _ask if sys.stdin.isatty() else None
        order = CopyOrder(
            source=from_place,
            destination=to_place,
            source_login=read_login(from_login, ask),
            destination_login=read_login(to_login, ask),
            level=level,
            exclude=exclude,
            data_family=md,
        )
        self._carry_out(order, log_directory if debug else None, as_json=json)

    def _carry_out(self, order: CopyOrder, log_directory: Path | None, *, as_json: bool) -> None:
        report = Report(sys.stdout, sys.stderr)
        hearing = Hearing(report.said)
        with _logging(log_directory, self._clock, report) as log:
            watchers = {side: log.watcher(side) for side in Side} if log else {}
            around = Surroundings(self._clock, hearing, report.progressed, watchers)
            if log is not None:
                log.say("ndmpcopy", f"copies {order.source} to {order.destination}")
            try:
                with report.bar():
                    result = trio.run(run_copy, order, around)
            except TapekitError as error:
                if log is not None:
                    log.say("ndmpcopy", error.advice)
                report.outcome(summarize(order, hearing.words, error), as_json=as_json)
                raise
            report.outcome(summarize(order, hearing.words, result), as_json=as_json)


def _place(
    text: str,
    port: int | None,
    option: str,
    family: Family | None,
    proof: str | None,
    *,
    loopback: bool,
) -> Place:
    """One end, at the port of its service if no other is named."""
    trust = read_trust(proof)
    if port is None:
        port = NDMP_PORT if trust is None else NDMPS_PORT
    place = read_place(text, port=port, option=option, family=family, loopback=loopback)
    return msgspec.structs.replace(place, trust=trust)


@contextmanager
def _logging(
    directory: Path | None, clock: Callable[[], float], report: Report
) -> Iterator[DebugLog | None]:
    """The debug log, if there is to be one; tells where it is and whether it
    is complete.
    """
    if directory is None:
        yield None
        return
    with open_debug_log(directory, clock) as log:
        report.note(f"messages are logged to {log.file}")
        try:
            yield log
        finally:
            if log.problem is not None:
                report.note(f"the log is not complete: {log.problem}")


def _ask(question: str) -> str:
    """Ask the person at the terminal, without showing the answer."""
    return str(typer.prompt(question, hide_input=True, err=True))
