"""Physical path names: where a device is plugged in, in words that last.

The kernel counts hosts and targets as it finds them, which may be another
order after the next start. So adapters go by the slot that they are in, devices
on SAS by the connector's lane, and those behind a Fibre Channel switch by the
switch and its port. The one rule: a name is made of what only a change of
plugs or settings changes; where there is nothing of the kind, such as for
devices that exist in software, the kernel's numbers stand in for it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from tapekit_scsi_sg.attached import Attached
    from tapekit_scsi_sg.settings import ScsiSgSettings

__all__ = ["physical_path"]

_PCI: Final = re.compile(r"([0-9a-f]{4}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])", re.ASCII)
_REMOTE_PORT: Final = re.compile(r"rport-[0-9]+:[0-9]+-[0-9]+", re.ASCII)
_SAS_PORT: Final = re.compile(r"port-[0-9]+(:[0-9]+)+", re.ASCII)
_SAS_LANE: Final = re.compile(r"phy-[0-9]+(?::[0-9]+)*:([0-9]+)", re.ASCII)
_LANES_OF_A_CONNECTOR: Final = 4
_LETTERS: Final = "abcdefghijklmnop"


def physical_path(found: Attached, sysfs: Path, settings: ScsiSgSettings) -> str:
    """The physical path name of a device: ``8.6L2``, ``5c.4``, ``MY_SWITCH:5.3``."""
    lun = f"L{found.nexus.lun}" if found.nexus.lun else ""
    return f"{_place(found, sysfs, settings)}{lun}"


def _place(found: Attached, sysfs: Path, settings: ScsiSgSettings) -> str:
    behind_switch = _switch_port(found, sysfs, settings)
    if behind_switch is not None:
        return behind_switch
    adapter, lane = _adapter(found, sysfs, settings), _sas_lane(found)
    return f"{adapter}.{found.nexus.target if lane is None else lane}"


def _adapter(found: Attached, sysfs: Path, settings: ScsiSgSettings) -> str:
    """The name of an adapter's port."""
    functions = [part for part in found.directory.parts if _PCI.fullmatch(part)]
    channel = f"-{found.nexus.channel}" if found.nexus.channel else ""
    if not functions:
        return f"{found.nexus.host}{channel}"
    function = functions[-1]
    if function in settings.adapters:
        return f"{settings.adapters[function]}{channel}"
    card, _, port = function.rpartition(".")
    lane = _sas_lane(found, is_of_adapter=True)
    connector = int(port) if lane is None else lane // _LANES_OF_A_CONNECTOR
    return f"{_slot(card, sysfs)}{_LETTERS[connector % len(_LETTERS)]}{channel}"


def _slot(card: str, sysfs: Path) -> str:
    """The label of the slot that a card is in, or else its place on the bus."""
    for slot in sorted((sysfs / "bus/pci/slots").glob("*")):
        if _text(slot / "address") == card and slot.name.isdigit():
            return slot.name
    domain, bus, device = card.split(":")
    return "-".join((*(() if domain == "0000" else (domain,)), bus, device))


def _sas_lane(found: Attached, *, is_of_adapter: bool = False) -> int | None:
    """The lowest lane of the port that a device hangs at, on SAS.

    :param is_of_adapter: of the adapter's port, where expanders stand between.
    """
    folders = [one for one in found.directory.parents if _SAS_PORT.fullmatch(one.name)]
    if not folders:
        return None
    port = folders[-1 if is_of_adapter else 0]
    lanes = (_SAS_LANE.fullmatch(entry.name) for entry in sorted(port.glob("phy-*")))
    numbers = [int(lane[1]) for lane in lanes if lane]
    return min(numbers, default=None)


def _switch_port(found: Attached, sysfs: Path, settings: ScsiSgSettings) -> str | None:
    """Switch, port and device, for a device behind a Fibre Channel switch: the
    three bytes of its address (FC-FS, Domain_ID, Area_ID, Port_ID).
    """
    ports = [part for part in found.directory.parts if _REMOTE_PORT.fullmatch(part)]
    if not ports:
        return None
    address = _hexadecimal(_text(sysfs / "class/fc_remote_ports" / ports[-1] / "port_id"))
    fabric = _text(sysfs / "class/fc_host" / f"host{found.nexus.host}" / "fabric_name")
    if not address or address < 1 << 16:
        # A loop without a switch has addresses of one byte.
        return None
    domain, area, device = address.to_bytes(3, "big")
    key = f"{fabric.removeprefix('0x')}/{domain}"
    name = settings.switches.get(key, f"{fabric[-6:]}-{domain}")
    return f"{name}:{area}.{device}"


def _hexadecimal(text: str) -> int | None:
    try:
        return int(text, 16)
    except ValueError:
        return None


def _text(file: Path) -> str:
    """What a file says; empty if it is not there."""
    try:
        return file.read_text("ascii", "replace").strip()
    except OSError:
        return ""
