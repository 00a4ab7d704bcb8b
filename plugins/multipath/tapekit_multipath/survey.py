"""The paths of a node as its administrator sees them.

Everything is read off what has been found and what opening has shown; no
device is asked. The one rule: a path is listed once, used or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapekit_multipath.operations import LunGroup, PathRow
from tapekit_multipath.paths import lun_groups

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tapekit.hookspecs.tape_driver import PathPorts, TapeInventory
    from tapekit_multipath.joiner import PathsOfDevices
    from tapekit_multipath.paths import DevicePath, PathDevice

__all__ = ["survey"]


def survey(
    found: PathsOfDevices, inventory: TapeInventory | None
) -> tuple[tuple[PathRow, ...], tuple[LunGroup, ...]]:
    """The paths and the LUN groups.

    :raises TapekitError: a driver cannot look.
    """
    names = _names(inventory)
    groups = lun_groups((*found.drives, *found.changers))
    libraries = _libraries(found.changers)
    rows: list[PathRow] = []
    shown: list[LunGroup] = []
    for number, (ports, devices) in enumerate(groups.items()):
        library = next((libraries[port.target] for port in ports if port.target in libraries), "")
        shown.append(
            LunGroup(
                number=number,
                lun_count=len(devices),
                library_name=library,
                target_ports=tuple(sorted({port.target for port in ports})),
                initiators=tuple(sorted({port.initiator for port in ports})),
            )
        )
        for device in devices:
            name = names.get(device.found.physical_path, "")
            rows.extend(_rows(device, name, library, number))
    return tuple(rows), tuple(shown)


def _rows(device: PathDevice, name: str, library: str, group: int) -> Iterator[PathRow]:
    for path in (*device.paths, *device.spare):
        ports = path.ports
        yield PathRow(
            device_id=path.found.physical_path,
            ndmp_path=name,
            library_name=library,
            initiator=ports.initiator,
            target_port=ports.target,
            lun=path.lun,
            is_multipath=len(device.paths) > 1,
            path_errors=path.errors,
            path_qual=_qualification(path, device),
            lun_group=group,
        )


def _qualification(path: DevicePath, device: PathDevice) -> str:
    if path in device.paths:
        return "working" if path.is_working else "failed"
    return "unused" if path.lun == device.paths[0].lun else "LUN mapping differs"


def _libraries(changers: Sequence[PathDevice]) -> Mapping[str, str]:
    """The names of libraries, by the target ports at which their changers are."""
    names: dict[str, str] = {}
    for number, changer in enumerate(changers, 1):
        name = f"{changer.found.vendor} {changer.found.product}_{number}"
        for path in changer.paths:
            names.setdefault(_target(path.ports), name)
    return names


def _target(ports: PathPorts) -> str:
    return ports.target


def _names(inventory: TapeInventory | None) -> Mapping[str, str]:
    """What opens each device without rewinding, by physical path names."""
    if inventory is None:
        return {}
    names = {row.description.physical_path: row.name for row in inventory.changers()}
    for drive in inventory.drives():
        for device in drive.devices:
            if not (device.rewinds or device.unloads) and device.compression == "a":
                names.setdefault(drive.description.physical_path, device.name)
    return names
