"""The table of what sessions see, and its copy in the README."""

from __future__ import annotations

from pathlib import Path

from tapekit.hookspecs.placement import Reach
from tapekit_cluster.sights import NODE_SCOPE, SIGHTS

README = Path(__file__).parents[3] / "plugins" / "cluster" / "README.md"


def test_the_readme_shows_the_table() -> None:
    rows = [
        f"| `{role}` | {'yes' if is_aware else 'no'} | {sight.volumes.value} "
        f"| {sight.devices.value} | {', '.join(sorted(sight.address_kinds))} |"
        for (role, is_aware), sight in SIGHTS.items()
    ]
    assert "\n".join(rows) in README.read_text()


def test_cluster_aware_backup_takes_nothing_away() -> None:
    far = [Reach.NOTHING, Reach.NODE, Reach.CLUSTER]
    roles = {role for role, _ in SIGHTS}
    assert len(SIGHTS) == 2 * len(roles) == 8
    for role in roles:
        alone, aware = SIGHTS[role, False], SIGHTS[role, True]
        assert far.index(alone.volumes) <= far.index(aware.volumes)
        assert far.index(alone.devices) <= far.index(aware.devices)
        assert alone.address_kinds <= aware.address_kinds


def test_node_scope_ends_at_the_node() -> None:
    assert (NODE_SCOPE.volumes, NODE_SCOPE.devices) == (Reach.NODE, Reach.NODE)
