"""``tapekit ndmp``: sessions of the running server, their traces, and replays.

The groups of the guide stand beside it, see :mod:`tapekit_ndmp_v4.guide_commands`.
"""

from __future__ import annotations

import functools
from pathlib import Path  # noqa: TC003 - typer reads annotations when a command is made
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias, final

import trio
import typer

from tapekit.console import say, say_json
from tapekit.hookspecs.commands import CommandGroup
from tapekit_ndmp_v4.client import NDMP_PORT
from tapekit_ndmp_v4.errors import CATALOGUE
from tapekit_ndmp_v4.extensions import joined
from tapekit_ndmp_v4.guide_commands import node_app, svm_app
from tapekit_ndmp_v4.replay import Part, read_trace, replay
from tapekit_ndmp_v4.replay_session import Login, Target
from tapekit_ndmp_v4.session_commands import SessionCommands
from tapekit_ndmp_v4.sysconfig_commands import sysconfig_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit_ndmp_v4.replay import ReplayResult

__all__ = ["command_groups"]

_Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Answer with JSON.")]
_Advanced: TypeAlias = Annotated[
    bool, typer.Option("--advanced", help="Ask for the advanced privilege level.")
]
_AnySession: TypeAlias = Annotated[
    int | None, typer.Argument(metavar="[SESSION]", help="The session's number; without it all.")
]


def command_groups(kernel: Callable[[], Kernel]) -> tuple[CommandGroup, ...]:
    """All groups of the plugin; ``kernel`` is asked when a command runs."""
    return (
        CommandGroup("ndmp", "NDMP sessions, traces and replays", _app(kernel)),
        CommandGroup("sysconfig", "The running system and its limits", sysconfig_app(kernel)),
        CommandGroup("system services ndmp", "NDMP on this node", node_app(kernel)),
        CommandGroup("vserver services ndmp", "NDMP on storage virtual machines", svm_app(kernel)),
    )


def _app(kernel: Callable[[], Kernel]) -> typer.Typer:
    commands = _Commands(kernel)
    app = typer.Typer(no_args_is_help=True, help="NDMP sessions, traces and replays.")
    for command in (commands.status, commands.probe, commands.kill, commands.trace):
        app.command()(command)
    app.command()(commands.replay)
    app.command("kill-all")(commands.kill_all)
    log = typer.Typer(no_args_is_help=True, help="The messages of sessions in files.")
    log.command("start")(commands.log_start)
    log.command("stop")(commands.log_stop)
    app.add_typer(log, name="log")
    return app


@final
class _Commands:
    """One method a command; the docstring is its help."""

    def __init__(self, kernel: Callable[[], Kernel]) -> None:
        self._kernel: Final = kernel
        self._sessions: Final = SessionCommands(kernel)

    def status(self, as_json: _Json = False) -> None:
        """List the sessions."""
        self._sessions.status(None, place="", as_json=as_json)

    def probe(self, session: _AnySession = None, as_json: _Json = False) -> None:
        """Show sessions in full."""
        self._sessions.probe(session, None, place="", as_json=as_json)

    def kill(
        self,
        session: Annotated[int, typer.Argument(metavar="SESSION", help="The session's number.")],
    ) -> None:
        """End a session; its client is told, and all that it held is free afterwards."""
        self._sessions.kill(session, None)

    def kill_all(self) -> None:
        """End all sessions."""
        self._sessions.kill_all(None)

    def log_start(self, session: _AnySession = None, advanced: _Advanced = False) -> None:
        """Keep the messages of a session, or of all to come, in a file."""
        self._sessions.log_start(session, None, advanced=advanced)

    def log_stop(self, session: _AnySession = None, advanced: _Advanced = False) -> None:
        """End a log."""
        self._sessions.log_stop(session, None, advanced=advanced)

    def trace(
        self,
        session: _AnySession = None,
        replayable: Annotated[
            bool, typer.Option("--replayable", help="Show whole what clients send.")
        ] = False,
    ) -> None:
        """Show messages as lines of JSON, as they come and go, without secrets."""
        try:
            for line in self._sessions.lines(session, is_replayable=replayable):
                say(line)
        except KeyboardInterrupt:
            raise typer.Exit from None

    def replay(
        self,
        file: Annotated[Path, typer.Argument(help="A log, or the output of trace --replayable.")],
        host: Annotated[str, typer.Option(help="The server to play against.")] = "127.0.0.1",
        port: Annotated[int, typer.Option(min=1, max=65535, help="Its TCP port.")] = NDMP_PORT,
        user: Annotated[
            str | None, typer.Option(help="Log in as this user. [default: the recorded one]")
        ] = None,
        password_file: Annotated[
            Path | None, typer.Option(help="File with the password, since traces have none.")
        ] = None,
        session: Annotated[
            int | None, typer.Option(help="The session, where the trace has several.")
        ] = None,
        timeout: Annotated[
            float, typer.Option(min=0.1, help="Seconds that each reply or post may take.")
        ] = 60.0,
        peer: Annotated[
            Path | None,
            typer.Option(help="Trace of the other side of a three-way session, played with it."),
        ] = None,
        peer_session: Annotated[
            int | None, typer.Option(help="Its session, where the trace has several.")
        ] = None,
        peer_host: Annotated[
            str | None, typer.Option(help="The server of the other side. [default: the same]")
        ] = None,
        peer_port: Annotated[
            int | None, typer.Option(min=1, max=65535, help="Its TCP port. [default: the same]")
        ] = None,
        stream: Annotated[
            Path | None,
            typer.Option(help="What is sent in place of another side that is not played."),
        ] = None,
        as_json: _Json = False,
    ) -> None:
        """Play a recorded client against a server, and compare what it answers.

        The exit status is 1 if something differs; times, ports and what else
        depends on the machine or the moment is not compared. A data connection
        to a server whose session is not played ends here: what comes is taken,
        and what is wanted is read from --stream.
        """
        parts = [Part(file, read_trace(file, session), Target(host, port, timeout))]
        if peer is not None:
            other = Target(peer_host or host, peer_port or port, timeout)
            parts.append(Part(peer, read_trace(peer, peer_session), other))
        login = Login(user, None if password_file is None else _password(password_file))
        kernel = self._kernel()
        offered = joined(kernel.call_hook("tapekit_register_ndmp_extensions"))
        play = functools.partial(replay, extensions=offered, stream=stream)
        result = trio.run(play, parts, login, kernel.clock)
        _say_result(result, several=peer is not None, as_json=as_json)
        if result.difference is not None:
            raise typer.Exit(1)


def _say_result(result: ReplayResult, *, several: bool, as_json: bool) -> None:
    counts = f"{result.requests} requests, {result.compared} answers"
    if as_json:
        say_json(result)
    elif result.difference is None:
        say(f"{counts} as recorded")
    else:
        say(f"{counts} compared")
        say(f"{result.file}: {result.difference}" if several else str(result.difference))


def _password(file: Path) -> bytes:
    try:
        return file.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise CATALOGUE.error("password-unreadable", file=file, reason=error.strerror) from error
