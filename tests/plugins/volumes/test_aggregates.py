"""Aggregates: which volumes are in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.movements import Aggregate, AggregateStorage, HaPolicy
from tapekit_volumes.aggregates import aggregates_of
from tapekit_volumes.settings import AggregateSettings, VolumeSettings, VolumesSettings
from tapekit_volumes.storage import VolumeStorage


def volume(path: str, **others: str) -> VolumeSettings:
    return VolumeSettings(path=path, directory=Path(path.strip("/")), **others)  # type: ignore[arg-type]  # strings alone


def test_volumes_are_in_one_aggregate_unless_the_stack_file_says_otherwise() -> None:
    found = aggregates_of(VolumesSettings(volume=(volume("/vs1/a"), volume("/vs2/b"))))
    assert found == (Aggregate(name="aggr1", ha_policy=HaPolicy.SFO, volumes=("/vs1/a", "/vs2/b")),)


def test_tables_say_how_aggregates_go_and_may_be_left_out() -> None:
    settings = VolumesSettings(
        aggregate=(
            AggregateSettings(name="aggr0", ha_policy=HaPolicy.CFO),
            AggregateSettings(name="empty", node="node2"),
        ),
        volume=(volume("/vs1/a", aggregate="aggr2"), volume("/vs1/b", aggregate="aggr0")),
    )
    assert aggregates_of(settings) == (
        Aggregate(name="aggr0", ha_policy=HaPolicy.CFO, volumes=("/vs1/b",)),
        Aggregate(name="empty", ha_policy=HaPolicy.SFO, home="node2", volumes=()),
        Aggregate(name="aggr2", ha_policy=HaPolicy.SFO, volumes=("/vs1/a",)),
    )


def test_two_aggregates_of_one_name_are_refused() -> None:
    row = AggregateSettings(name="aggr1")
    with pytest.raises(TapekitError, match="two aggregates are called aggr1"):
        aggregates_of(VolumesSettings(aggregate=(row, row)))


def test_the_storage_of_volumes_tells_its_aggregates() -> None:
    assert isinstance(VolumeStorage(), AggregateStorage)
