"""``tapekit storage tape show`` and its kin, the commands of the guide.

They ask the running server, which alone knows who has which device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, TypeAlias, final

import typer

from tapekit.console import say_json
from tapekit.hookspecs.operations import NoRequest, way_to
from tapekit_tape_devices.errors import CATALOGUE
from tapekit_tape_devices.operations import BRIDGES, DEVICES
from tapekit_tape_devices.printing import columns, lone_command, say_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tapekit.hookspecs.commands import CommandGroup
    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit_tape_devices.operations import Bridges, DeviceLine, Devices

__all__ = ["bridge_table", "device_table", "guide_groups", "overview"]

_DRIVE: Final = "tape drive"
_CHANGER: Final = "media changer"

_Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Answer with JSON.")]
_Node: TypeAlias = Annotated[
    str | None, typer.Option("--node", "-node", help="The name of a node, or local.")
]


def guide_groups(kernel: Callable[[], Kernel]) -> Sequence[CommandGroup]:
    """The commands; ``kernel`` is asked when one of them runs."""
    commands = _Commands(kernel)
    return (
        lone_command("storage tape show", "Tape drives and media changers", commands.show),
        lone_command("storage tape show-tape-drive", "Tape drives", commands.drives),
        lone_command("storage tape show-media-changer", "Media changers", commands.changers),
        lone_command("storage bridge show", "Bridges and routers", commands.bridges),
        lone_command("system node hardware tape drive show", "Tape drives", commands.drives),
        lone_command("system node hardware tape library show", "Media changers", commands.changers),
    )


@final
class _Commands:
    """One method a command; the docstring is its help."""

    def __init__(self, kernel: Callable[[], Kernel]) -> None:
        self._kernel: Final = kernel

    def _devices(self, node: str | None) -> Devices:
        devices = way_to(self._kernel().management, node).call(DEVICES, NoRequest())
        if node not in {None, "local", devices.node}:
            raise CATALOGUE.error("other-node", node=node, present=devices.node)
        return devices

    def show(
        self,
        device_names: Annotated[
            bool, typer.Option("--device-names", "-device-names", help="Show device names too.")
        ] = False,
        node: _Node = None,
        as_json: _Json = False,
    ) -> None:
        """List tape drives and media changers."""
        devices = self._devices(node)
        if as_json:
            say_json(devices)
        else:
            say_lines(overview(devices, with_names=device_names))

    def drives(self, node: _Node = None, as_json: _Json = False) -> None:
        """List tape drives with their aliases and serial numbers."""
        devices = self._devices(node)
        self._list(devices, devices.drives, as_json=as_json)

    def changers(self, node: _Node = None, as_json: _Json = False) -> None:
        """List media changers with their aliases and serial numbers."""
        devices = self._devices(node)
        self._list(devices, devices.changers, as_json=as_json)

    def bridges(self, node: _Node = None, as_json: _Json = False) -> None:
        """List bridges and routers before tape drives and media changers."""
        found = way_to(self._kernel().management, node).call(BRIDGES, NoRequest())
        if node not in {None, "local", found.node}:
            raise CATALOGUE.error("other-node", node=node, present=found.node)
        if as_json:
            say_json(found.bridges)
        else:
            say_lines(bridge_table(found))

    def _list(self, devices: Devices, lines: Sequence[DeviceLine], *, as_json: bool) -> None:
        if as_json:
            say_json(lines)
        else:
            say_lines(device_table(devices.node, lines))


def _status(device: DeviceLine) -> str:
    if not device.is_online:
        return "offline"
    return "in use" if device.holder else "free"


def overview(devices: Devices, *, with_names: bool) -> Iterator[str]:
    """The lines of a listing of all devices: what they are, and whether they
    are in use.
    """
    yield f"Node: {devices.node}"
    kinds = ((_DRIVE, devices.drives), (_CHANGER, devices.changers))
    yield from columns(
        ("Device ID", "Device Type", "Description", "Status"),
        [
            (one.physical_path, kind, one.description, _status(one))
            for kind, lines in kinds
            for one in lines
        ],
    )
    for one in (*devices.drives, *devices.changers) if with_names else ():
        yield ""
        yield f"{one.description} ({one.physical_path})"
        yield from (f"    {name}" for name in one.device_names)


def bridge_table(found: Bridges) -> Iterator[str]:
    """The lines of a listing of bridges."""
    yield f"Node: {found.node}"
    yield from columns(
        ("Bridge", "Device ID", "Serial Number", "Description", "Revision"),
        [
            (one.name, one.physical_path, one.serial, one.description, one.revision)
            for one in found.bridges
        ],
    )


def device_table(node: str, lines: Sequence[DeviceLine]) -> Iterator[str]:
    """The lines of a listing of devices of one kind."""
    yield f"Node: {node}"
    yield from columns(
        ("Device ID", "Alias", "Serial Number", "Description", "Revision", "Used By"),
        [
            (
                one.physical_path,
                ", ".join(one.aliases) or "-",
                one.serial,
                one.description,
                one.revision,
                one.holder or "-",
            )
            for one in lines
        ],
    )
