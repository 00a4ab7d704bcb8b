"""Targets keep their numbers, whoever names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import pytest

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit_scsi_iscsi.discovery import Offer
from tapekit_scsi_iscsi.errors import CATALOGUE
from tapekit_scsi_iscsi.settings import ScsiIscsiSettings
from tapekit_scsi_iscsi.targets import KnownTargets

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST, SECOND = "10.0.0.7:3260", "10.0.0.8:3260"
X, Y, Z = ("iqn.2026-11.x:" + letter for letter in "xyz")


@final
class MemoryPortals:
    """Portals that offer what the test says."""

    def __init__(self) -> None:
        self.offers: dict[str, list[Offer]] = {FIRST: [], SECOND: []}
        self.silent: set[str] = set()

    def ask(self, portal: str) -> Sequence[Offer]:
        if portal in self.silent:
            raise CATALOGUE.raised_as(
                TapeError,
                "no-offers",
                condition=Condition.NO_DEVICE,
                portal=portal,
                reason="no route to host",
            )
        return self.offers[portal]

    def targets(self, *portals: str, targets: tuple[str, ...] = ()) -> KnownTargets:
        made = ScsiIscsiSettings(initiator="iqn.2026-11.x:me", targets=targets, portals=portals)
        return KnownTargets(made, self.ask)


@pytest.fixture
def portals() -> MemoryPortals:
    return MemoryPortals()


def present(known: KnownTargets) -> list[tuple[int, str, str]]:
    return [(number, known[number].portal, known[number].name) for number in known.present()]


def test_offered_targets_come_behind_the_listed_ones(portals: MemoryPortals) -> None:
    portals.offers[FIRST] = [Offer(Z, (FIRST,)), Offer(Y, (FIRST,))]
    known = portals.targets("10.0.0.7", targets=(f"iscsi://10.0.0.9/{X}",))
    assert present(known) == [(0, "10.0.0.9:3260", X), (1, FIRST, Y), (2, FIRST, Z)]


def test_a_target_that_comes_back_has_its_number_again(portals: MemoryPortals) -> None:
    known = portals.targets("10.0.0.7")
    for offered, numbers in (("y", [0]), ("xy", [0, 1]), ("x", [1]), ("z", [2]), ("yz", [0, 2])):
        portals.offers[FIRST] = [Offer(f"iqn.2026-11.x:{one}", (FIRST,)) for one in offered]
        assert known.present() == numbers
    assert known[2].name == Z


def test_a_target_that_is_listed_is_reached_as_the_list_says(portals: MemoryPortals) -> None:
    portals.offers[FIRST] = [Offer(X, (FIRST,)), Offer(Y, (FIRST,))]
    known = portals.targets("10.0.0.7", targets=(f"iscsi://10.0.0.9/{X}",))
    assert present(known) == [(0, "10.0.0.9:3260", X), (1, FIRST, Y)]


def test_two_portals_of_a_target_are_two_paths_to_it(portals: MemoryPortals) -> None:
    for portal in (FIRST, SECOND):
        portals.offers[portal] = [Offer(X, (FIRST, SECOND))]
    assert present(portals.targets(FIRST, SECOND)) == [(0, FIRST, X), (1, SECOND, X)]


@pytest.mark.parametrize(
    ("reached_at", "used"), [((SECOND, FIRST), FIRST), ((SECOND,), SECOND), ((), FIRST)]
)
def test_a_target_is_reached_where_it_was_told_of_if_it_is_there(
    portals: MemoryPortals, reached_at: tuple[str, ...], used: str
) -> None:
    portals.offers[FIRST] = [Offer(X, reached_at)]
    assert present(portals.targets(FIRST)) == [(0, used, X)]


def test_a_portal_that_has_never_answered_stops_the_look(portals: MemoryPortals) -> None:
    portals.silent = {FIRST}
    known = portals.targets(FIRST)
    with pytest.raises(TapeError, match=f"Cannot ask the iSCSI portal {FIRST} .*: no route"):
        known.present()


def test_a_portal_that_falls_silent_is_taken_to_offer_the_same(portals: MemoryPortals) -> None:
    portals.offers[FIRST] = [Offer(X, (FIRST,))]
    known = portals.targets(FIRST)
    known.present()
    portals.silent = {FIRST}
    assert present(known) == [(0, FIRST, X)]
