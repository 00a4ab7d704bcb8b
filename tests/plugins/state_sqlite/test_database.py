"""Opening state files: new, ours, foreign, newer, damaged."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit_state_sqlite.database import (
    APPLICATION_ID,
    FORMAT,
    _prepare,
    open_database,
    transaction,
    verify,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_S = 1.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tapekit.sqlite"


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    connection = open_database(path, WAIT_S)
    yield connection
    connection.close()


def refusal(path: Path) -> TapekitError:
    with pytest.raises(TapekitError) as refused:
        open_database(path, WAIT_S).close()
    return refused.value


def with_values(path: Path, count: int) -> None:
    connection = open_database(path, WAIT_S)
    rows = [(b"x", b"%06d" % number, bytes(100)) for number in range(count)]
    with transaction(connection):
        connection.executemany("INSERT INTO state VALUES (?, ?, ?)", rows)
    connection.close()


def test_a_new_file_has_our_mark_and_format(connection: sqlite3.Connection) -> None:
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert connection.execute("PRAGMA user_version").fetchone() == (FORMAT,)
    assert connection.execute("SELECT count(*) FROM state").fetchone() == (0,)


def test_an_empty_file_is_a_new_one(path: Path) -> None:
    path.touch()
    open_database(path, WAIT_S).close()
    assert path.stat().st_size > 0


def test_opening_again_keeps_what_is_there(path: Path) -> None:
    with_values(path, 3)
    connection = open_database(path, WAIT_S)
    assert connection.execute("SELECT count(*) FROM state").fetchone() == (3,)
    connection.close()


def test_a_newer_format_is_refused_and_left_alone(path: Path) -> None:
    open_database(path, WAIT_S).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
    connection.close()
    before = path.read_bytes()
    error = refusal(path)
    assert error.id == "state_sqlite.newer"
    assert error.facts == {"path": path, "found": FORMAT + 1, "known": FORMAT}
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE other (x)", "PRAGMA application_id = 42", "PRAGMA user_version = 7"],
)
def test_a_file_of_another_program_is_refused_and_left_alone(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.close()
    before = path.read_bytes()
    assert refusal(path).id == "state_sqlite.foreign"
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" * 300])
def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    error = refusal(path)
    assert error.id == "state_sqlite.damaged"
    assert str(path) in str(error)
    assert path.read_bytes() == content


def test_damage_inside_is_found_by_verify(path: Path) -> None:
    with_values(path, 1000)
    content = bytearray(path.read_bytes())
    content[8192:12288] = os.urandom(4096)
    path.write_bytes(content)
    connection = open_database(path, WAIT_S)
    with pytest.raises((TapekitError, sqlite3.DatabaseError)) as found:
        verify(path, connection)
    connection.close()
    if isinstance(found.value, TapekitError):
        assert found.value.id == "state_sqlite.damaged"
    assert path.read_bytes() == bytes(content)


def test_a_sound_file_passes_verify(path: Path, connection: sqlite3.Connection) -> None:
    verify(path, connection)


def test_a_folder_in_place_of_the_file_is_told(path: Path) -> None:
    path.mkdir()
    assert refusal(path).id == "state_sqlite.failed"


def test_a_file_in_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    error = refusal(tmp_path / "state" / "tapekit.sqlite")
    assert error.id == "state_sqlite.failed"
    assert error.facts["doing"] == "opening"


def test_a_transaction_that_raises_leaves_nothing(connection: sqlite3.Connection) -> None:
    def insert_and_fail() -> None:
        with transaction(connection):
            connection.execute("INSERT INTO state VALUES (x'00', x'00', x'00')")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        insert_and_fail()
    assert connection.execute("SELECT count(*) FROM state").fetchone() == (0,)


def test_a_file_system_without_shared_memory_is_told(path: Path) -> None:
    # This way of locking is what SQLite has for such file systems.
    connection = sqlite3.connect(f"file:{path}?vfs=unix-dotfile", uri=True)
    with pytest.raises(TapekitError) as refused:
        _prepare(path, connection)
    connection.close()
    assert refused.value.id == "state_sqlite.no-shared-memory"
    assert refused.value.facts == {"path": path, "mode": "delete"}
