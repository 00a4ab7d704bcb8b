from __future__ import annotations

from tapekit.kernel.spelling import similar


def test_the_likeliest_words_come_first() -> None:
    assert similar("vtap", ["dump", "vtape", "tape_devices"]) == "vtape"


def test_nothing_similar_is_said() -> None:
    assert similar("zzz", ["dump", "vtape"]) == "none"


def test_at_most_three_words_are_given_and_each_once() -> None:
    assert similar("aaa", ["aaab", "aaac", "aaad", "aaae", "aaab"]).count(",") == 2
