"""Where the objects of an image's source stand in the volume restored to.

An increment names objects by the source's inode numbers, so beside the
volume lies a table of them: the names by which each is found, and the number
that it has here, by which the names can be found out again after a crash. It
is an SQLite file, and everything that one Snapshot copy changes is one
transaction. The one rule: an object that a committed table knows is not
removed from the volume before the table that no longer knows it is committed.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING, Final, NamedTuple, final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["MapDamaged", "MapFacts", "Name", "ObjectMap", "signed"]

_FORMAT: Final = 1
_FILE: Final = "smtape-objects"
_PENDING: Final = 4096
"""Rows that are written together."""

_SCHEMA: Final = """
CREATE TABLE facts (format INTEGER, set_id BLOB, identifier TEXT, is_settled INTEGER);
CREATE TABLE objects (number INTEGER PRIMARY KEY, here INTEGER NOT NULL);
CREATE TABLE names (
    parent INTEGER NOT NULL, name BLOB NOT NULL, number INTEGER NOT NULL,
    PRIMARY KEY (parent, name)
) WITHOUT ROWID;
CREATE TABLE due (number INTEGER PRIMARY KEY, attributes BLOB NOT NULL);
"""
_INDEX: Final = "CREATE INDEX IF NOT EXISTS names_of ON names (number)"


_SIGN: Final = 1 << 63


def signed(number: int) -> int:
    """An inode number as the table has it, which knows no larger ones: of 64
    bits the highest is the sign.
    """
    return number - 2 * _SIGN if number >= _SIGN else number


class MapDamaged(Exception):
    """The file is not a whole table of objects; the text tells why."""


class MapFacts(NamedTuple):
    """What a committed table stands for."""

    set_id: bytes
    """The backup set whose images were restored."""
    identifier: str
    """The Snapshot copy that the objects are as in."""
    is_settled: bool = True
    """Whether nothing has been changed since."""


class Name(NamedTuple):
    """A name in a directory."""

    parent: int
    """The directory's number at the source."""
    name: bytes


