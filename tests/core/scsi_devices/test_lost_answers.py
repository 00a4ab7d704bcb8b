"""What the count of objects proves about a write that nobody has answered."""

from __future__ import annotations

import pytest

from tapekit.scsi.position import Position
from tapekit.scsi.sense import Sense, SenseKey
from tapekit.scsi_devices.lost_answers import ObjectCount, is_path_lost


def at(object_id: int | None) -> Position:
    return Position(object_id=object_id)


@pytest.mark.parametrize(
    ("now", "is_done"), [(7, False), (9, True), (8, None), (10, None), (0, None), (None, None)]
)
def test_only_the_place_before_or_behind_proves_anything(
    now: int | None, is_done: bool | None
) -> None:
    count = ObjectCount()
    count.begin(5)
    count.passed(2)
    assert count.is_carried_out(2, at(now)) is is_done


@pytest.mark.parametrize("before", [None, 0])
def test_an_unknown_place_and_the_beginning_prove_nothing(before: int | None) -> None:
    count = ObjectCount()
    count.begin(before)
    assert count.is_carried_out(1, at(before)) is None
    assert count.is_carried_out(1, at(1)) is None


def test_counting_begins_anew() -> None:
    count = ObjectCount()
    count.begin(5)
    count.begin(None)
    count.passed(1)
    assert count.is_carried_out(1, at(6)) is None


@pytest.mark.parametrize(("now", "is_kept"), [(8, True), (9, False), (7, False), (None, False)])
def test_what_came_late_is_seen_in_the_count(now: int | None, is_kept: bool) -> None:
    count = ObjectCount()
    count.begin(7)
    assert not count.is_doubted
    count.is_carried_out(1, at(7))
    assert count.is_doubted
    count.passed(1)
    assert count.is_kept(at(now)) is is_kept
    count.lose()
    assert not count.is_kept(at(now))
    count.begin(9)
    assert not count.is_doubted


@pytest.mark.parametrize(
    ("sense", "is_lost"),
    [
        (None, False),
        (Sense(SenseKey.UNIT_ATTENTION, 0x29, 0x07), True),
        (Sense(SenseKey.UNIT_ATTENTION, 0x29, 0x00), False),
        (Sense(SenseKey.NO_SENSE, 0x29, 0x07), False),
    ],
)
def test_a_lost_path_is_told_from_a_reset(sense: Sense | None, is_lost: bool) -> None:
    assert is_path_lost(sense) is is_lost
