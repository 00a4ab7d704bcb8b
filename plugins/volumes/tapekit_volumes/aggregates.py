"""Aggregates: which volumes move together.

The stack file says of each volume which aggregate it is in, and of an
aggregate how it goes to another node. The one rule: each volume is in
exactly one aggregate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tapekit.hookspecs.movements import Aggregate
from tapekit_volumes.errors import CATALOGUE
from tapekit_volumes.settings import AggregateSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tapekit_volumes.settings import VolumesSettings
    from tapekit_volumes.table import Volume

__all__ = ["aggregates_now", "aggregates_of"]


def aggregates_of(settings: VolumesSettings) -> Sequence[Aggregate]:
    """The aggregates: those with tables, then those that volumes name alone.

    :raises TapekitError: two tables have the same name.
    """
    tables: dict[str, AggregateSettings] = {}
    for row in settings.aggregate:
        if row.name in tables:
            raise CATALOGUE.error("aggregate-twice", aggregate=row.name)
        tables[row.name] = row
    held: dict[str, list[str]] = {name: [] for name in tables}
    for volume in settings.volume:
        held.setdefault(volume.aggregate, []).append(volume.path)
    return tuple(
        _aggregate(tables.get(name) or AggregateSettings(name=name), volumes)
        for name, volumes in held.items()
    )


def aggregates_now(
    aggregates: Sequence[Aggregate], volumes: Iterable[Volume]
) -> Sequence[Aggregate]:
    """The aggregates, with the volumes that are in them now."""
    held: dict[str, list[str]] = {each.name: [] for each in aggregates}
    for volume in volumes:
        if volume.aggregate in held:
            held[volume.aggregate].append(volume.path)
    return tuple(
        msgspec.structs.replace(each, volumes=tuple(held[each.name])) for each in aggregates
    )


def _aggregate(row: AggregateSettings, volumes: Sequence[str]) -> Aggregate:
    return Aggregate(name=row.name, ha_policy=row.ha_policy, home=row.node, volumes=tuple(volumes))
