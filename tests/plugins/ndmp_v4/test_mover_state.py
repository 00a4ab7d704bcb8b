"""The mover's states, from the table alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.machine import IllegalTransition, Machine
from tapekit_ndmp_v4.exchanges import EXCHANGES
from tapekit_ndmp_v4.mover_state import TRANSITIONS, MoverEvent
from tapekit_ndmp_v4.numbers import MoverState

REQUESTS = {
    MoverEvent.LISTEN: "MOVER_LISTEN",
    MoverEvent.CONNECT: "MOVER_CONNECT",
    MoverEvent.CONTINUE: "MOVER_CONTINUE",
    MoverEvent.CLOSE: "MOVER_CLOSE",
    MoverEvent.ABORT: "MOVER_ABORT",
    MoverEvent.STOP: "MOVER_STOP",
}


def machine(state: MoverState = MoverState.IDLE) -> Machine[MoverState, MoverEvent]:
    return Machine("mover", TRANSITIONS, state)


def test_every_state_has_a_row_and_can_be_reached() -> None:
    assert set(TRANSITIONS) == set(MoverState)
    reached = {MoverState.IDLE}
    while more := {to for state in reached for to in TRANSITIONS[state].values()} - reached:
        reached |= more
    assert reached == set(MoverState)


@pytest.mark.parametrize("state", MoverState)
@pytest.mark.parametrize("event", MoverEvent)
def test_an_event_moves_or_raises_and_changes_nothing(state: MoverState, event: MoverEvent) -> None:
    walker = machine(state)
    if event in TRANSITIONS[state]:
        assert walker.allows(event)
        assert walker.fire(event) is TRANSITIONS[state][event]
    else:
        assert not walker.allows(event)
        with pytest.raises(IllegalTransition):
            walker.fire(event)
        assert walker.state is state


@pytest.mark.parametrize("state", MoverState)
@pytest.mark.parametrize("event", REQUESTS)
def test_requests_are_legal_where_the_table_has_their_event(
    state: MoverState, event: MoverEvent
) -> None:
    row = next(each for each in EXCHANGES if each.name == REQUESTS[event])
    assert (state in row.mover) == (event in TRANSITIONS[state])


@given(st.lists(st.sampled_from(MoverEvent), max_size=50))
def test_only_a_stop_leaves_the_halt(events: list[MoverEvent]) -> None:
    walker = machine()
    for event in events:
        before = walker.state
        if walker.allows(event):
            walker.fire(event)
            if before is MoverState.HALTED:
                assert event in {MoverEvent.STOP, MoverEvent.CLOSE}
            assert (walker.state is MoverState.IDLE) == (event is MoverEvent.STOP)


def test_a_pause_is_left_by_continuing_or_for_good() -> None:
    assert set(TRANSITIONS[MoverState.PAUSED].values()) == {MoverState.ACTIVE, MoverState.HALTED}
    assert TRANSITIONS[MoverState.PAUSED][MoverEvent.CONTINUE] is MoverState.ACTIVE


def test_closing_after_the_halt_is_no_error() -> None:
    assert machine(MoverState.HALTED).fire(MoverEvent.CLOSE) is MoverState.HALTED
