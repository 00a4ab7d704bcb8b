"""Whoever wrote hears once of what may be lost, and of nothing else."""

from __future__ import annotations

import pytest

from tapekit.errors import CORE
from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi_devices.durability import END_WARNINGS, UnsureData


class Attentions:
    """As many as there have been."""

    def __init__(self) -> None:
        self.count = 3

    def __call__(self) -> int:
        return self.count


def error(condition: Condition) -> TapeError:
    return CORE.raised_as(
        TapeError, "scsi-status", condition=condition, device="v.0", command="WRITE(6)", status=8
    )


@pytest.fixture
def attentions() -> Attentions:
    return Attentions()


@pytest.fixture
def unsure(attentions: Attentions) -> UnsureData:
    made = UnsureData("v.0", attentions)
    made.begin()
    return made


def test_what_was_written_without_news_is_durable(unsure: UnsureData) -> None:
    assert unsure.is_there
    assert not unsure.has_news
    unsure.settle()
    assert not unsure.is_there


def test_news_are_told_once(unsure: UnsureData, attentions: Attentions) -> None:
    attentions.count += 1
    assert unsure.has_news
    with pytest.raises(TapeError, match=r"^v\.0 .* is known to be on the tape"):
        unsure.settle()
    unsure.begin()
    unsure.settle()


def test_news_that_the_writer_has_heard_are_not_told_again(
    unsure: UnsureData, attentions: Attentions
) -> None:
    attentions.count += 1
    unsure.tell()
    assert unsure.is_told
    unsure.settle()


def test_a_doubt_is_news(unsure: UnsureData) -> None:
    unsure.doubt()
    with pytest.raises(TapeError, match="is known to be on the tape"):
        unsure.settle()


def test_news_before_anything_was_written_are_none(attentions: Attentions) -> None:
    unsure = UnsureData("v.0", attentions)
    attentions.count += 1
    unsure.settle()


@pytest.mark.parametrize("is_known", [True, False])
def test_harmless_news_excuse_what_was_sure_before(
    unsure: UnsureData, attentions: Attentions, is_known: bool
) -> None:
    if not is_known:
        attentions.count += 1
    mark, before = unsure.mark(), attentions.count
    attentions.count += 1
    unsure.excuse(mark, before)
    assert unsure.has_news is not is_known


def test_an_error_behind_records_that_were_taken_comes_with_the_next_call(
    unsure: UnsureData,
) -> None:
    mark = unsure.mark()
    unsure.tell()
    unsure.postpone(error(Condition.MEDIUM_ERROR), mark)
    assert not unsure.is_told
    with pytest.raises(TapeError) as caught:
        unsure.raise_due(is_loss=True)
    assert caught.value.condition is Condition.MEDIUM_ERROR
    assert unsure.is_told
    unsure.raise_due(is_loss=True)


@pytest.mark.parametrize("condition", [*sorted(END_WARNINGS, key=str), Condition.MEDIUM_ERROR])
def test_the_end_of_the_tape_is_for_the_next_write_alone(
    unsure: UnsureData, condition: Condition
) -> None:
    unsure.postpone(error(condition), unsure.mark())
    if condition in END_WARNINGS:
        unsure.settle()
        unsure.forget_warning()
    else:
        unsure.forget_warning()
        with pytest.raises(TapeError):
            unsure.settle()
    unsure.raise_due(is_loss=False)
    unsure.postpone(error(condition), unsure.mark())
    unsure.forget()
    unsure.raise_due(is_loss=False)
