"""The limit on attempts, on a clock of our own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tapekit_auth.attempts import Attempts

USER, PEER = "anna", "192.0.2.7"
QUARTER_S = 15 * 60


def failed(times: int, attempts: Attempts | None = None) -> Attempts:
    attempts = Attempts() if attempts is None else attempts
    for _ in range(times):
        attempts.failed(USER, PEER, 0.0)
    return attempts


def test_replies_wait_from_the_third_attempt_on_and_the_wait_doubles_up_to_half_a_minute() -> None:
    delays = [failed(before).delay_s(USER, PEER, 0.0) for before in range(10)]
    assert delays == [0, 0, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_great_many_failures_wait_no_longer() -> None:
    assert failed(5000).delay_s(USER, PEER, 0.0) == 30


def test_each_user_and_each_peer_is_counted_alone() -> None:
    attempts = failed(5)
    assert attempts.delay_s("bert", PEER, 0.0) == 0
    assert attempts.delay_s(USER, "192.0.2.8", 0.0) == 0
    assert attempts.delay_s("anna 192.0.2.7", "", 0.0) == 0


def test_a_success_forgets_the_failures() -> None:
    attempts = failed(5)
    attempts.succeeded(USER, PEER)
    attempts.succeeded(USER, PEER)
    assert attempts.delay_s(USER, PEER, 0.0) == 0
    assert len(attempts) == 0


def test_failures_are_forgotten_a_quarter_of_an_hour_after_the_last() -> None:
    attempts = failed(5)
    attempts.failed(USER, PEER, 600.0)
    assert attempts.delay_s(USER, PEER, 600.0 + QUARTER_S - 1) > 0
    assert attempts.delay_s(USER, PEER, 600.0 + QUARTER_S) == 0
    attempts.failed(USER, PEER, 600.0 + QUARTER_S)
    assert attempts.delay_s(USER, PEER, 600.0 + QUARTER_S) == 0


def test_what_was_forgotten_leaves_the_table() -> None:
    attempts = failed(1)
    attempts.failed("bert", PEER, QUARTER_S)
    assert len(attempts) == 1


def test_the_table_is_bounded_and_drives_out_the_oldest() -> None:
    attempts = Attempts(capacity=10)
    failed(5, attempts)
    for number in range(9):
        attempts.failed(f"user{number}", PEER, 1.0)
    assert attempts.delay_s(USER, PEER, 1.0) > 0
    attempts.failed(USER, PEER, 2.0)
    for number in range(9):
        attempts.failed(f"other{number}", PEER, 3.0)
    assert len(attempts) == 10
    assert attempts.delay_s(USER, PEER, 3.0) > 0
    attempts.failed("one more", PEER, 3.0)
    assert len(attempts) == 10
    assert attempts.delay_s(USER, PEER, 3.0) == 0


@given(st.lists(st.tuples(st.text(max_size=3), st.booleans(), st.floats(0, 1000)), max_size=60))
def test_no_history_leaves_more_than_the_bound_or_a_delay_out_of_range(
    history: list[tuple[str, bool, float]],
) -> None:
    attempts, now_s = Attempts(capacity=5), 0.0
    for user, is_right, passed_s in history:
        now_s += passed_s
        assert 0 <= attempts.delay_s(user, PEER, now_s) <= 30
        if is_right:
            attempts.succeeded(user, PEER)
        else:
            attempts.failed(user, PEER, now_s)
        assert len(attempts) <= 5
