"""The volumes of a stack where they are now.

The stack file tells where volumes were at first, and records of moves where
they are. The one rule: each volume knows what the stack file told when it
was found, so that a record for another directory is none for it; how often it
has moved is true whatever the stack file tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tapekit_volumes.places import configured, placed
from tapekit_volumes.table import volume_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit_volumes.places import PlaceRecord
    from tapekit_volumes.settings import VolumeSettings
    from tapekit_volumes.table import Volume

__all__ = ["present_table"]


def present_table(
    rows: Sequence[VolumeSettings], kernel: Kernel, records: Mapping[str, PlaceRecord]
) -> Mapping[str, Volume]:
    """The volumes by path, in the order of the stack file.

    :param records: of moves, by volume.
    :raises TapekitError: the first thing that is wrong.
    """
    base = kernel.base_directory
    now = placed(rows, base, records)
    table = volume_table(now, base, kernel.snapshot_methods)
    told = {row.path: configured(row, base) for row in rows}
    moves = {path: record.moves for path, record in records.items()}
    return {
        path: volume._replace(
            configured=told[path],
            traits=msgspec.structs.replace(volume.traits, moves=moves.get(path, 0)),
        )
        for path, volume in table.items()
    }
