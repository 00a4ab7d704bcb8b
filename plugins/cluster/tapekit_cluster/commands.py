"""The guide's commands for NDMP modes, allowed protocols and LIFs.

Options may be written the guide's way (``-vserver vs1``) or with two dashes.
The one rule: a command says what the node does, and does not claim to move
an address.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias, final

import typer

from tapekit.console import say, say_json, say_table
from tapekit.hookspecs.commands import CommandGroup
from tapekit.hookspecs.operations import NoRequest
from tapekit_cluster import operations as ops
from tapekit_cluster.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.lifecycle import Kernel

__all__ = ["AdminStatus", "command_groups"]

_Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Answer with JSON.")]
_Svm: TypeAlias = Annotated[str, typer.Option("--vserver", "-vserver", help="The SVM.")]
_Protocols: TypeAlias = Annotated[
    str, typer.Option("--protocols", "-protocols", help="Protocols with commas between; ndmp.")
]
_LifSvm: TypeAlias = Annotated[
    str | None, typer.Option("--vserver", "-vserver", help="The SVM that the LIF belongs to.")
]
_Lif: TypeAlias = Annotated[str, typer.Option("--lif", "-lif", help="The LIF's name.")]
_Node: TypeAlias = Annotated[
    str, typer.Option("--destination-node", "-destination-node", help="Where the LIF is now.")
]


class AdminStatus(enum.StrEnum):
    """A value of ``-status-admin``."""

    UP = "up"
    DOWN = "down"


_Status: TypeAlias = Annotated[
    AdminStatus, typer.Option("--status-admin", "-status-admin", help="Up or down.")
]


def command_groups(kernel: Callable[[], Kernel]) -> tuple[CommandGroup, ...]:
    """All commands; ``kernel`` is asked when one of them runs."""
    return (
        CommandGroup(
            "system services ndmp node-scope-mode", "The NDMP mode of this node", _scope_app(kernel)
        ),
        CommandGroup(
            "vserver add-protocols",
            "Allow NDMP for an SVM",
            _protocols_app(kernel, is_allowed=True),
        ),
        CommandGroup(
            "vserver remove-protocols",
            "Take NDMP from the allowed protocols of an SVM",
            _protocols_app(kernel, is_allowed=False),
        ),
        CommandGroup("network interface", "Logical interfaces (LIFs)", _lif_app(kernel)),
    )


def _scope_app(kernel: Callable[[], Kernel]) -> typer.Typer:
    """``system services ndmp node-scope-mode``."""
    app = typer.Typer(no_args_is_help=True, help="The NDMP mode of this node.")
    commands = _ScopeCommands(kernel)
    app.command("on")(commands.on)
    app.command("off")(commands.off)
    app.command("status")(commands.status)
    return app


def _protocols_app(kernel: Callable[[], Kernel], *, is_allowed: bool) -> typer.Typer:
    """``vserver add-protocols`` or ``vserver remove-protocols``."""
    app = typer.Typer()
    commands = _ProtocolCommands(kernel)
    command = commands.add if is_allowed else commands.remove
    app.callback(invoke_without_command=True)(command)
    return app


def _lif_app(kernel: Callable[[], Kernel]) -> typer.Typer:
    """``network interface``."""
    app = typer.Typer(no_args_is_help=True, help="Logical interfaces (LIFs) of this node.")
    commands = _LifCommands(kernel)
    app.command("show")(commands.show)
    app.command("migrate")(commands.migrate)
    app.command("revert")(commands.revert)
    app.command("modify")(commands.modify)
    return app


@final
class _ScopeCommands:
    """One method a command; the docstring is its help."""

    def __init__(self, kernel: Callable[[], Kernel]) -> None:
        self._kernel: Final = kernel

    def on(self) -> None:
        """Put this node into the node-scoped NDMP mode, for sessions to come."""
        self._set(is_node_scoped=True)

    def off(self) -> None:
        """Put this node into the SVM-scoped NDMP mode, for sessions to come."""
        self._set(is_node_scoped=False)

    def _set(self, *, is_node_scoped: bool) -> None:
        request = ops.ScopeChange(is_node_scoped=is_node_scoped)
        self._kernel().management.call(ops.SET_SCOPE, request)
        self.status()

    def status(self, as_json: _Json = False) -> None:
        """Show the NDMP mode of this node."""
        found = self._kernel().management.call(ops.SCOPE, NoRequest())
        if as_json:
            say_json(found)
            return
        word = "enabled" if found.is_node_scoped else "disabled"
        say(f"NDMP node-scope-mode is {word} on {found.node}.")


@final
class _ProtocolCommands:
    """One method a command; the docstring is its help."""

    def __init__(self, kernel: Callable[[], Kernel]) -> None:
        self._kernel: Final = kernel

    def add(self, vserver: _Svm, protocols: _Protocols) -> None:
        """Put NDMP among the allowed protocols of an SVM."""
        self._change(vserver, protocols, is_allowed=True)
        say(f"NDMP is among the allowed protocols of {vserver}.")

    def remove(self, vserver: _Svm, protocols: _Protocols) -> None:
        """Take NDMP from the allowed protocols of an SVM; open sessions go on."""
        self._change(vserver, protocols, is_allowed=False)
        say(f"NDMP is not among the allowed protocols of {vserver}.")

    def _change(self, vserver: str, protocols: str, *, is_allowed: bool) -> None:
        for protocol in protocols.split(","):
            if protocol != "ndmp":
                raise CATALOGUE.error("no-such-protocol", protocol=protocol or '""')
        request = ops.ProtocolChange(vserver=vserver, is_allowed=is_allowed)
        self._kernel().management.call(ops.ALLOW, request)


@final
class _LifCommands:
    """One method a command; the docstring is its help."""

    def __init__(self, kernel: Callable[[], Kernel]) -> None:
        self._kernel: Final = kernel

    def show(self, as_json: _Json = False) -> None:
        """List the LIFs of this node."""
        rows = self._kernel().management.call(ops.LIFS, NoRequest()).lifs
        if as_json:
            say_json(rows)
            return
        say_table(
            ("Vserver", "LIF", "Role", "Status", "Addresses", "Current Node", "Home", "NDMP"),
            [
                (
                    row.vserver,
                    row.lif,
                    row.role,
                    row.status,
                    ", ".join(row.addresses),
                    row.current_node,
                    str(row.is_home).lower(),
                    str(row.permits_ndmp).lower(),
                )
                for row in rows
            ],
        )

    def migrate(self, lif: _Lif, destination_node: _Node, vserver: _LifSvm = None) -> None:
        """Say that a LIF is at another node now: its sessions here end, with their jobs.

        The address itself is moved by whoever runs the network.
        """
        self._move(ops.LifMove(lif=lif, vserver=vserver, node=destination_node))

    def revert(self, lif: _Lif, vserver: _LifSvm = None) -> None:
        """Say that a LIF is back at this node."""
        self._move(ops.LifMove(lif=lif, vserver=vserver))

    def modify(self, lif: _Lif, status_admin: _Status, vserver: _LifSvm = None) -> None:
        """Take NDMP on a LIF or not; down ends its sessions, with their jobs."""
        is_down = status_admin is AdminStatus.DOWN
        self._move(ops.LifMove(lif=lif, vserver=vserver, is_down=is_down))

    def _move(self, request: ops.LifMove) -> None:
        self._kernel().management.call(ops.MOVE_LIF, request)
        self.show()