@final
class ObjectMap:
    """The table of one volume, open for one restore; for one thread at a time."""

    def __init__(self, database: sqlite3.Connection, path: Path) -> None:
        self._database: Final = database
        self._path: Final = path
        self._objects: dict[int, int] = {}
        self._names: dict[Name, int] = {}
        self._is_indexed = False
        self._is_journaled = False

    @classmethod
    def create(cls, folder: Path) -> ObjectMap:
        """Begin a table without objects, in place of one that is there.

        :raises OSError: the file cannot be made.
        """
        path = folder / _FILE
        for old in (path, _journal(path)):
            with contextlib.suppress(FileNotFoundError):
                old.unlink()
        try:
            database = _connect(path)
            # Until there is a Snapshot copy to build on, what a crash leaves
            # is never used.
            database.execute("PRAGMA journal_mode = OFF")
            database.execute("PRAGMA synchronous = OFF")
            database.executescript(_SCHEMA)
            database.execute("BEGIN")
        except sqlite3.Error as error:
            raise OSError(0, str(error)) from error
        return cls(database, path)

    @classmethod
    def open(cls, folder: Path) -> tuple[ObjectMap, MapFacts]:
        """Open the table that the last restore has left, and tell what of.

        :raises MapDamaged: there is none that is whole.
        """
        path = folder / _FILE
        if not path.is_file():
            raise MapDamaged("there is none")
        database = _connect(path)
        try:
            _make_lasting(database)
            facts = _facts(database)
            database.execute(_INDEX)
            database.execute("BEGIN")
        except sqlite3.Error as error:
            database.close()
            raise MapDamaged(str(error)) from error
        except MapDamaged:
            database.close()
            raise
        opened = cls(database, path)
        opened._is_indexed = opened._is_journaled = True
        return opened, facts

    def close(self) -> None:
        """Close it; what was not committed is undone. Later calls do nothing."""
        self._database.close()

    def commit(self, facts: MapFacts) -> None:
        """Make all changes since the last commit last.

        :raises OSError: they cannot be written.
        """
        with self._telling():
            self._flush()
            self._database.execute("DELETE FROM facts")
            self._database.execute("INSERT INTO facts VALUES (?, ?, ?, ?)", (_FORMAT, *facts))
            self._database.execute("COMMIT")
            if not self._is_journaled:
                _make_lasting(self._database)
                self._is_journaled = True
            self._database.execute("BEGIN")
        _sync(self._path)

    def add_object(self, number: int, here: int) -> None:
        """Note an object that has just been made, and its number here."""
        self._objects[number] = here
        if len(self._objects) >= _PENDING:
            self._flush()

    def add_name(self, place: Name, number: int) -> None:
        """Note a name of an object, in place of another's."""
        self._names[place] = number
        if len(self._names) >= _PENDING:
            self._flush()

    def remove_name(self, place: Name) -> None:
        """Forget a name, if it is known."""
        self._flush()
        self._database.execute("DELETE FROM names WHERE parent = ? AND name = ?", place)

    def remove_object(self, number: int) -> None:
        """Forget an object, what is left of its names, and what is due to it."""
        self._flush()
        self._find_names()
        self._database.execute("DELETE FROM objects WHERE number = ?", (number,))
        self._database.execute("DELETE FROM names WHERE number = ?", (number,))
        self._database.execute("DELETE FROM due WHERE number = ?", (number,))

    def clear_names(self) -> None:
        """Forget all names, and none of the objects."""
        self._flush()
        self._database.execute("DELETE FROM names")

    def here(self, number: int) -> int | None:
        """The number that an object has here, or ``None`` if it is unknown."""
        pending = self._objects.get(number)
        if pending is not None:
            return pending
        row = self._database.execute(
            "SELECT here FROM objects WHERE number = ?", (number,)
        ).fetchone()
        return None if row is None else int(row[0])

    def at(self, place: Name) -> int | None:
        """The object of a name."""
        pending = self._names.get(place)
        if pending is not None:
            return pending
        row = self._database.execute(
            "SELECT number FROM names WHERE parent = ? AND name = ?", place
        ).fetchone()
        return None if row is None else int(row[0])

    def name_of(self, number: int) -> Name | None:
        """One of the names of an object, or ``None`` if it has none."""
        self._flush()
        self._find_names()
        row = self._database.execute(
            "SELECT parent, name FROM names WHERE number = ? LIMIT 1", (number,)
        ).fetchone()
        return None if row is None else Name(row[0], row[1])

    def entries(self, parent: int) -> dict[bytes, int]:
        """The names in a directory and the objects that they stand for."""
        self._flush()
        rows = self._database.execute("SELECT name, number FROM names WHERE parent = ?", (parent,))
        return dict(rows)

    def add_due(self, number: int, attributes: bytes) -> None:
        """Note what an object is to get at the end."""
        self._database.execute("INSERT OR REPLACE INTO due VALUES (?, ?)", (number, attributes))

    def due(self) -> Iterator[tuple[int, bytes]]:
        """What objects are to get, of those that are still there."""
        last = -1
        while True:
            rows = self._database.execute(
                "SELECT number, attributes FROM due NATURAL JOIN objects"
                " WHERE number > ? ORDER BY number LIMIT 1000",
                (last,),
            ).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            yield from rows

    def forget_due(self) -> None:
        """Nothing is to be given any more."""
        self._database.execute("DELETE FROM due")

    def known_here(self, numbers: Iterable[int]) -> dict[int, int]:
        """Of numbers that objects have here: what they are at the source."""
        self._flush()
        self._database.execute("CREATE INDEX IF NOT EXISTS objects_here ON objects (here)")
        found = {}
        for here in numbers:
            row = self._database.execute(
                "SELECT number FROM objects WHERE here = ?", (here,)
            ).fetchone()
            if row is not None:
                found[here] = int(row[0])
        return found

    def nameless(self) -> Iterator[int]:
        """Objects that have no name left, in batches of which each is fetched
        before the caller goes on.
        """
        self._flush()
        self._find_names()
        last = -1
        while True:
            rows = self._database.execute(
                "SELECT number FROM objects WHERE number > ? AND NOT EXISTS"
                " (SELECT 1 FROM names WHERE names.number = objects.number)"
                " ORDER BY number LIMIT 1000",
                (last,),
            ).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            yield from (row[0] for row in rows)

    def _find_names(self) -> None:
        if not self._is_indexed:
            self._database.execute(_INDEX)
            self._is_indexed = True

    def _flush(self) -> None:
        objects, self._objects = self._objects, {}
        names, self._names = self._names, {}
        if objects:
            rows = objects.items()
            self._database.executemany("INSERT OR REPLACE INTO objects VALUES (?, ?)", rows)
        if names:
            entries = ((*place, number) for place, number in names.items())
            self._database.executemany("INSERT OR REPLACE INTO names VALUES (?, ?, ?)", entries)

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise OSError(0, f"{self._path}: {error}") from error


def _connect(path: Path) -> sqlite3.Connection:
    # The job's thread uses it, another may close it afterwards.
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA cache_size = -32768")
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
    return database


def _facts(database: sqlite3.Connection) -> MapFacts:
    """What the table stands for.

    :raises MapDamaged: that is not known.
    """
    row = database.execute("SELECT format, set_id, identifier, is_settled FROM facts").fetchone()
    if row is None or row[0] != _FORMAT:
        raise MapDamaged("it is not whole, or of another version")
    return MapFacts(row[1], row[2], bool(row[3]))


def _make_lasting(database: sqlite3.Connection) -> None:
    """From now on a transaction is in the file as a whole or not at all."""
    database.execute("PRAGMA journal_mode = TRUNCATE")
    database.execute("PRAGMA synchronous = FULL")


def _journal(path: Path) -> Path:
    return path.with_name(f"{path.name}-journal")


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
