"""A device has one holder, whoever asks and however many ask at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tapekit_tape_devices.holds import Holds


def test_a_place_is_taken_once_and_told() -> None:
    holds = Holds()
    assert holds.take(3, "session 1") is None
    assert holds.take(3, "session 2") == "session 1"
    assert holds.take(4, "session 2") is None
    assert (holds.holder(3), holds.holder(4), holds.holder(5)) == ("session 1", "session 2", None)
    holds.give_back(3)
    assert holds.take(3, "session 2") is None


def test_one_holder_cannot_take_a_place_twice() -> None:
    holds = Holds()
    holder = "session 1"
    assert holds.take(0, holder) is None
    assert holds.take(0, holder) == holder


def test_of_many_threads_one_gets_the_place() -> None:
    holds = Holds()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: holds.take(0, f"session {number}"), range(64)))
    assert answers.count(None) == 1


def test_a_holder_that_is_leaving_is_waited_for() -> None:
    holds = Holds()
    holds.take(0, "session 1")
    assert holds.take(0, "session 2", 60) == "session 1"
    holds.leave(0)
    assert holds.take(0, "session 2") == "session 1"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(holds.take, 0, "session 2", 60)
        holds.give_back(0)
        assert waiting.result() is None
    assert holds.holder(0) == "session 2"
    assert holds.take(0, "session 3", 60) == "session 2"
