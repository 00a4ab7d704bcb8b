"""Dates of dumps."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import msgspec
import pytest

from tapekit_dump.dates import (
    NAMESPACE,
    NUMBERS_NAMESPACE,
    TOKENS_KEPT,
    Dump,
    DumpDates,
    PathDates,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PATH = "/vs1/vol1"


class MemoryState:
    """A store that keeps each change, the last one on top."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], bytes] = {}

    def get(self, namespace: str, key: str) -> bytes | None:
        return self.values.get((namespace, key))

    def items(self, namespace: str, prefix: str = "") -> Mapping[str, bytes]:
        return {k: v for (n, k), v in self.values.items() if n == namespace}

    def change(self, namespace: str, values: Mapping[str, bytes | None]) -> None:
        for key, value in values.items():
            if value is None:
                self.values.pop((namespace, key), None)
            else:
                self.values[namespace, key] = value


class FailingState(MemoryState):
    """A store that cannot be written."""

    def change(self, namespace: str, values: Mapping[str, bytes | None]) -> None:
        raise OSError("disk full")


def test_date_is_the_time_of_the_data() -> None:
    assert DumpDates(MemoryState()).give("/vs1/vol1", 1000) == 1000


def test_no_date_is_given_twice_to_a_path() -> None:
    dates = DumpDates(MemoryState())
    given = [dates.give("/vs1/vol1", taken) for taken in (1000, 1000, 1000, 990, 1002, 2000)]
    assert given == [1000, 1001, 1002, 1003, 1004, 2000]
    assert dates.give("/vs1/vol2", 1000) == 1000


def test_dates_are_remembered_over_restarts() -> None:
    state = MemoryState()
    DumpDates(state).give("/vs1/vol1", 1000)
    assert DumpDates(state).give("/vs1/vol1", 1000) == 1001


