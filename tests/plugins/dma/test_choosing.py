"""What is kept, built on and restored."""

from __future__ import annotations

import msgspec
import pytest

from tapekit.errors import TapekitError
from tapekit_dma.choosing import (
    base_for,
    chain_of,
    kept,
    kept_everywhere,
    level_of,
    restorable,
    with_increments,
)
from tapekit_dma.records import Backup, State
from tapekit_dma.settings import MediaSetSettings

DAY_S = 86400.0


def backup(
    number: int, level: int = 0, base: int | None = None, state: State = State.GOOD
) -> Backup:
    """One a day, of one path."""
    return Backup(
        number=number,
        media_set="weekly",
        server="filer",
        path="/vs1/vol1",
        butype="dump",
        level=level,
        base=base,
        state=state,
        started_at=number * DAY_S,
        record_size=65536,
    )


def settings(days: int, copies: int) -> MediaSetSettings:
    return MediaSetSettings(
        server="filer", barcodes=("*",), retention_days=days, retention_copies=copies
    )


CHAINS = [backup(1), backup(2, 1, 1), backup(3, 2, 2), backup(4), backup(5, 1, 4)]


@pytest.mark.parametrize(
    ("days", "copies", "expected"),
    [
        (0, 0, set()),
        (0, 1, {4, 5}),
        (0, 2, {1, 2, 3, 4, 5}),
        (1, 0, {4, 5}),
        (3, 0, {1, 2, 3, 4, 5}),
        (100, 0, {1, 2, 3, 4, 5}),
    ],
)
def test_backups_are_kept_with_what_they_build_on(
    days: int, copies: int, expected: set[int]
) -> None:
    assert kept(CHAINS, settings(days, copies), 5.5 * DAY_S) == expected


def test_those_that_failed_are_not_kept_and_those_that_run_are() -> None:
    there = [backup(1, state=State.FAILED), backup(2, state=State.RUNNING)]
    assert kept(there, settings(100, 5), 1000 * DAY_S) == {2}


@pytest.mark.parametrize(
    ("word", "level"),
    [("full", 0), ("differential", 1), ("incremental", 2), ("0", 0), ("7", 7)],
)
def test_levels_have_names(word: str, level: int) -> None:
    assert level_of(word, CHAINS) == level
    assert level_of("incremental", []) == 0


@pytest.mark.parametrize("word", ["", "10", "-1", "weekly"])
def test_other_words_are_no_levels(word: str) -> None:
    with pytest.raises(TapekitError, match="is no level"):
        level_of(word, CHAINS)


def test_an_increment_builds_on_the_last_of_a_lower_level() -> None:
    assert base_for(0, "/vs1/vol1", CHAINS) is None
    assert base_for(1, "/vs1/vol1", CHAINS) == CHAINS[3]
    assert base_for(2, "/vs1/vol1", CHAINS) == CHAINS[4]
    with pytest.raises(TapekitError, match="nothing to build on"):
        base_for(1, "/vs1/vol1", [])


def test_a_chain_begins_with_the_full_backup() -> None:
    known = {each.number: each for each in CHAINS}
    assert [each.number for each in chain_of(known[3], known)] == [1, 2, 3]
    del known[1]
    with pytest.raises(TapekitError, match="backup 1, which the catalogue has not"):
        chain_of(known[3], known)


def test_a_clock_that_went_back_expires_nothing() -> None:
    wrong = msgspec.structs.replace(backup(6), started_at=0.0)
    assert kept([backup(5), wrong], settings(1, 0), 5.5 * DAY_S) == {5, 6}


def test_full_backups_of_another_kind_are_no_copies() -> None:
    image = msgspec.structs.replace(backup(6), butype="smtape")
    assert kept([backup(4), image], settings(0, 1), 100 * DAY_S) == {4, 6}


def test_what_is_built_on_is_kept_in_other_sets_too() -> None:
    daily = msgspec.structs.replace(backup(2, 1, 1), media_set="daily")
    sets = {"weekly": settings(0, 0), "daily": settings(9, 0)}
    assert kept_everywhere([backup(1), daily, backup(3)], sets, 4 * DAY_S) == {1, 2}


def test_all_of_a_set_without_settings_is_kept() -> None:
    assert kept_everywhere([backup(1), backup(2)], {}, 100 * DAY_S) == {1, 2}


def test_what_lacks_a_base_is_not_built_on() -> None:
    there = [backup(2, 1, 1), backup(3, 2, 2), backup(4), backup(5, 1, 4)]
    assert [each.number for each in restorable(there)] == [4, 5]


def test_increments_go_with_what_they_build_on() -> None:
    assert with_increments([1], CHAINS) == [1, 2, 3]
