"""What a Snapshot copy has, for the next one to be compared with.

Two tables of objects and names, of the copy before and of this one, in a
temporary SQLite file that has no name; with them go the places of blocks
that other files may share. The one rule: memory does not grow with the
volume.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapekit_smtape.backup_extents import Extent

__all__ = ["CopyIndex", "Place", "Signature"]

_AT_ONCE: Final = 4096
_CACHE_KIB: Final = 32 * 1024
_SIGN: Final = 1 << 63
_ALL: Final = 1 << 64

_TABLES: Final = """
CREATE TABLE {age}_objects (
    number INTEGER PRIMARY KEY, mode INTEGER, ctime_ns INTEGER, mtime_ns INTEGER, size INTEGER
);
CREATE TABLE {age}_names (
    parent INTEGER, name BLOB, number INTEGER, PRIMARY KEY (parent, name)
) WITHOUT ROWID;
"""
_OTHERS: Final = """
CREATE TABLE written (number INTEGER PRIMARY KEY);
CREATE TABLE places (place INTEGER PRIMARY KEY, length INTEGER, number INTEGER, start INTEGER);
CREATE INDEX places_of ON places (number);
CREATE TABLE paths (number INTEGER PRIMARY KEY, path BLOB);
"""

_STEP: Final = """
DROP TABLE old_objects;
DROP TABLE old_names;
DROP INDEX IF EXISTS names_of;
ALTER TABLE new_objects RENAME TO old_objects;
ALTER TABLE new_names RENAME TO old_names;
CREATE INDEX names_of ON old_names (number);
DELETE FROM written;
"""
_FIXED: Final = frozenset({stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK})
"""Types of objects whose content is what they are made with."""

_GONE: Final = """
SELECT old.parent, old.name FROM old_names AS old
LEFT JOIN new_names AS new ON new.parent = old.parent AND new.name = old.name
LEFT JOIN old_objects AS was ON was.number = old.number
LEFT JOIN new_objects AS now ON now.number = old.number
WHERE new.number IS NOT old.number OR (was.mode & 61440) IS NOT (now.mode & 61440)
    OR ((was.mode & 61440) IN (40960, 8192, 24576) AND was.size IS NOT now.size)
"""
"""The numbers are the types above, and the mask of types."""

_FORGET_PLACES: Final = """
DELETE FROM places WHERE number NOT IN (
    SELECT new.number FROM new_objects AS new JOIN old_objects AS old USING (number)
    WHERE old.mode = new.mode AND old.ctime_ns = new.ctime_ns
        AND old.mtime_ns = new.mtime_ns AND old.size = new.size AND old.ctime_ns < ?
)
"""
_CLOCK_STEP_NS: Final = 1_000_000_000
"""Changes that are not further apart may have the same time: file systems
keep the time of the kernel's last tick, some of them in whole seconds."""
_NEIGHBOURS: Final = 32
"""Extents before a place that are looked at: what shares a part of another
one begins later, and may end before it."""
_PLACE: Final = """
SELECT number, path, start, length, place
FROM (SELECT * FROM places WHERE place <= ? ORDER BY place DESC LIMIT ?) JOIN paths USING (number)
WHERE place + length > ? ORDER BY place DESC LIMIT 1
"""


class Signature(NamedTuple):
    """What tells whether an object has changed."""

    mode: int
    ctime_ns: int
    mtime_ns: int
    size: int
    """Of a file; of a symbolic link or a device what stands for its target."""

    def is_another(self, before: Signature | None) -> bool:
        """Whether this is another object than the one that had its number."""
        if before is None or stat.S_IFMT(before.mode) != stat.S_IFMT(self.mode):
            return True
        return stat.S_IFMT(self.mode) in _FIXED and before.size != self.size


class Place(NamedTuple):
    """Where an image has bytes already."""

    number: int
    path: bytes
    """Of the file, below the copy's top."""
    start: int
    length: int
    place: int


