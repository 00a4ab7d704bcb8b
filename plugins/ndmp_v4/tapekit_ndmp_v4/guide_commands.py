"""``tapekit system services ndmp`` and ``tapekit vserver services ndmp``.

The commands of the guide for a node and for storage virtual machines, under
its words; options may be written its way (``-vserver vs1``) or with two
dashes. The one rule: a command is offered only if the server does what it
says.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, final

import msgspec
import typer

from tapekit.console import say, say_json, say_table
from tapekit.hookspecs.operations import NoRequest
from tapekit_ndmp_v4 import operations as ops
from tapekit_ndmp_v4.printing import say_pairs
from tapekit_ndmp_v4.session_commands import SessionCommands, privilege

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.operations import Management

__all__ = ["Switch", "node_app", "svm_app"]


class Switch(enum.StrEnum):
    """A value of options such as ``-enable``."""

    TRUE = "true"
    FALSE = "false"


_Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Answer with JSON.")]
_Advanced: TypeAlias = Annotated[
    bool, typer.Option("--advanced", help="Ask for the advanced privilege level.")
]
_Session: TypeAlias = Annotated[
    int, typer.Argument(metavar="SESSION", help="The session's number.")
]
_AnySession: TypeAlias = Annotated[
    int | None, typer.Argument(metavar="[SESSION]", help="The session's number; without it all.")
]
_Svm: TypeAlias = Annotated[
    str, typer.Option("--vserver", "-vserver", help="The storage virtual machine.")
]
_AnySvm: TypeAlias = Annotated[
    str | None,
    typer.Option("--vserver", "-vserver", help="One storage virtual machine; without it all."),
]
_Enable: TypeAlias = Annotated[
    Switch, typer.Option("--enable", "-enable", help="Whether it is on.")
]
_MayEnable: TypeAlias = Annotated[
    Switch | None, typer.Option("--enable", "-enable", help="Whether it is on.")
]


def node_app(kernel: Callable[[], Kernel]) -> typer.Typer:
    """The commands for the node; ``kernel`` is asked when one of them runs."""
    commands = _NodeCommands(kernel)
    app = _of_both("NDMP on this node.", commands)
    app.add_typer(
        _group(
            "The NDMP service of this node.",
            show=commands.show,
            modify=commands.service_modify,
            start=commands.service_start,
            stop=commands.service_stop,
            terminate=commands.service_terminate,
        ),
        name="service",
    )
    return app


def svm_app(kernel: Callable[[], Kernel]) -> typer.Typer:
    """The commands for storage virtual machines; see :func:`node_app`."""
    commands = _SvmCommands(kernel)
    app = _of_both("NDMP on storage virtual machines.", commands)
    app.add_typer(
        _group(
            "Extensions of the protocol.",
            show=commands.extensions_show,
            modify=commands.extensions_modify,
        ),
        name="extensions",
    )
    return app


def _of_both(summary: str, commands: _NodeCommands | _SvmCommands) -> typer.Typer:
    """The commands that a node and storage virtual machines both have."""
    app = _group(
        summary,
        on=commands.on,
        off=commands.off,
        show=commands.show,
        modify=commands.modify,
        version=commands.version,
        status=commands.status,
        probe=commands.probe,
        kill=commands.kill,
        **{"kill-all": commands.kill_all},
    )
    logs = _group(
        "The messages of sessions in files.", start=commands.log_start, stop=commands.log_stop
    )
    app.add_typer(logs, name="log")
    return app


def _group(summary: str, **commands: Callable[..., Any]) -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, help=summary)
    for name, command in commands.items():
        app.command(name)(command)
    return app


@final
class _NodeCommands:
    """One method a command; the docstring is its help."""

    def __init__(self, kernel: Callable[[], Kernel]) -> None:
        self._kernel: Final = kernel
        self._sessions: Final = SessionCommands(kernel)

    @property
    def _management(self) -> Management:
        return self._kernel().management

    def on(self) -> None:
        """Switch NDMP on."""
        self._management.call(ops.MODIFY_SERVICE, ops.ServiceChange(is_enabled=True))
        say("NDMP is on.")

    def off(self) -> None:
        """Switch NDMP off; open sessions go on."""
        self._management.call(ops.MODIFY_SERVICE, ops.ServiceChange(is_enabled=False))
        say("NDMP is off.")

    def show(self, as_json: _Json = False) -> None:
        """Show whether NDMP is on, and its limits."""
        status = self._management.call(ops.SERVICE, NoRequest())
        if as_json:
            say_json(status)
            return
        say_pairs(
            (
                ("Node", status.node),
                ("Enabled", str(status.is_enabled).lower()),
                ("Running", str(status.is_running).lower()),
                ("Version", str(status.version)),
                ("Clear Text", str(status.takes_clear_text).lower()),
                ("Addresses", ", ".join(status.addresses)),
                ("Common Sessions", str(status.sessions_limit)),
                ("Open Sessions", str(status.sessions_open)),
                ("Dump Sessions", str(status.dump_sessions_limit)),
                ("SMTape Sessions", str(status.smtape_sessions_limit)),
            )
        )

    def modify(
        self,
        enable: _MayEnable = None,
        clear_text: Annotated[
            Switch | None,
            typer.Option(
                "--clear-text",
                "-clear-text",
                help="Whether logins by plaintext password are taken.",
            ),
        ] = None,
    ) -> None:
        """Change NDMP on this node, for sessions to come."""
        _require_one(enable, clear_text)
        request = ops.ServiceChange(is_enabled=_is(enable), takes_clear_text=_is(clear_text))
        self._management.call(ops.MODIFY_SERVICE, request)
        self.show()

    def service_modify(
        self,
        common_sessions: Annotated[
            int,
            typer.Option(
                "--common-sessions",
                "-common-sessions",
                min=0,
                max=1000,
                help="Sessions at one time; 0 for what the stack file says.",
            ),
        ],
    ) -> None:
        """Limit the sessions at one time."""
        request = ops.ServiceChange(sessions_limit=common_sessions)
        self._management.call(ops.MODIFY_SERVICE, request)
        self.show()

    def service_start(self, advanced: _Advanced = False) -> None:
        """Take new sessions again."""
        self._run_service(is_running=True, advanced=advanced)
        say("The NDMP service is started.")

    def service_stop(self, advanced: _Advanced = False) -> None:
        """Take no new sessions until the service or the stack is started again."""
        self._run_service(is_running=False, advanced=advanced)
        say("The NDMP service is stopped.")

    def _run_service(self, *, is_running: bool, advanced: bool) -> None:
        request = ops.ServiceRun(is_running=is_running)
        self._management.call(ops.RUN_SERVICE, request, privilege(advanced=advanced))

    def service_terminate(self, advanced: _Advanced = False) -> None:
        """End all sessions by force."""
        self._sessions.terminate(advanced=advanced)

    def version(self) -> None:
        """Show the version of NDMP that is spoken."""
        say(str(self._management.call(ops.SERVICE, NoRequest()).version))

    def status(self, as_json: _Json = False) -> None:
        """List the NDMP sessions."""
        self._sessions.status(None, place="Node", as_json=as_json)

    def probe(self, session: _AnySession = None, as_json: _Json = False) -> None:
        """Show NDMP sessions in full."""
        self._sessions.probe(session, None, place="Node", as_json=as_json)

    def kill(self, session: _Session) -> None:
        """End an NDMP session."""
        self._sessions.kill(session, None)

    def kill_all(self) -> None:
        """End all NDMP sessions."""
        self._sessions.kill_all(None)

    def log_start(self, session: _AnySession = None, advanced: _Advanced = False) -> None:
        """Keep the messages of a session in a file."""
        self._sessions.log_start(session, None, advanced=advanced)

    def log_stop(self, session: _AnySession = None, advanced: _Advanced = False) -> None:
        """End the log of a session."""
        self._sessions.log_stop(session, None, advanced=advanced)


@final
class _SvmCommands:
    """One method a command; the docstring is its help."""

    def __init__(self, kernel: Callable[[], Kernel]) -> None:
        self._kernel: Final = kernel
        self._sessions: Final = SessionCommands(kernel)

    @property
    def _management(self) -> Management:
        return self._kernel().management

    def on(self, vserver: _Svm) -> None:
        """Switch NDMP on for a storage virtual machine."""
        self._management.call(ops.MODIFY_SVM, ops.SvmChange(vserver=vserver, is_enabled=True))
        say(f"NDMP is on for {vserver}.")

    def off(self, vserver: _Svm) -> None:
        """Switch NDMP off for a storage virtual machine; running jobs go on."""
        self._management.call(ops.MODIFY_SVM, ops.SvmChange(vserver=vserver, is_enabled=False))
        say(f"NDMP is off for {vserver}.")

    def modify(
        self,
        vserver: _Svm,
        enable: _MayEnable = None,
        authtype: Annotated[
            str | None,
            typer.Option(
                "--authtype",
                "-authtype",
                metavar="plaintext,challenge",
                help="How those who use it must have logged in.",
            ),
        ] = None,
        secure: Annotated[
            Switch | None,
            typer.Option(
                "--is-secure-control-connection-enabled",
                "-is-secure-control-connection-enabled",
                help="Whether it has secure control connections.",
            ),
        ] = None,
    ) -> None:
        """Change NDMP for a storage virtual machine."""
        _require_one(enable, authtype, secure)
        request = ops.SvmChange(
            vserver=vserver,
            is_enabled=_is(enable),
            auth_methods=None if authtype is None else _methods(authtype),
            is_secure=_is(secure),
        )
        self._management.call(ops.MODIFY_SVM, request)
        self.show(vserver)

    def show(self, vserver: _AnySvm = None, as_json: _Json = False) -> None:
        """Show for which storage virtual machines NDMP is on."""
        rows = self._rows(vserver)
        if as_json:
            say_json(rows)
            return
        say_table(
            ("Vserver", "Version", "Enabled", "Authtype", "Secure"),
            [
                (
                    row.vserver,
                    str(row.version),
                    str(row.is_enabled).lower(),
                    ",".join(row.auth_methods),
                    "-" if row.is_secure is None else str(row.is_secure).lower(),
                )
                for row in rows
            ],
        )

    def version(self, vserver: _AnySvm = None) -> None:
        """Show the version of NDMP that is spoken."""
        rows = self._rows(vserver)
        say_table(("Vserver", "Version"), [(row.vserver, str(row.version)) for row in rows])

    def _rows(self, vserver: str | None) -> list[ops.SvmRow]:
        found = self._management.call(ops.SVMS, NoRequest()).vservers
        return [row for row in found if vserver in {None, row.vserver}]

    def status(self, vserver: _AnySvm = None, as_json: _Json = False) -> None:
        """List the NDMP sessions."""
        self._sessions.status(vserver, place="Vserver", as_json=as_json)

    def probe(
        self, session: _AnySession = None, vserver: _AnySvm = None, as_json: _Json = False
    ) -> None:
        """Show NDMP sessions in full."""
        self._sessions.probe(session, vserver, place="Vserver", as_json=as_json)

    def kill(self, session: _Session, vserver: _AnySvm = None) -> None:
        """End an NDMP session."""
        self._sessions.kill(session, vserver)

    def kill_all(self, vserver: _Svm) -> None:
        """End all NDMP sessions of a storage virtual machine."""
        self._sessions.kill_all(vserver)

    def extensions_show(self, as_json: _Json = False, advanced: _Advanced = False) -> None:
        """Show the extensions of the protocol."""
        asked = privilege(advanced=advanced)
        rows = self._management.call(ops.EXTENSIONS, NoRequest(), asked).extensions
        if as_json:
            say_json(rows)
            return
        say_table(
            ("Class", "Extension", "Versions", "Enabled"),
            [
                (
                    f"{row.class_id:#x}",
                    row.name,
                    ", ".join(map(str, row.versions)),
                    str(row.is_enabled).lower(),
                )
                for row in rows
            ],
        )

    def extensions_modify(
        self,
        class_id: Annotated[str, typer.Argument(metavar="CLASS", help="Such as 0x2051.")],
        enable: _Enable,
        advanced: _Advanced = False,
    ) -> None:
        """Offer an extension of the protocol to new sessions, or not."""
        request = ops.ExtensionChange(
            class_id=_class_id(class_id), is_enabled=enable is Switch.TRUE
        )
        self._management.call(ops.MODIFY_EXTENSION, request, privilege(advanced=advanced))
        self.extensions_show(advanced=advanced)

    def log_start(
        self, session: _AnySession = None, vserver: _AnySvm = None, advanced: _Advanced = False
    ) -> None:
        """Keep the messages of a session in a file."""
        self._sessions.log_start(session, vserver, advanced=advanced)

    def log_stop(
        self, session: _AnySession = None, vserver: _AnySvm = None, advanced: _Advanced = False
    ) -> None:
        """End the log of a session."""
        self._sessions.log_stop(session, vserver, advanced=advanced)


def _is(switch: Switch | None) -> bool | None:
    return None if switch is None else switch is Switch.TRUE


def _require_one(*given: object) -> None:
    if all(one is None for one in given):
        raise typer.BadParameter("give one of the options that say what is to change")


def _methods(text: str) -> tuple[ops.ServedMethod, ...]:
    """The words of ``-authtype``."""
    try:
        return msgspec.convert(text.split(","), tuple[ops.ServedMethod, ...])
    except msgspec.ValidationError:
        raise typer.BadParameter(
            f"{text} is none of plaintext, challenge and plaintext,challenge"
        ) from None


def _class_id(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise typer.BadParameter(f"{text} is no number, such as 0x2051") from None
