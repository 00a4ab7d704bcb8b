"""SQLite's codes and the rows they become."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tapekit_state_sqlite.errors import explained

PATH = Path("/state.sqlite")


def error_with(code: int | None) -> sqlite3.Error:
    error = sqlite3.OperationalError("as SQLite says")
    if code is not None:
        error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "row"),
    [
        (sqlite3.SQLITE_CORRUPT, "damaged"),
        (sqlite3.SQLITE_NOTADB, "damaged"),
        (sqlite3.SQLITE_CORRUPT_INDEX, "damaged"),
        (sqlite3.SQLITE_BUSY, "busy"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "busy"),
        (sqlite3.SQLITE_LOCKED, "busy"),
        (sqlite3.SQLITE_FULL, "failed"),
        (sqlite3.SQLITE_IOERR_FSYNC, "failed"),
        (sqlite3.SQLITE_READONLY, "failed"),
        (None, "failed"),
    ],
)
def test_each_code_has_its_row(code: int | None, row: str) -> None:
    error = explained(PATH, "reading", error_with(code))
    assert error.id == f"state_sqlite.{row}"
    assert str(PATH) in str(error)
    assert error.explained
