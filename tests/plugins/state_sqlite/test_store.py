"""The state store over one SQLite file."""

from __future__ import annotations

import gc
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tapekit.errors import TapekitError
from tapekit.testing import check_state_store
from tapekit_state_sqlite.settings import StateSqliteSettings
from tapekit_state_sqlite.store import NamespaceRow, SqliteStateStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE_S = 60


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Callable[..., SqliteStateStore]]:
    opened: list[SqliteStateStore] = []

    def build(path: str = "state/tapekit.sqlite", **more: object) -> SqliteStateStore:
        store = SqliteStateStore(StateSqliteSettings(path=path, **more))
        store.settle(tmp_path)
        opened.append(store)
        return store

    yield build
    for store in opened:
        store.close()


def test_store_keeps_the_contract(open_store: Callable[..., SqliteStateStore]) -> None:
    paths = (f"{number}/state.sqlite" for number in range(100))
    used: list[str] = []

    def make() -> SqliteStateStore:
        used.append(next(paths))
        return open_store(used[-1])

    check_state_store(make, reopen=lambda: open_store(used[-1]))


@given(
    values=st.dictionaries(
        st.text(st.characters(codec=None), max_size=6), st.binary(max_size=6), max_size=8
    ),
    prefix=st.text(st.characters(codec=None), max_size=2),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_is_a_key_and_comes_in_order(
    values: dict[str, bytes], prefix: str, open_store: Callable[..., SqliteStateStore]
) -> None:
    store = open_store()
    store.change("x", dict.fromkeys(store.items("x")))
    store.change("x", values)
    wanted = {key: values[key] for key in sorted(values) if key.startswith(prefix)}
    assert list(store.items("x", prefix).items()) == list(wanted.items())
    assert all(store.get("x", key) == value for key, value in values.items())
    store.close()


def test_names_of_files_that_are_not_utf8_come_back(
    open_store: Callable[..., SqliteStateStore],
) -> None:
    name = os.fsdecode(b"/vs1/vol1/caf\xe9")
    store = open_store()
    store.change("dump.dates", {name: b"1"})
    assert list(store.items("dump.dates")) == [name]
    assert os.fsencode(next(iter(store.items("dump.dates")))) == b"/vs1/vol1/caf\xe9"


def test_a_change_that_fails_in_the_middle_changes_nothing(
    open_store: Callable[..., SqliteStateStore],
) -> None:
    store = open_store()
    store.change("x", {"a": b"old", "b": b"old"})
    with pytest.raises(TapekitError, match="writing the state failed") as failed:
        store.change("x", {"a": b"new", "b": None, "c": object()})  # type: ignore[dict-item]
    assert failed.value.id == "state_sqlite.failed"
    assert store.items("x") == {"a": b"old", "b": b"old"}
    store.change("x", {"a": b"new"})
    assert store.get("x", "a") == b"new"


def test_a_full_disk_is_told_and_changes_nothing(
    open_store: Callable[..., SqliteStateStore],
) -> None:
    store = open_store()
    store.change("x", {"a": b"old"})
    with store._writing.use() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(TapekitError, match="full") as failed:
        store.change("x", {"a": b"new", "large": bytes(1 << 20)})
    assert failed.value.id == "state_sqlite.failed"
    assert store.items("x") == {"a": b"old"}


def test_changes_of_several_threads_and_stores_all_arrive(
    open_store: Callable[..., SqliteStateStore],
) -> None:
    stores = [open_store(), open_store()]

    def work(number: int) -> None:
        for count in range(20):
            stores[number % 2].change("x", {f"{number}-{count}": b"v"})
            assert stores[1 - number % 2].get("x", f"{number}-{count}") == b"v"

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(work, number) for number in range(4)]:
            done.result(PATIENCE_S)
    assert len(stores[0].items("x")) == 80


