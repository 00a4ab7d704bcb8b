"""The commands around movements of storage, in the words of the guide.

Whatever moves the storage gives them before and after: one that begins a
movement returns when the storage may be taken away, and ``complete`` or
``abandon`` lets jobs in again. The one rule: a command that could not get
jobs out of the way fails.
"""

from __future__ import annotations

import datetime as dt
import enum
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias, final

import typer

from tapekit.console import say, say_json, say_table
from tapekit.hookspecs.commands import CommandGroup
from tapekit.hookspecs.operations import NoRequest, Privilege
from tapekit_cluster import movement_operations as ops
from tapekit_cluster.movement_operations import Domain, MovementKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.lifecycle import Kernel

__all__ = ["YesNo", "movement_command_groups"]


class YesNo(enum.StrEnum):
    """A value of ``-override-vetoes``."""

    TRUE = "true"
    FALSE = "false"


_Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Answer with JSON.")]
_OfNode: TypeAlias = Annotated[
    str, typer.Option("--ofnode", "-ofnode", help="The node whose storage moves.")
]
_Node: TypeAlias = Annotated[
    str, typer.Option("--node", "-node", help="The node that has the aggregates.")
]
_Destination: TypeAlias = Annotated[
    str, typer.Option("--destination", "-destination", help="The node that is to have them.")
]
_Aggregates: TypeAlias = Annotated[
    str,
    typer.Option(
        "--aggregate-list", "-aggregate-list", help="Aggregates with commas between, or *."
    ),
]
_Override: TypeAlias = Annotated[
    YesNo,
    typer.Option(
        "--override-vetoes",
        "-override-vetoes",
        help="Abort jobs (true), or be stopped by them (false).",
    ),
]
_Automatic: TypeAlias = Annotated[
    bool,
    typer.Option("--automatic", help="No operator asked for it; jobs are aborted in any case."),
]
_Wait: TypeAlias = Annotated[
    float,
    typer.Option("--wait", help="Seconds that aborted jobs may take to end.", min=0, max=86400),
]


def movement_command_groups(kernel: Callable[[], Kernel]) -> tuple[CommandGroup, ...]:
    """All of them; ``kernel`` is asked when one of them runs."""
    return (
        CommandGroup("storage failover", "Takeover and giveback", _failover_app(kernel)),
        CommandGroup(
            "storage aggregate relocation", "Aggregates to another node", _relocation_app(kernel)
        ),
        CommandGroup("metrocluster", "Switchover and switchback", _metrocluster_app(kernel)),
    )


def _failover_app(kernel: Callable[[], Kernel]) -> typer.Typer:
    """``storage failover``."""
    app = typer.Typer(no_args_is_help=True, help="Takeover and giveback of a node's storage.")
    commands = _FailoverCommands(kernel)
    app.command("takeover")(commands.takeover)
    app.command("giveback")(commands.giveback)
    _add_ends(app, kernel, Domain.FAILOVER)
    return app


def _relocation_app(kernel: Callable[[], Kernel]) -> typer.Typer:
    """``storage aggregate relocation``."""
    app = typer.Typer(no_args_is_help=True, help="Relocation of aggregates to another node.")
    app.command("start")(_RelocationCommands(kernel).start)
    _add_ends(app, kernel, Domain.RELOCATION)
    return app


def _metrocluster_app(kernel: Callable[[], Kernel]) -> typer.Typer:
    """``metrocluster``."""
    app = typer.Typer(no_args_is_help=True, help="Switchover and switchback of all storage.")
    commands = _MetroClusterCommands(kernel)
    app.command("switchover")(commands.switchover)
    app.command("switchback")(commands.switchback)
    _add_ends(app, kernel, Domain.METROCLUSTER)
    return app


def _add_ends(app: typer.Typer, kernel: Callable[[], Kernel], domain: Domain) -> None:
    """The commands that all movements have."""
    commands = _EndCommands(kernel, domain)
    app.command("complete")(commands.complete)
    app.command("abandon")(commands.abandon)
    app.command("show")(commands.show)


@final
class _FailoverCommands:
    """One method a command; the docstring is its help."""

    def __init__(self, kernel: Callable[[], Kernel]) -> None:
        self._kernel: Final = kernel

    def takeover(
        self,
        ofnode: _OfNode,
        override_vetoes: _Override = YesNo.FALSE,
        automatic: _Automatic = False,
        wait: _Wait = 60.0,
    ) -> None:
        """Get jobs out of the way of a takeover, and keep them out until it is complete."""
        self._begin(MovementKind.TAKEOVER, ofnode, override_vetoes, wait, automatic=automatic)

    def giveback(
        self,
        ofnode: _OfNode,
        override_vetoes: _Override = YesNo.FALSE,
        automatic: _Automatic = False,
        wait: _Wait = 60.0,
    ) -> None:
        """Get jobs out of the way of a giveback, and keep them out until it is complete."""
        self._begin(MovementKind.GIVEBACK, ofnode, override_vetoes, wait, automatic=automatic)

    def _begin(
        self, kind: MovementKind, node: str, override: YesNo, wait_s: float, *, automatic: bool
    ) -> None:
        request = ops.MovementBegin(
            kind=kind,
            node=node,
            overrides=override is YesNo.TRUE,
            is_automatic=automatic,
            wait_s=wait_s,
        )
        _begin(self._kernel(), request)