@final
class CopyIndex:
    """The objects of two Snapshot copies; for one thread.

    :param directory: for the temporary file; ``None`` is the system's.
    """

    def __init__(self, directory: Path | None) -> None:
        handle, path = tempfile.mkstemp(prefix="tapekit-smtape-", dir=directory)
        os.close(handle)
        try:
            self._database: Final = sqlite3.connect(path, isolation_level=None)
            self._database.executescript(
                "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
                "PRAGMA locking_mode = EXCLUSIVE; PRAGMA temp_store = FILE;"
                f"PRAGMA cache_size = -{_CACHE_KIB};" + _OTHERS
            )
            self._database.executescript(_TABLES.format(age="old") + _TABLES.format(age="new"))
        finally:
            Path(path).unlink()
        self._objects: list[tuple[int, int, int, int, int]] = []
        self._names: list[tuple[int, bytes, int]] = []
        self._newest_ns = 0
        self._doubt_from_ns = 0

    def close(self) -> None:
        """Free the file; later calls do nothing."""
        self._database.close()

    # The copy at hand.

    def add_object(self, number: int, signature: Signature) -> None:
        """Note an object of this copy; one that has several names, with each."""
        self._objects.append((_signed(number), *signature))
        self._newest_ns = max(self._newest_ns, signature.ctime_ns)
        if len(self._objects) >= _AT_ONCE:
            self._flush()

    def add_name(self, parent: int, name: bytes, number: int) -> None:
        """Note a name of this copy."""
        self._names.append((_signed(parent), name, _signed(number)))
        if len(self._names) >= _AT_ONCE:
            self._flush()

    def step(self) -> None:
        """Make this copy the one before, and begin another."""
        self._flush()
        self._database.executescript(_STEP + _TABLES.format(age="new"))
        self._doubt_from_ns = self._newest_ns - _CLOCK_STEP_NS
        self._newest_ns = 0

    # What has changed.

    def gone(self) -> Iterator[tuple[int, bytes]]:
        """The names of the copy before that this one does not have, or that
        mean another object: parent and name.
        """
        self._flush()
        for parent, name in self._database.execute(_GONE):
            yield _unsigned(parent), name

    def before(self, number: int) -> Signature | None:
        """What an object was in the copy before."""
        row = self._database.execute(
            "SELECT mode, ctime_ns, mtime_ns, size FROM old_objects WHERE number = ?",
            (_signed(number),),
        ).fetchone()
        return None if row is None else Signature(*row)

    def is_as_before(self, was: Signature | None, now: Signature) -> bool:
        """Whether an object has not changed, without a doubt: what was changed
        right before the copy was taken may have been changed right after it,
        at the same time by the file system's clock.
        """
        return was == now and now.ctime_ns < self._doubt_from_ns

    def meant_before(self, parent: int, name: bytes) -> int | None:
        """The object that a name meant in the copy before."""
        row = self._database.execute(
            "SELECT number FROM old_names WHERE parent = ? AND name = ?", (_signed(parent), name)
        ).fetchone()
        return None if row is None else _unsigned(row[0])

    def path_before(self, number: int, root: int) -> bytes:
        """A path of an object in the copy before, below its top."""
        parts: list[bytes] = []
        at, top = _signed(number), _signed(root)
        while at != top:
            at, name = self._database.execute(
                "SELECT parent, name FROM old_names WHERE number = ? LIMIT 1", (at,)
            ).fetchone()
            parts.append(name)
        return b"/".join(reversed(parts))

    def first_time(self, number: int) -> bool:
        """Whether an object is met for the first time in this copy; true once."""
        done = self._database.execute(
            "INSERT OR IGNORE INTO written VALUES (?)", (_signed(number),)
        )
        return done.rowcount > 0

    # Blocks that files share.

    def forget_places(self) -> None:
        """Forget the places of all objects that have changed in this copy."""
        self._flush()
        self._database.execute(_FORGET_PLACES, (self._doubt_from_ns,))

    def add_places(self, number: int, path: bytes, extents: list[Extent]) -> None:
        """Note where the blocks of a file are, those that others may share."""
        shared = [extent for extent in extents if extent.is_shared]
        if shared:
            self._database.execute(
                "INSERT OR REPLACE INTO paths VALUES (?, ?)", (_signed(number), path)
            )
            self._database.executemany(
                "INSERT OR IGNORE INTO places VALUES (?, ?, ?, ?)",
                [(extent.place, extent.length, _signed(number), extent.start) for extent in shared],
            )

    def place(self, at: int) -> Place | None:
        """Who has the block at a place of the device, if anybody is known to."""
        row = self._database.execute(_PLACE, (at, _NEIGHBOURS, at)).fetchone()
        if row is None:
            return None
        return Place(_unsigned(row[0]), *row[1:])

    def _flush(self) -> None:
        with contextlib.closing(self._database.cursor()) as cursor:
            cursor.execute("BEGIN")
            cursor.executemany(
                "INSERT OR REPLACE INTO new_objects VALUES (?, ?, ?, ?, ?)", self._objects
            )
            cursor.executemany("INSERT OR REPLACE INTO new_names VALUES (?, ?, ?)", self._names)
            cursor.execute("COMMIT")
        self._objects.clear()
        self._names.clear()


def _signed(number: int) -> int:
    """A number of 64 bits as SQLite keeps it."""
    return number - _ALL if number >= _SIGN else number


def _unsigned(number: int) -> int:
    return number % _ALL
