"""Operators get the texts that they know, exactly."""

from __future__ import annotations

import pytest

from tapekit.hookspecs.tape_driver import Condition
from tapekit_mover.errors import read_failure, write_failure


@pytest.mark.requirement("R312")
@pytest.mark.requirement("R315")
@pytest.mark.requirement("R316")
@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (Condition.MEDIUM_ERROR, "Media error on tape write"),
        (Condition.HARDWARE_ERROR, "Media error on tape write"),
        (Condition.WRITE_PROTECTED, "Tape write failed"),
        (Condition.NO_TAPE, "Tape write failed"),
        (Condition.RESERVED, "Tape reservation preempted"),
    ],
)
def test_failures_on_the_first_tape(condition: Condition, text: str) -> None:
    assert str(write_failure(condition, is_new_tape=False)) == text


@pytest.mark.requirement("R317")
@pytest.mark.requirement("R318")
@pytest.mark.requirement("R319")
@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (Condition.MEDIUM_ERROR, "Tape write failed - new tape encountered media error"),
        (
            Condition.WRITE_PROTECTED,
            "Tape write failed - new tape is broken or write protected",
        ),
        (Condition.NOT_READY, "Tape write failed - new tape is broken or write protected"),
        (Condition.HARDWARE_ERROR, "Tape write failed - new tape is broken or write protected"),
        (
            Condition.END_OF_MEDIUM,
            "Tape write failed - new tape is already at the end of media",
        ),
        (Condition.BAD_REQUEST, "Tape write failed"),
        (Condition.RESERVED, "Tape reservation preempted"),
    ],
)
def test_failures_on_a_following_tape(condition: Condition, text: str) -> None:
    assert str(write_failure(condition, is_new_tape=True)) == text


@pytest.mark.requirement("R321")
@pytest.mark.requirement("R322")
@pytest.mark.requirement("R324")
@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (Condition.MEDIUM_ERROR, "Media error on tape read"),
        (Condition.HARDWARE_ERROR, "Tape read error"),
        (Condition.NO_TAPE, "Tape read error"),
        (
            Condition.RECORD_TOO_LONG,
            "Tape record size is too small. Try a larger size.",
        ),
        (Condition.RESERVED, "Tape reservation preempted"),
    ],
)
def test_failures_while_reading(condition: Condition, text: str) -> None:
    assert str(read_failure(condition)) == text
