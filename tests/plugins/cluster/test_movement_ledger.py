"""Movements and places of aggregates, over restarts."""

from __future__ import annotations

from collections import UserDict
from typing import TYPE_CHECKING

import msgspec
import pytest

from tapekit.errors import CORE, TapekitError
from tapekit.kernel.memory_state import MemoryStateStore
from tapekit_cluster.movement_ledger import MovementLedger
from tapekit_cluster.movement_operations import DOMAINS, Domain, Movement, MovementKind

if TYPE_CHECKING:
    from collections.abc import KeysView, Mapping

TAKEOVER = Movement(
    kind=MovementKind.TAKEOVER, node="n1", aggregates=("aggr1",), overrides=True, began_s=1000.0
)
RELOCATION = Movement(
    kind=MovementKind.RELOCATION,
    node="n1",
    destination="n2",
    aggregates=("aggr1", "aggr2"),
    began_s=1000.5,
)


class FailingState(MemoryStateStore):
    """A store that cannot be written."""

    def change(self, namespace: str, values: Mapping[str, bytes | None]) -> None:
        raise CORE.error("no-management", file=namespace, operation=str(values))


def test_every_kind_of_movement_has_a_domain() -> None:
    assert set(DOMAINS) == set(MovementKind)
    assert {kind.domain for kind in MovementKind} == set(Domain)


def test_what_is_on_is_on_again_after_a_restart() -> None:
    state = MemoryStateStore()
    MovementLedger(state).begin(TAKEOVER)
    again = MovementLedger(state)
    assert again.on == (TAKEOVER,)
    assert again.movement(Domain.FAILOVER) == TAKEOVER
    assert again.movement(Domain.RELOCATION) is None
    again.end(TAKEOVER, {})
    assert again.on == MovementLedger(state).on == ()


def test_where_aggregates_are_is_known_after_a_restart() -> None:
    state = MemoryStateStore()
    ledger = MovementLedger(state)
    ledger.begin(RELOCATION)
    ledger.end(RELOCATION, {"aggr1": "n2", "aggr2": "n2"})
    again = MovementLedger(state)
    assert again.places == ledger.places == {"aggr1": "n2", "aggr2": "n2"}
    again.begin(RELOCATION)
    again.end(RELOCATION, {"aggr1": "n1"})
    assert MovementLedger(state).places == again.places == {"aggr1": "n1", "aggr2": "n2"}


def test_an_aggregate_is_elsewhere_before_its_movement_is_over() -> None:
    ledger = MovementLedger(MemoryStateStore())
    ledger.begin(RELOCATION)
    on: list[object] = []

    class Places(UserDict[str, str]):
        def keys(self) -> KeysView[str]:
            on.append(ledger.on)
            return super().keys()

    ledger.end(RELOCATION, Places({"aggr1": "n2"}))
    assert on == [(RELOCATION,)]
    assert ledger.on == ()


def test_nothing_is_true_that_was_not_remembered() -> None:
    ledger = MovementLedger(FailingState())
    with pytest.raises(TapekitError):
        ledger.begin(TAKEOVER)
    assert ledger.on == ()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("on/failover", b'{"kind": "upheaval"}'),
        ("on/upheaval", msgspec.json.encode(TAKEOVER)),
        ("at/aggr1", b"\xff"),
    ],
)
def test_what_another_version_has_written_is_not_guessed(key: str, value: bytes) -> None:
    state = MemoryStateStore()
    state.change("cluster.movements", {key: value})
    with pytest.raises(TapekitError, match="cannot be read") as caught:
        MovementLedger(state)
    assert caught.value.id == "cluster.movement-not-understood"
