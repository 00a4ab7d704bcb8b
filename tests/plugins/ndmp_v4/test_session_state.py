"""The session's states, from the table alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.machine import IllegalTransition, Machine
from tapekit_ndmp_v4.session_state import TRANSITIONS, SessionEvent, SessionState


def machine(state: SessionState = SessionState.GREETED) -> Machine[SessionState, SessionEvent]:
    return Machine("session", TRANSITIONS, state)


def test_every_state_has_a_row_and_can_be_reached() -> None:
    assert set(TRANSITIONS) == set(SessionState)
    reached = {SessionState.GREETED}
    while more := {to for state in reached for to in TRANSITIONS[state].values()} - reached:
        reached |= more
    assert reached == set(SessionState)


@pytest.mark.parametrize("state", SessionState)
@pytest.mark.parametrize("event", SessionEvent)
def test_an_event_moves_or_raises_and_changes_nothing(
    state: SessionState, event: SessionEvent
) -> None:
    walker = machine(state)
    if event in TRANSITIONS[state]:
        assert walker.fire(event) is TRANSITIONS[state][event]
    else:
        with pytest.raises(IllegalTransition):
            walker.fire(event)
        assert walker.state is state


@given(st.lists(st.sampled_from(SessionEvent), max_size=50))
def test_the_last_login_decides(events: list[SessionEvent]) -> None:
    walker = machine()
    logins = {SessionEvent.LOGGED_IN: True, SessionEvent.LOGIN_REFUSED: False}
    is_logged_in = False
    for event in events:
        if walker.allows(event):
            walker.fire(event)
            is_logged_in = logins.get(event, is_logged_in)
            is_logged_in = is_logged_in and event is not SessionEvent.CLOSED
        assert (walker.state is SessionState.AUTHENTICATED) == is_logged_in


def test_nothing_follows_the_end() -> None:
    assert not any(machine(SessionState.CLOSED).allows(event) for event in SessionEvent)
