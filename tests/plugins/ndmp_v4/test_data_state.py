"""The data server's states, from the table alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.machine import IllegalTransition, Machine
from tapekit_ndmp_v4.data_state import TRANSITIONS, DataEvent
from tapekit_ndmp_v4.exchanges import EXCHANGES
from tapekit_ndmp_v4.numbers import DataState

REQUESTS = {
    DataEvent.LISTEN: "DATA_LISTEN",
    DataEvent.CONNECT: "DATA_CONNECT",
    DataEvent.START: "DATA_START_BACKUP",
    DataEvent.ABORT: "DATA_ABORT",
    DataEvent.STOP: "DATA_STOP",
}


def machine(state: DataState = DataState.IDLE) -> Machine[DataState, DataEvent]:
    return Machine("data", TRANSITIONS, state)


def test_every_state_has_a_row_and_can_be_reached() -> None:
    assert set(TRANSITIONS) == set(DataState)
    reached = {DataState.IDLE}
    while more := {to for state in reached for to in TRANSITIONS[state].values()} - reached:
        reached |= more
    assert reached == set(DataState)


@pytest.mark.parametrize("state", DataState)
@pytest.mark.parametrize("event", DataEvent)
def test_an_event_moves_or_raises_and_changes_nothing(state: DataState, event: DataEvent) -> None:
    walker = machine(state)
    if event in TRANSITIONS[state]:
        assert walker.allows(event)
        assert walker.fire(event) is TRANSITIONS[state][event]
    else:
        assert not walker.allows(event)
        with pytest.raises(IllegalTransition):
            walker.fire(event)
        assert walker.state is state


@pytest.mark.parametrize("state", DataState)
@pytest.mark.parametrize("event", REQUESTS)
def test_requests_are_legal_where_the_table_has_their_event(
    state: DataState, event: DataEvent
) -> None:
    row = next(each for each in EXCHANGES if each.name == REQUESTS[event])
    assert (state in row.data) == (event in TRANSITIONS[state])


@given(st.lists(st.sampled_from(DataEvent), max_size=50))
def test_only_a_stop_leaves_the_halt_and_only_from_there(events: list[DataEvent]) -> None:
    walker = machine()
    for event in events:
        before = walker.state
        if walker.allows(event):
            walker.fire(event)
            assert (event is DataEvent.STOP) == (before is DataState.HALTED)
            assert (walker.state is DataState.IDLE) == (event is DataEvent.STOP)


def test_no_job_runs_without_a_connection() -> None:
    starts = [state for state, row in TRANSITIONS.items() if DataEvent.START in row]
    assert starts == [DataState.CONNECTED]
    into_active = [state for state, row in TRANSITIONS.items() if DataState.ACTIVE in row.values()]
    assert into_active == [DataState.CONNECTED]
