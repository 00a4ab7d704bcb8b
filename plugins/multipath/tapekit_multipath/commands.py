"""``tapekit storage tape library path show`` and its kin, the commands of the guide.

They ask the running server, which knows the paths and how they have done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, TypeAlias, final

import typer

from tapekit.console import say_json
from tapekit.hookspecs.operations import NoRequest, way_to
from tapekit_multipath.errors import CATALOGUE
from tapekit_multipath.operations import SHOW
from tapekit_tape_devices.printing import columns, lone_command, say_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tapekit.hookspecs.commands import CommandGroup
    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit_multipath.operations import PathRow, Paths

__all__ = ["command_groups", "config_listing", "initiator_listing", "path_listing"]

_Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Answer with JSON.")]
_Node: TypeAlias = Annotated[
    str | None, typer.Option("--node", "-node", help="The name of a node, or local.")
]


def command_groups(kernel: Callable[[], Kernel]) -> Sequence[CommandGroup]:
    """The commands; ``kernel`` is asked when one of them runs."""
    commands = _Commands(kernel)
    return (
        lone_command("storage tape library path show", "Paths to libraries", commands.paths),
        lone_command(
            "storage tape library path show-by-initiator",
            "Paths to libraries, by initiator port",
            commands.by_initiator,
        ),
        lone_command("storage tape library config show", "LUN groups", commands.config),
    )


@final
class _Commands:
    """One method a command; the docstring is its help."""

    def __init__(self, kernel: Callable[[], Kernel]) -> None:
        self._kernel: Final = kernel

    def paths(self, node: _Node = None, as_json: _Json = False) -> None:
        """Show the paths to drives and changers, and how they have done."""
        self._show(node, path_listing, as_json=as_json)

    def by_initiator(self, node: _Node = None, as_json: _Json = False) -> None:
        """Show the paths to drives and changers by initiator port."""
        self._show(node, initiator_listing, as_json=as_json)

    def config(self, node: _Node = None, as_json: _Json = False) -> None:
        """Show how libraries are connected with this node."""
        self._show(node, config_listing, as_json=as_json)

    def _show(
        self, node: str | None, listing: Callable[[Paths], Iterator[str]], *, as_json: bool
    ) -> None:
        paths = way_to(self._kernel().management, node).call(SHOW, NoRequest())
        if node not in {None, "local", paths.node}:
            raise CATALOGUE.error("other-node", node=node, present=paths.node)
        if as_json:
            say_json(paths)
        else:
            say_lines(listing(paths))


def path_listing(paths: Paths) -> Iterator[str]:
    """The lines of a listing of all paths, a line a path."""
    yield f"Node: {paths.node}"
    yield from columns(
        (
            "Device ID",
            "NDMP Path",
            "Library Name",
            "Initiator",
            "Target Port",
            "Access",
            "LUN Group",
            "LUN",
            "Path Errors",
            "Path Qual",
        ),
        [
            (
                one.device_id,
                one.ndmp_path or "-",
                one.library_name or "-",
                one.initiator,
                one.target_port,
                _access(one),
                str(one.lun_group),
                str(one.lun),
                str(one.path_errors),
                one.path_qual,
            )
            for one in paths.paths
        ],
    )
    yield _footer(len(paths.paths))


def initiator_listing(paths: Paths) -> Iterator[str]:
    """The lines of a listing in which each initiator port has its paths below it."""
    yield f"Node: {paths.node}"
    by_port = sorted(paths.paths, key=lambda one: (one.initiator, one.target_port))
    yield from columns(
        ("Initiator", "Target Port", "Library Name", "LUN Group", "LUN", "Device ID", "Access"),
        [
            (
                one.initiator,
                one.target_port,
                one.library_name or "-",
                str(one.lun_group),
                str(one.lun),
                one.device_id,
                _access(one),
            )
            for one in by_port
        ],
    )
    yield _footer(len(by_port))


def config_listing(paths: Paths) -> Iterator[str]:
    """The lines of a listing of LUN groups; each further initiator of a group
    has a line of its own.
    """
    rows: list[tuple[str, ...]] = []
    for number, group in enumerate(paths.groups):
        first, *others = group.initiators
        targets = ", ".join(group.target_ports)
        node = "" if number else paths.node
        library = group.library_name or "-"
        rows.append((node, str(group.number), str(group.lun_count), library, targets, first))
        rows += [("", "", "", "", "", other) for other in others]
    titles = ("Node", "LUN Group", "LUN Count", "Library Name", "Library Target Port", "Initiator")
    yield from columns(titles, rows)
    yield _footer(len(rows))


def _access(path: PathRow) -> str:
    return "multipath" if path.is_multipath else "single-path"


def _footer(entries: int) -> str:
    return "1 entry was displayed." if entries == 1 else f"{entries} entries were displayed."
