"""Dates of dumps."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import msgspec
import pytest

from tapekit_dump.dates import NAMESPACE, DumpDates, PathDates

if TYPE_CHECKING:
    from collections.abc import Mapping


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
            assert value is not None
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


@pytest.mark.requirement("R152")
def test_successful_backups_are_remembered_by_level() -> None:
    state = MemoryState()
    dates = DumpDates(state)
    dates.give("/vs1/vol1", 1000)
    dates.succeeded("/vs1/vol1", 0, 1000)
    dates.give("/vs1/vol1", 3000)
    dates.succeeded("/vs1/vol1", 3, 3000)
    assert DumpDates(state).of("/vs1/vol1") == PathDates(3000, {0: 1000, 3: 3000})
    assert DumpDates(state).of("/vs1/vol2") == PathDates()


def test_value_in_the_store_is_json() -> None:
    state = MemoryState()
    dates = DumpDates(state)
    dates.succeeded("/vs1/vol1", 0, dates.give("/vs1/vol1", 7))
    stored = msgspec.json.decode(state.values[NAMESPACE, "/vs1/vol1"])
    assert stored == {"last": 7, "levels": {"0": 7}}


def test_date_that_cannot_be_remembered_is_not_given() -> None:
    with pytest.raises(OSError, match="disk full"):
        DumpDates(FailingState()).give("/vs1/vol1", 1000)