def test_a_new_file_may_be_opened_by_many_at_once(
    open_store: Callable[..., SqliteStateStore],
) -> None:
    for number in range(10):
        stores = [open_store(f"{number}/new.sqlite") for _ in range(4)]
        with ThreadPoolExecutor(4) as threads:
            for done in [threads.submit(store.verify) for store in stores]:
                done.result(PATIENCE_S)


def test_a_read_does_not_wait_for_a_write(open_store: Callable[..., SqliteStateStore]) -> None:
    store = open_store()
    store.change("x", {"a": b"1"})
    with store._writing.use() as connection:
        connection.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as threads:
            assert threads.submit(store.get, "x", "a").result(PATIENCE_S) == b"1"
        connection.execute("ROLLBACK")


def test_a_file_that_another_program_holds_is_told(
    open_store: Callable[..., SqliteStateStore],
) -> None:
    store = open_store(busy_timeout_s=0.01)
    store.verify()
    holder = sqlite3.connect(store.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(TapekitError, match="writing the state took too long") as busy:
        store.change("x", {"a": b"1"})
    assert busy.value.id == "state_sqlite.busy"
    holder.execute("ROLLBACK")
    holder.close()
    store.change("x", {"a": b"1"})


def test_every_commit_is_flushed(open_store: Callable[..., SqliteStateStore]) -> None:
    full = 2
    with open_store()._writing.use() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (full,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_closed_store_opens_again(open_store: Callable[..., SqliteStateStore]) -> None:
    store = open_store()
    store.change("x", {"a": b"1"})
    store.close()
    store.close()
    assert store.get("x", "a") == b"1"


def test_a_store_that_is_dropped_closes_its_file(tmp_path: Path) -> None:
    store = SqliteStateStore(StateSqliteSettings())
    store.settle(tmp_path)
    store.change("x", {"a": b"1"})
    path = store.path
    assert list(path.parent.iterdir()) != [path]
    del store
    gc.collect()
    assert list(path.parent.iterdir()) == [path]


def test_only_we_may_read_what_is_made(open_store: Callable[..., SqliteStateStore]) -> None:
    store = open_store("new/folder/tapekit.sqlite")
    store.change("x", {"a": b"1"})
    folder = store.path.parent
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {f"tapekit.sqlite{end}": 0o600 for end in ("", "-wal", "-shm")}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700


def test_namespaces_are_counted(open_store: Callable[..., SqliteStateStore]) -> None:
    store = open_store()
    assert store.namespaces() == []
    store.change("b", {"k": b"123"})
    store.change("a", {"k": b"1", "l": b""})
    assert store.namespaces() == [NamespaceRow("a", 2, 1), NamespaceRow("b", 1, 3)]


WRITER = """
import sys
from pathlib import Path
from tapekit_state_sqlite.settings import StateSqliteSettings
from tapekit_state_sqlite.store import SqliteStateStore

store = SqliteStateStore(StateSqliteSettings())
store.settle(Path(sys.argv[1]))
number = len(store.items("x", "left-"))
while True:
    store.change("x", {f"left-{number:06}": b"v", f"right-{number:06}": bytes(number)})
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
    number += 1
"""


@pytest.mark.slow
@pytest.mark.parametrize("after", [0, 1, 7, 40])
def test_nothing_acknowledged_is_lost_when_the_process_is_killed(
    after: int, open_store: Callable[..., SqliteStateStore], tmp_path: Path
) -> None:
    for _ in range(2):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(after + 1)]
        writer.send_signal(signal.SIGKILL)
        acknowledged += map(int, writer.stdout.read().split())
        writer.stdout.close()
        assert writer.wait(PATIENCE_S) == -signal.SIGKILL
        store = open_store()
        store.verify()
        lefts, rights = store.items("x", "left-"), store.items("x", "right-")
        assert {f"left-{number:06}" for number in acknowledged} <= lefts.keys()
        assert len(lefts) == len(rights)
        assert [len(value) for value in rights.values()] == list(range(len(rights)))
        store.close()