@final
class _RelocationCommands:
    """One method a command; the docstring is its help."""

    def __init__(self, kernel: Callable[[], Kernel]) -> None:
        self._kernel: Final = kernel

    def start(
        self,
        node: _Node,
        destination: _Destination,
        aggregate_list: _Aggregates,
        override_vetoes: _Override = YesNo.FALSE,
        automatic: _Automatic = False,
        wait: _Wait = 60.0,
    ) -> None:
        """Get jobs out of the way of a relocation, and keep them out until it is complete.

        Afterwards the aggregates are at the destination, and jobs of their volumes are
        refused at the other node.
        """
        request = ops.MovementBegin(
            kind=MovementKind.RELOCATION,
            node=node,
            destination=destination,
            aggregates=tuple(aggregate_list.split(",")),
            overrides=override_vetoes is YesNo.TRUE,
            is_automatic=automatic,
            wait_s=wait,
        )
        _begin(self._kernel(), request)


@final
class _MetroClusterCommands:
    """One method a command; the docstring is its help."""

    def __init__(self, kernel: Callable[[], Kernel]) -> None:
        self._kernel: Final = kernel

    def switchover(
        self,
        override_vetoes: _Override = YesNo.FALSE,
        automatic: _Automatic = False,
        wait: _Wait = 60.0,
    ) -> None:
        """Get jobs out of the way of a switchover, and keep them out until it is complete."""
        self._begin(MovementKind.SWITCHOVER, override_vetoes, wait, automatic=automatic)

    def switchback(
        self,
        override_vetoes: _Override = YesNo.FALSE,
        automatic: _Automatic = False,
        wait: _Wait = 60.0,
    ) -> None:
        """Get jobs out of the way of a switchback, and keep them out until it is complete."""
        self._begin(MovementKind.SWITCHBACK, override_vetoes, wait, automatic=automatic)

    def _begin(
        self, kind: MovementKind, override: YesNo, wait_s: float, *, automatic: bool
    ) -> None:
        request = ops.MovementBegin(
            kind=kind, overrides=override is YesNo.TRUE, is_automatic=automatic, wait_s=wait_s
        )
        _begin(self._kernel(), request)


@final
class _EndCommands:
    """One method a command; the docstring is its help."""

    def __init__(self, kernel: Callable[[], Kernel], domain: Domain) -> None:
        self._kernel: Final = kernel
        self._domain: Final = domain

    def complete(self) -> None:
        """Say that the storage has moved: jobs are let in again."""
        movement = self._end(is_complete=True)
        say(f"The {movement.kind.value} is complete.")

    def abandon(self) -> None:
        """Say that the storage stays where it was: jobs are let in again."""
        movement = self._end(is_complete=False)
        say(f"The {movement.kind.value} is abandoned.")

    def _end(self, *, is_complete: bool) -> ops.Movement:
        request = ops.MovementEnd(domain=self._domain, is_complete=is_complete)
        return self._kernel().management.call(ops.END_MOVEMENT, request, Privilege.ADVANCED)

    def show(self, as_json: _Json = False) -> None:
        """List the movement that is on, the aggregates, and the jobs of their volumes."""
        found = self._kernel().management.call(ops.MOVEMENTS, NoRequest())
        if as_json:
            say_json(found)
            return
        for movement in found.movements:
            if movement.kind.domain is self._domain:
                say(_told(movement))
        say_table(
            ("Aggregate", "HA Policy", "Node", "Volumes"),
            [
                (row.name, row.ha_policy, row.node, ", ".join(row.volumes) or "-")
                for row in found.aggregates
            ],
        )
        for job in found.jobs:
            say(f"Running: {job}")


def _begin(kernel: Kernel, request: ops.MovementBegin) -> None:
    begun = kernel.management.call(ops.BEGIN_MOVEMENT, request, Privilege.ADVANCED)
    for job in begun.aborted:
        say(f"Aborted: {job}")
    say(_told(begun.movement))


def _told(movement: ops.Movement) -> str:
    began = f"{dt.datetime.fromtimestamp(movement.began_s, dt.UTC):%Y-%m-%d %H:%M:%S}Z"
    of_node = f" of {movement.node}" if movement.node else ""
    to_node = f" to {movement.destination}" if movement.destination else ""
    names = ", ".join(movement.aggregates) or "no aggregate"
    return f"The {movement.kind.value}{of_node}{to_node} is on since {began}: {names}"
