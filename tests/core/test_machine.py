from __future__ import annotations

import enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.machine import IllegalTransition, Machine


class Door(enum.Enum):
    OPEN = 1
    SHUT = 2
    LOCKED = 3


class Act(enum.Enum):
    PULL = 1
    PUSH = 2
    TURN = 3


TABLE = {
    Door.OPEN: {Act.PUSH: Door.SHUT},
    Door.SHUT: {Act.PULL: Door.OPEN, Act.TURN: Door.LOCKED},
    Door.LOCKED: {Act.TURN: Door.SHUT},
}


def door() -> Machine[Door, Act]:
    return Machine("door", TABLE, Door.SHUT)


def test_fire_moves_and_tells_the_new_state() -> None:
    machine = door()
    assert machine.fire(Act.TURN) is Door.LOCKED
    assert machine.state is Door.LOCKED


def test_an_event_without_a_row_raises_and_changes_nothing() -> None:
    machine = door()
    with pytest.raises(IllegalTransition, match="door: PUSH is not legal in state SHUT") as caught:
        machine.fire(Act.PUSH)
    assert machine.state is Door.SHUT
    assert (caught.value.machine, caught.value.state, caught.value.event) == (
        "door",
        Door.SHUT,
        Act.PUSH,
    )


def test_the_repr_tells_the_state() -> None:
    assert repr(door()) == "<Machine door SHUT>"


@given(st.lists(st.sampled_from(Act)))
def test_allows_tells_whether_fire_succeeds(events: list[Act]) -> None:
    machine = door()
    for event in events:
        before = machine.state
        if machine.allows(event):
            assert machine.fire(event) is TABLE[before][event]
        else:
            with pytest.raises(IllegalTransition):
                machine.fire(event)
            assert machine.state is before
