"""``tapekit storage tape alias``: set, clear and show, the commands of the guide.

Options may be written its way (``-name st3``) or with two dashes. The one
rule: the running server alone changes aliases, so that it goes by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, TypeAlias, final

import typer

from tapekit.console import say_json
from tapekit.errors import TapekitError
from tapekit.hookspecs.operations import NoRequest, way_to, ways_to
from tapekit_aliases.errors import CATALOGUE
from tapekit_aliases.operations import CLEAR, SET, SHOW, ClearRequest, Scope, SetRequest
from tapekit_tape_devices.printing import columns, say_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.operations import Management
    from tapekit_aliases.operations import AliasChange, Aliases

__all__ = ["alias_listing", "command_app"]


_Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Answer with JSON.")]
_Node: TypeAlias = Annotated[
    str | None, typer.Option("--node", "-node", help="The name of a node, or local.")
]


def command_app(kernel: Callable[[], Kernel]) -> typer.Typer:
    """The commands; ``kernel`` is asked when one of them runs."""
    commands = _Commands(kernel)
    app = typer.Typer(no_args_is_help=True, help="Aliases of tape drives and media changers.")
    app.command("set")(commands.set)
    app.command("clear")(commands.clear)
    app.command("show")(commands.show)
    return app


@final
class _Commands:
    """One method a command; the docstring is its help."""

    def __init__(self, kernel: Callable[[], Kernel]) -> None:
        self._kernel: Final = kernel

    @property
    def _management(self) -> Management:
        return self._kernel().management

    def set(
        self,
        name: Annotated[str, typer.Option("--name", "-name", help="The alias, such as st3.")],
        mapping: Annotated[
            str,
            typer.Option(
                "--mapping",
                "-mapping",
                help="What it is bound to, such as SN[123456]L4 or 8.6.",
            ),
        ],
        node: _Node = None,
        as_json: _Json = False,
    ) -> None:
        """Bind an alias to a tape drive or a media changer."""
        request = SetRequest(alias=name, mapping=mapping, node=node)
        change = way_to(self._management, node).call(SET, request)
        if as_json:
            say_json(change)
        else:
            say_lines(_set_lines(change))

    def clear(
        self,
        name: Annotated[
            str | None, typer.Option("--name", "-name", help="The alias to clear.")
        ] = None,
        clear_scope: Annotated[
            Scope | None,
            typer.Option("--clear-scope", "-clear-scope", help="Clear all of this scope."),
        ] = None,
        node: _Node = None,
        as_json: _Json = False,
    ) -> None:
        """Remove aliases; their devices cannot be opened until they get new ones."""
        request = ClearRequest(alias=name, scope=clear_scope, node=node)
        change = way_to(self._management, node).call(CLEAR, request)
        if as_json:
            say_json(change)
        else:
            say_lines([f"Cleared: {', '.join(change.cleared) or 'none'}."])

    def show(self, node: _Node = None, as_json: _Json = False) -> None:
        """Show aliases and what they are bound to, of all nodes that are known."""
        nodes, failures = _told(ways_to(self._management, node))
        for one in nodes:
            if node not in {None, "local", one.node}:
                raise CATALOGUE.error("other-node", node=node, present=one.node)
        if nodes and as_json:
            say_json(nodes)
        elif nodes:
            say_lines(alias_listing(nodes))
        if failures:
            raise failures[0]


def _told(ways: Iterable[Management]) -> tuple[list[Aliases], list[TapekitError]]:
    """What nodes answer, and why others do not."""
    nodes: list[Aliases] = []
    failures: list[TapekitError] = []
    for way in ways:
        try:
            nodes.append(way.call(SHOW, NoRequest()))
        except TapekitError as error:
            failures.append(error)
    return nodes, failures


def alias_listing(nodes: Iterable[Aliases]) -> Iterator[str]:
    """The lines of a listing: node, alias, what it is bound to, and where that is."""
    titles = ("Node", "Alias", "Mapping", "Attached At")
    rows = [
        (node.node, one.alias, one.mapping, one.physical_path or "-")
        for node in nodes
        for one in node.aliases
    ]
    yield from columns(titles, rows)


def _set_lines(change: AliasChange) -> Iterator[str]:
    row = change.set
    assert row is not None
    place = f"device {row.physical_path}" if row.physical_path else "not attached now"
    yield f"{row.alias} is the alias of {row.mapping} ({place})."
    if change.cleared:
        yield f"It replaces {', '.join(change.cleared)}."
