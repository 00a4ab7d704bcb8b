"""A wrong record size is told once, and only when it is sure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.hookspecs.tape_driver import ReadRun
from tapekit_mover.record_sizes import RecordSizes

SIZE = 10240


def run(records: int, last: int = SIZE) -> ReadRun:
    return ReadRun((), records, (records - 1) * SIZE + last)


@pytest.mark.requirement("R325")
def test_a_record_that_follows_a_short_one_tells_the_true_size() -> None:
    sizes = RecordSizes(SIZE)
    assert sizes.of_run(run(1, 4096)) is None
    told = sizes.of_run(run(1, 4096))
    assert str(told) == "Tape record size should be 4096 and not 10240"
    assert sizes.of_run(run(1, 4096)) is None


@given(st.lists(st.integers(1, 50), max_size=6), st.integers(1, SIZE))
def test_the_last_record_may_be_of_any_length(runs: list[int], last: int) -> None:
    sizes = RecordSizes(SIZE)
    assert all(sizes.of_run(run(records)) is None for records in runs)
    assert sizes.of_run(run(1, last)) is None
    sizes.forget()
    assert sizes.of_run(run(2)) is None
