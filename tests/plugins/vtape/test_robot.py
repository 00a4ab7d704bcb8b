"""Moves of the robot, against a picture of what lies where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit_vtape.library_state import STATE_VERSION, LibraryState, Place
from tapekit_vtape.robot import Spot, exchanged, moved, occupant

if TYPE_CHECKING:
    from collections.abc import Mapping

DRIVES, SLOTS = 2, 5
SPOTS = [Spot(n, is_drive=True) for n in range(DRIVES)] + [Spot(n) for n in range(SLOTS)]
SPOT = st.sampled_from(SPOTS)


def state_of(cartridges: Mapping[str, Place]) -> LibraryState:
    return LibraryState(version=STATE_VERSION, serial="S", cartridges=cartridges)


START = state_of({"A": Place(slot=0, drive=0), "B": Place(slot=1), "C": Place(slot=2, drive=1)})


def picture(state: LibraryState) -> dict[Spot, str]:
    return {spot: barcode for spot in SPOTS if (barcode := occupant(state, spot)) is not None}


def wanted(there: dict[Spot, str], spots: tuple[Spot, ...]) -> dict[Spot, str] | Condition:
    """What a robot with hands would do."""
    source, *_, last = spots
    there = dict(there)
    for spot in spots[:-1]:
        if spot not in there:
            return Condition.SOURCE_EMPTY
    if len(set(spots[:-1])) < len(spots) - 1 or (last in there and last != source):
        return Condition.DESTINATION_FULL
    if last in there and len(spots) == 2:
        return Condition.DESTINATION_FULL
    in_hand = [there.pop(spot) for spot in spots[:-1]]
    for spot, barcode in zip(spots[1:], in_hand, strict=True):
        there[spot] = barcode
    return there


@given(st.lists(st.tuples(SPOT, SPOT) | st.tuples(SPOT, SPOT, SPOT), max_size=20))
def test_any_sequence_of_moves_is_what_hands_would_do(moves: list[Any]) -> None:
    state = START
    for spots in moves:
        work = moved if len(spots) == 2 else exchanged
        expected = wanted(picture(state), spots)
        if isinstance(expected, Condition):
            with pytest.raises(TapeError) as caught:
                work(state, *spots)
            assert caught.value.condition is expected
            continue
        state = work(state, *spots)
        assert picture(state) == expected
        owned = [place.slot for place in state.cartridges.values()]
        assert len(set(owned)) == len(owned) == 3
        assert set(owned) <= set(range(SLOTS))


def test_a_cartridge_moves_back_where_it_came_from() -> None:
    state = moved(START, Spot(0, is_drive=True), Spot(0))
    assert state.cartridges["A"] == Place(slot=0)


def test_the_owner_of_a_slot_takes_over_the_one_that_was_given_up() -> None:
    state = moved(START, Spot(1), Spot(2))
    assert state.cartridges["B"] == Place(slot=2)
    assert state.cartridges["C"] == Place(slot=1, drive=1)


def test_how_another_tape_stands_is_kept() -> None:
    standing = Place(slot=2, drive=1, is_ejected=True, position=7)
    before = state_of({"B": Place(slot=1), "C": standing})
    place = moved(before, Spot(1), Spot(2)).cartridges["C"]
    assert place == Place(slot=1, drive=1, is_ejected=True, position=7)


@pytest.mark.parametrize(
    ("source", "destination", "text"),
    [
        (Spot(3), Spot(4), "slot 3 is empty: there is nothing to move"),
        (Spot(0), Spot(4), "slot 0 is empty: there is nothing to move"),
        (Spot(1), Spot(0, is_drive=True), "drive 0 is full: A is in it"),
    ],
)
def test_a_refusal_names_the_place(source: Spot, destination: Spot, text: str) -> None:
    with pytest.raises(TapeError) as caught:
        moved(START, source, destination)
    assert str(caught.value) == text


def test_two_cartridges_change_places() -> None:
    state = exchanged(START, Spot(1), Spot(0, is_drive=True), Spot(1))
    assert picture(state) == {
        Spot(0, is_drive=True): "B",
        Spot(1): "A",
        Spot(1, is_drive=True): "C",
    }
