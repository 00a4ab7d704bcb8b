"""Opening the state file.

The file is looked at before anything is written to it: a file of another
program, of a newer version, or a damaged one is refused as it is. A new
file is made with its tables, its mark and its format number in one
transaction. The one rule: an existing file that is not ours in a format we
know is never changed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from typing import TYPE_CHECKING, Final

from tapekit_state_sqlite.errors import CATALOGUE, explained

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["APPLICATION_ID", "FORMAT", "open_database", "transaction", "verify"]

APPLICATION_ID: Final = int.from_bytes(b"tpkS", "big")
"""SQLite's mark of a program in the file's header (``PRAGMA application_id``)."""

FORMAT: Final = 1
"""The format that this version writes (``PRAGMA user_version``)."""

_TABLES: Final = """\
CREATE TABLE state (
    namespace BLOB NOT NULL,
    key BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (namespace, key)
) WITHOUT ROWID
"""

_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700


def open_database(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    """Open the state file, or make it.

    Every commit on the connection is on the disk when it returns.

    :raises TapekitError: the file is not ours, damaged, of a newer format,
        or cannot be used.
    """
    try:
        _make_folder(path.parent)
        with _alone_in(path.parent):
            _make_file(path)
            return _connect(path, busy_timeout_s)
    except OSError as error:
        raise CATALOGUE.error(
            "failed", path=path, doing="opening", reason=error.strerror
        ) from error
    except sqlite3.Error as error:
        raise explained(path, "opening", error) from error


def verify(path: Path, connection: sqlite3.Connection) -> None:
    """Read the structure of the whole file.

    :raises TapekitError: it is damaged.
    :raises sqlite3.Error: it cannot be read.
    """
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise CATALOGUE.error("damaged", path=path, reason=found)


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Do all of it or nothing; on the disk when it ends without an error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # After some errors, a full disk for one, SQLite has rolled back itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _connect(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False
    )
    try:
        _prepare(path, connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    is_new = _is_new(path, connection)
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise CATALOGUE.error("no-shared-memory", path=path, mode=mode)
    # In WAL mode FULL flushes the log at each commit; NORMAL would not.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA trusted_schema = OFF")
    if is_new:
        with transaction(connection):
            connection.execute(_TABLES)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {FORMAT}")


def _is_new(path: Path, connection: sqlite3.Connection) -> bool:
    """Whether nothing has been written to the file.

    :raises TapekitError: something has, and it is not in a format we know.
    """
    mark = _number(connection, "PRAGMA application_id")
    found = _number(connection, "PRAGMA user_version")
    if mark == APPLICATION_ID:
        if found > FORMAT:
            raise CATALOGUE.error("newer", path=path, found=found, known=FORMAT)
        return False
    if mark or found or _number(connection, "SELECT count(*) FROM sqlite_master"):
        raise CATALOGUE.error("foreign", path=path)
    return True


def _number(connection: sqlite3.Connection, query: str) -> int:
    (number,) = connection.execute(query).fetchone()
    return int(number)


def _make_file(path: Path) -> None:
    """Make an empty file that only we may read; SQLite gives the files
    beside it the same mode.
    """
    try:
        made = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
    except FileExistsError:
        return
    os.close(made)
    with _opened(path.parent) as folder:
        os.fsync(folder)


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        with _opened(folder.parent) as parent:
            os.fsync(parent)


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep everybody else from opening a file there. SQLite itself does not
    wait when two connections set up a new file at once, but fails.
    """
    with _opened(folder) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield opened
    finally:
        os.close(opened)
