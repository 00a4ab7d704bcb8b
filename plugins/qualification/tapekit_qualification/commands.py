"""``tapekit storage tape show-supported-status`` and ``tapekit storage show
tape supported``, the commands of the guide.

The first asks the running server, which knows what is attached; the second
reads the qualification table of the stack file, whether it runs or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, TypeAlias, final

import typer

from tapekit.console import say_json
from tapekit.hookspecs.operations import NoRequest, way_to
from tapekit_qualification.errors import CATALOGUE
from tapekit_qualification.operations import DRIVES
from tapekit_tape_devices.printing import columns, lone_command, say_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tapekit.hookspecs.commands import CommandGroup
    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit_qualification.operations import DriveStatuses, DriveStatusRow
    from tapekit_qualification.table import QualificationTable, TableEntry

__all__ = ["command_groups", "drive_listing", "status_listing", "supported_listing"]

_Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Answer with JSON.")]


def command_groups(
    kernel: Callable[[], Kernel], table: Callable[[], QualificationTable]
) -> Sequence[CommandGroup]:
    """The commands; ``kernel`` and ``table`` are asked when one of them runs."""
    commands = _Commands(kernel, table)
    return (
        lone_command(
            "storage tape show-supported-status",
            "Which attached tape drives are qualified",
            commands.show_supported_status,
        ),
        lone_command(
            "storage show tape supported", "Which tape drives are supported", commands.supported
        ),
    )


@final
class _Commands:
    """One method a command; the docstring is its help."""

    def __init__(
        self, kernel: Callable[[], Kernel], table: Callable[[], QualificationTable]
    ) -> None:
        self._kernel: Final = kernel
        self._table: Final = table

    def show_supported_status(
        self,
        node: Annotated[
            str | None, typer.Option("--node", "-node", help="The name of a node, or local.")
        ] = None,
        verbose: Annotated[bool, typer.Option("-v", help="Show each drive by itself.")] = False,
        as_json: _Json = False,
    ) -> None:
        """Show which attached tape drives are qualified."""
        statuses = way_to(self._kernel().management, node).call(DRIVES, NoRequest())
        if node not in {None, "local", statuses.node}:
            raise CATALOGUE.error("other-node", node=node, present=statuses.node)
        if as_json:
            say_json(statuses)
        else:
            say_lines(drive_listing(statuses) if verbose else status_listing(statuses))

    def supported(
        self,
        verbose: Annotated[bool, typer.Option("-v", help="Show what each file says.")] = False,
        as_json: _Json = False,
    ) -> None:
        """Show the tape drives that are supported."""
        entries = self._table().entries
        if as_json:
            say_json(
                [
                    {
                        "name": entry.configuration.name,
                        "status": entry.standing.value,
                        "file": entry.file,
                        "configuration": entry.configuration,
                    }
                    for entry in entries
                ]
            )
        else:
            say_lines(supported_listing(entries, is_verbose=verbose))


def status_listing(statuses: DriveStatuses) -> Iterator[str]:
    """The lines of a listing of a node: nonqualified drives first, each kind once."""
    yield f"Node: {statuses.node}"
    rows = {
        (_quoted(drive), str(drive.is_supported).lower(), drive.status): None
        for drive in sorted(statuses.drives, key=lambda one: (one.is_supported, one.name))
    }
    yield from columns(("Tape Drive", "Is Supported", "Support Status"), list(rows))


def drive_listing(statuses: DriveStatuses) -> Iterator[str]:
    """The lines of a listing of a node, a line a drive: what it says it is, and
    what it counts as.
    """
    yield f"Node: {statuses.node}"
    titles = ("Tape Drive", "Is Supported", "Support Status", "Device ID", "Serial Number")
    yield from columns(
        (*titles, "Vendor", "Product", "Emulates"),
        [
            (
                _quoted(drive),
                str(drive.is_supported).lower(),
                drive.status,
                drive.physical_path,
                drive.serial or "-",
                drive.vendor,
                drive.product,
                drive.emulates or "-",
            )
            for drive in statuses.drives
        ],
    )


def _quoted(drive: DriveStatusRow) -> str:
    return drive.name if drive.is_supported else f'"{drive.name}"'


def supported_listing(entries: Iterable[TableEntry], *, is_verbose: bool) -> Iterator[str]:
    """The lines of a listing of the qualification table."""
    for entry in entries:
        found = entry.configuration
        yield found.name
        if not is_verbose:
            continue
        yield f"    status: {entry.standing.value}, by {entry.file}"
        yield (
            f'    vendor: "{found.vendor_id}", product: "{found.product_id}", '
            f"bytes compared: {found.id_match_size}"
        )
        for letter, row in found.formats.items():
            codes = f"density 0x{row.density:02x}, algorithm 0x{row.algorithm:02x}"
            yield f"    {letter}: {row.description:<24}  {codes}"
        yield f"    autoload: {'yes' if found.autoload else 'no'}"
        for operation, seconds in sorted(found.timeouts_s.items()):
            yield f"    time limit of command 0x{operation:02x}: {seconds:g} s"
