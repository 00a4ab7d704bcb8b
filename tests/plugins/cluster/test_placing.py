"""Places, by LIF and by what was switched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.authentication import AccountContext
from tapekit.kernel.memory_state import MemoryStateStore
from tapekit_cluster.board import Board
from tapekit_cluster.placing import ClusterPlacement
from tapekit_cluster.settings import ClusterSettings, Lif

if TYPE_CHECKING:
    from tapekit.hookspecs.state import StateStore

DATA = Lif(name="d1", role="data", svm="vs1", addresses=("192.0.2.1",))
SHUT = Lif(name="m1", role="node-mgmt", addresses=("192.0.2.2",), firewall_policy=False)


async def placement(board: Board, store: StateStore, *lifs: Lif) -> ClusterPlacement:
    made = ClusterPlacement(ClusterSettings(name="c1", lif=lifs), board)
    made.settle(store)
    await made.prepare()
    return made


async def test_without_lifs_every_address_leads_everywhere() -> None:
    place = (await placement(Board(), MemoryStateStore())).place("192.0.2.9")
    assert (place.interface, place.svms, place.may_mix_families) == ("", frozenset(), True)


async def test_a_data_lif_leads_to_its_svm_alone() -> None:
    made = await placement(Board(), MemoryStateStore(), DATA, SHUT)
    place = made.place("192.0.2.1")
    assert (place.interface, place.owner, place.svms) == ("d1", "vs1", {"vs1"})
    assert place.contexts == {AccountContext.SVM}
    assert made.svms == ["c1", "vs1"]


@pytest.mark.parametrize(
    ("host", "row"), [("192.0.2.2", "firewall"), ("192.0.2.3", "no-lif-at-address")]
)
@pytest.mark.parametrize("is_node_scoped", [False, True])
async def test_addresses_that_take_no_ndmp(host: str, row: str, is_node_scoped: bool) -> None:
    board = Board()
    made = await placement(board, MemoryStateStore(), DATA, SHUT)
    await board.set_scope(is_node_scoped=is_node_scoped)
    with pytest.raises(TapekitError) as caught:
        made.place(host)
    assert caught.value.id == f"cluster.{row}"


async def test_in_node_scope_a_lif_limits_nothing() -> None:
    board = Board()
    made = await placement(board, MemoryStateStore(), DATA)
    await board.set_scope(is_node_scoped=True)
    place = made.place("192.0.2.1")
    assert (place.svms, place.owner, place.may_mix_families) == (frozenset(), "", False)
    assert place.contexts == {AccountContext.NODE}


async def test_switches_are_remembered() -> None:
    store, board = MemoryStateStore(), Board()
    made = await placement(board, store, DATA)
    await board.migrate("d1", "node2")
    await board.allow("vs2", is_allowed=False)
    again = Board()
    made = await placement(again, store, DATA)
    with pytest.raises(TapekitError, match="it was migrated to node2"):
        made.place("192.0.2.1")
    await again.bring_back("d1")
    assert made.place("192.0.2.1").closed_svms == {"vs2"}
    await again.allow("vs2", is_allowed=True)
    assert made.place("192.0.2.1").closed_svms == frozenset()


async def test_a_lif_that_has_gone_before_anybody_waits_is_noticed() -> None:
    board = Board()
    made = await placement(board, MemoryStateStore(), DATA)
    place = made.place("192.0.2.1")
    await board.take_down("d1")
    assert "it was taken down" in await made.until_gone(place)
    await board.bring_back("d1")
