"""``tapekit storage tape reservation``: who has reserved what, and the end of it.

The method itself is the option ``tape.reservations``. The one rule: a
reservation of another system ends only when an administrator says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, TypeAlias, final

import typer

from tapekit.console import say_json
from tapekit.hookspecs.operations import NoRequest, Privilege, way_to
from tapekit_reservations.errors import CATALOGUE
from tapekit_reservations.operations import CLEAR, SHOW, ClearRequest
from tapekit_tape_devices.printing import columns, say_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit_reservations.operations import Reservations

__all__ = ["command_app", "reservation_listing"]

_Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Answer with JSON.")]
_Node: TypeAlias = Annotated[
    str | None, typer.Option("--node", "-node", help="The name of a node, or local.")
]


def command_app(kernel: Callable[[], Kernel]) -> typer.Typer:
    """The commands; ``kernel`` is asked when one of them runs."""
    commands = _Commands(kernel)
    app = typer.Typer(no_args_is_help=True, help="Reservations of drives and changers.")
    app.command("show")(commands.show)
    app.command("clear")(commands.clear)
    return app


@final
class _Commands:
    """One method a command; the docstring is its help."""

    def __init__(self, kernel: Callable[[], Kernel]) -> None:
        self._kernel: Final = kernel

    def show(self, node: _Node = None, as_json: _Json = False) -> None:
        """Show who has reserved which drive or changer."""
        reply = way_to(self._kernel().management, node).call(SHOW, NoRequest())
        if node not in {None, "local", reply.node}:
            raise CATALOGUE.error("other-node", node=node, present=reply.node)
        if as_json:
            say_json(reply)
        else:
            say_lines(reservation_listing(reply))

    def clear(
        self,
        name: Annotated[
            str, typer.Option("--name", "-name", help="A name or the device ID of the device.")
        ],
        node: _Node = None,
        advanced: Annotated[
            bool, typer.Option("--advanced", help="Ask for the advanced privilege level.")
        ] = False,
        as_json: _Json = False,
    ) -> None:
        """End the reservation of another system, which must not use the device any more."""
        privilege = Privilege.ADVANCED if advanced else Privilege.ADMIN
        request = ClearRequest(device=name, node=node)
        row = way_to(self._kernel().management, node).call(CLEAR, request, privilege)
        if as_json:
            say_json(row)
        else:
            say_lines([f"{row.physical_path} is reserved by nobody."])


def reservation_listing(reply: Reservations) -> Iterator[str]:
    """The lines of a listing: the method, then a line a device."""
    yield f"Node: {reply.node}"
    yield f"tape.reservations: {reply.method}"
    yield from columns(
        ("Device ID", "Reserved By", "Key", "Used By"),
        [
            (one.physical_path, one.standing.value, one.key or "-", one.holder or "-")
            for one in reply.devices
        ],
    )
    for one in reply.devices:
        if one.unknown_because:
            yield f"{one.physical_path}: {one.unknown_because}"
