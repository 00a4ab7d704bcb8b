from __future__ import annotations

import pytest

from tapekit.kernel.memory_state import MemoryStateStore
from tapekit_volumes.lock_records import CopyRecord, LockRecord, LockRecords, copy_record


def record(snapshot: str, holder: str) -> LockRecord:
    return LockRecord(
        volume="/vs1/vol1",
        snapshot=snapshot,
        holder=holder,
        temporary=True,
        method="memory",
        folder="/folder",
    )


@pytest.fixture
def state() -> MemoryStateStore:
    return MemoryStateStore()


def test_records_come_back_after_a_restart(state: MemoryStateStore) -> None:
    key = LockRecords(state).add(record("one", "session 1"))
    assert LockRecords(state).every() == {key: record("one", "session 1")}


def test_one_holder_can_hold_a_copy_twice(state: MemoryStateStore) -> None:
    records = LockRecords(state)
    keys = [records.add(record("one", "session 1")) for _ in range(2)]
    records.remove(keys[0])
    assert list(records.every()) == keys[1:]


def test_holders_of_a_copy_are_not_those_of_another(state: MemoryStateStore) -> None:
    records = LockRecords(state)
    for snapshot, holder in (("one", "a"), ("one", "b"), ("one.more", "c"), ("on", "d")):
        records.add(record(snapshot, holder))
    assert sorted(records.holders("/vs1/vol1", "one")) == ["a", "b"]
    records.remove_all("/vs1/vol1", "one")
    assert sorted(each.holder for each in records.every().values()) == ["c", "d"]


def test_copies_are_remembered_until_the_copy_is_forgotten(state: MemoryStateStore) -> None:
    records = LockRecords(state)
    assert records.copy("/vs1/vol1", "one") is None
    copy = CopyRecord(begun_at_s=12345, created_at_s=123, identifier="an identifier")
    records.note_copy("/vs1/vol1", "one", copy)
    assert LockRecords(state).copy("/vs1/vol1", "one") == copy
    records.forget_copy("/vs1/vol1", "one")
    assert records.copy("/vs1/vol1", "one") is None


def test_a_copy_of_which_the_time_alone_is_known_always_has_the_same_identifier(
    state: MemoryStateStore,
) -> None:
    times = {"/vs1/vol1/one": b"12345", "/vs1/vol1/two": b"12345"}
    state.change("volumes.snapshots", times)
    known = LockRecords(state).copy("/vs1/vol1", "one")
    assert known == copy_record("/vs1/vol1", "one", 12345)
    assert (known.begun_at_s, known.created_at_s) == (12345, 12345)
    other = LockRecords(state).copy("/vs1/vol1", "two")
    assert other is not None
    assert other.identifier != known.identifier


def test_what_is_no_record_is_logged_and_left_alone(
    state: MemoryStateStore, caplog: pytest.LogCaptureFixture
) -> None:
    state.change("volumes.locks", {"/vs1/vol1/odd#1": b'{"volume": 7}'})
    key = LockRecords(state).add(record("one", "a"))
    assert list(LockRecords(state).every()) == [key]
    assert "/vs1/vol1/odd#1: not a record of a lock" in caplog.text
    assert len(state.items("volumes.locks")) == 2
