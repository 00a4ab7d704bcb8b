"""The bridges and routers of a node: what drivers have found, numbered.

Nothing here opens one, or sends it a command: it is used through the drives
and changers behind it, each of which is held and reserved by itself. The one
rule: a node has no more of them than it may have, and says so.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from tapekit.hookspecs.tape_driver import BridgeFinder
from tapekit_tape_devices.operations import BridgeLine

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["MOST_BRIDGES", "bridge_lines"]

_LOG: Final = logging.getLogger("tapekit.tape_devices")

MOST_BRIDGES: Final = 16
"""Bridges and routers that one node may have, however they are attached."""


def bridge_lines(drivers: Iterable[object]) -> Sequence[BridgeLine]:
    """The bridges that drivers find now. Blocks.

    :raises TapekitError: a driver cannot look.
    """
    finders = {id(driver): driver for driver in drivers if isinstance(driver, BridgeFinder)}
    found = [one for finder in finders.values() for one in finder.discover_bridges()]
    if len(found) > MOST_BRIDGES:
        _LOG.warning(
            "%d bridges and routers are connected; those beyond %d have no names",
            len(found),
            MOST_BRIDGES,
        )
    return [
        BridgeLine(
            name=f"br{number}",
            physical_path=one.physical_path,
            description=f"{one.vendor} {one.product}",
            serial=one.serial,
            revision=one.revision,
        )
        for number, one in enumerate(found[:MOST_BRIDGES])
    ]