def test_threads_get_different_dates() -> None:
    dates, given = DumpDates(MemoryState()), list[int]()
    threads = [
        threading.Thread(target=lambda: given.extend(dates.give("/vs1/vol1", 5) for _ in range(50)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given) == list(range(5, 205))


def done(dates: DumpDates, level: int, taken_at_s: int, pages: int = 1) -> Dump:
    """Have a backup succeed."""
    date = dates.give(PATH, taken_at_s)
    dump = Dump(date=date, level=level, taken_at_s=taken_at_s, pages=pages)
    dates.succeeded(PATH, dump, [b"page of %d" % date] * pages)
    return dump


def kept_pages(state: MemoryState) -> list[str]:
    return sorted(key for namespace, key in state.values if namespace == NUMBERS_NAMESPACE)


@pytest.mark.requirement("R152")
def test_successful_backups_are_remembered_by_level() -> None:
    state = MemoryState()
    dates = DumpDates(state)
    full, third = done(dates, 0, 1000), done(dates, 3, 3000)
    assert DumpDates(state).of(PATH).levels == {0: full, 3: third}
    assert DumpDates(state).of("/vs1/vol2") == PathDates()
    assert list(DumpDates(state).all()) == [PATH]


@pytest.mark.requirement("R004")
@pytest.mark.requirement("R239")
@pytest.mark.requirement("R240")
@pytest.mark.parametrize(
    ("levels", "bases"),
    [
        ((0, 2, 3, 1, 4), (None, 0, 1, 0, 3)),
        ((0, 1, 1, 1), (None, 0, 0, 0)),
        ((0, 1, 2, 1, 2), (None, 0, 1, 0, 3)),
        ((0, 1, 2, 3), (None, 0, 1, 2)),
        ((0, 5, 3, 9, 0, 9, 1), (None, 0, 0, 2, None, 4, 4)),
        ((2, 1, 3), (None, None, 1)),
    ],
)
def test_each_level_builds_on_the_latest_lower_one(
    levels: tuple[int, ...], bases: tuple[int | None, ...]
) -> None:
    dates, dumps = DumpDates(MemoryState()), list[Dump]()
    for at, (level, base) in enumerate(zip(levels, bases, strict=True)):
        assert dates.base_of(PATH, level) == (None if base is None else dumps[base])
        dumps.append(done(dates, level, 1000 * at))
        for lower in range(1, 32):
            known = dates.base_of(PATH, lower)
            assert known is None or all(dates.pages_of(PATH, known))


def test_numbers_that_nothing_builds_on_are_dropped() -> None:
    state = MemoryState()
    dates = DumpDates(state)
    for at, level in enumerate((0, 1, 2, 3, 2, 1, 1)):
        done(dates, level, 1000 + at, pages=2)
    assert kept_pages(state) == [
        f"{PATH}\n{date}/{page}" for date in (1000, 1006) for page in (0, 1)
    ]
    done(dates, 0, 2000)
    assert kept_pages(state) == [f"{PATH}\n2000/0"]
    assert dates.of(PATH).written == {2000: 1}


def test_numbers_of_a_backup_that_was_never_remembered_are_dropped() -> None:
    state = MemoryState()
    dates = DumpDates(state)
    dump = Dump(date=dates.give(PATH, 1000), level=0, taken_at_s=1000, pages=2)

    def broken() -> Iterator[bytes]:
        yield b"first page"
        raise OSError("power cut")

    with pytest.raises(OSError, match="power cut"):
        dates.succeeded(PATH, dump, broken())
    assert dates.of(PATH).levels == {}
    assert len(kept_pages(state)) == 1
    done(dates, 0, 2000)
    assert kept_pages(state) == [f"{PATH}\n2000/0"]


def test_of_two_backups_at_once_the_one_with_later_data_counts() -> None:
    dates = DumpDates(MemoryState())
    early, late = (Dump(dates.give(PATH, taken), 0, taken, 0) for taken in (1000, 2000))
    dates.succeeded(PATH, late, ())
    dates.succeeded(PATH, early, ())
    assert dates.of(PATH).levels == {0: late}


def test_a_backup_that_ends_meanwhile_leaves_the_pages_of_another() -> None:
    state = MemoryState()
    dates = DumpDates(state)
    early, late = (Dump(dates.give(PATH, 1000), level, 1000, 2) for level in (0, 1))

    def pages() -> Iterator[bytes]:
        yield b"first"
        dates.succeeded(PATH, late, [b"other", b"other"])
        yield b"second"

    dates.succeeded(PATH, early, pages())
    assert dates.base_of(PATH, 1) == early
    assert list(dates.pages_of(PATH, early)) == [b"first", b"second"]
    done(dates, 0, 2000)
    assert kept_pages(state) == [f"{PATH}\n2000/0"]


def test_tokens_are_remembered_by_date_beside_the_levels() -> None:
    state = MemoryState()
    dates = DumpDates(state)
    full = done(dates, 0, 10)
    tokens = []
    for number in range(TOKENS_KEPT + 3):
        token = Dump(dates.give(PATH, 1000 + number), number, 1000 + number, 1)
        dates.gave_token(PATH, token, [b"page"])
        tokens.append(token)
    assert [dates.token(PATH, token.date) for token in tokens] == [None] * 3 + tokens[3:]
    assert dates.base_of(PATH, 1) == full
    assert len(kept_pages(state)) == TOKENS_KEPT + 1


def test_missing_page_is_told() -> None:
    state = MemoryState()
    dates = DumpDates(state)
    dump = done(dates, 0, 1000, pages=2)
    del state.values[NUMBERS_NAMESPACE, f"{PATH}\n1000/1"]
    assert list(dates.pages_of(PATH, dump)) == [b"page of 1000", None]


def test_value_in_the_store_is_json() -> None:
    state = MemoryState()
    done(DumpDates(state), 0, 7)
    assert msgspec.json.decode(state.values[NAMESPACE, PATH]) == {
        "last": 7,
        "levels": {"0": {"date": 7, "level": 0, "taken_at_s": 7, "pages": 1}},
        "tokens": [],
        "written": {"7": 1},
    }


def test_dates_of_version_0_1_0_are_not_given_again_and_are_nobodys_base() -> None:
    state = MemoryState()
    state.values[NAMESPACE, PATH] = b'{"last": 5000, "levels": {"0": 4000}}'
    dates = DumpDates(state)
    assert dates.base_of(PATH, 1) is None
    assert dates.give(PATH, 1000) == 5001
    assert list(dates.all()) == [PATH]


def test_date_that_cannot_be_remembered_is_not_given() -> None:
    with pytest.raises(OSError, match="disk full"):
        DumpDates(FailingState()).give("/vs1/vol1", 1000)
