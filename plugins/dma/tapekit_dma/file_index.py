"""The names in one backup: its file history, in a file of its own.

History arrives by the million while a backup runs; it goes into a file
without guarantees, which is made durable before the backup becomes a good
one. So the catalogue itself stays small, and to forget a backup is to remove
a file. The one rule: positions are kept as the data server gave them.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, final

import msgspec

from tapekit_dma.errors import CATALOGUE
from tapekit_ndmp_v4.messages import FhAddDirPost, FhAddFilePost, FhAddNodePost, UnixFileName
from tapekit_ndmp_v4.numbers import FileType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tapekit_ndmp_v4.messages import FileName, FileStat
    from tapekit_ndmp_v4.wire import Message

__all__ = ["FileIndex", "Found", "IndexWriter", "is_usable", "open_index", "written_index"]

_SCHEMA: Final = """
CREATE TABLE name (parent INTEGER, name BLOB, node INTEGER);
CREATE TABLE node (node INTEGER, position INTEGER, type INTEGER, size INTEGER, mtime INTEGER);
CREATE TABLE file (path BLOB, node INTEGER, position INTEGER, type INTEGER, size INTEGER,
    mtime INTEGER);
CREATE TABLE root (node INTEGER)
"""
_ORDER: Final = """
CREATE INDEX name_parent ON name (parent, name);
CREATE INDEX name_node ON name (node);
CREATE INDEX node_node ON node (node);
CREATE INDEX file_path ON file (path)
"""
_SIGN: Final = 1 << 63
_MOST_LEVELS: Final = 4096


@final
class Found(msgspec.Struct, frozen=True):
    """An object that a backup has."""

    path: str
    """Below the root of the backup, without a slash at its ends."""
    node: int
    position: int
    """In bytes of the image; all ones if the server did not tell."""
    is_directory: bool
    size: int
    mtime: int


@final
class IndexWriter:
    """Takes file history in; the rest of a session's posts pass by."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection: Final = connection
        self._root: int | None = None
        self.failure: sqlite3.Error | None = None
        """Why it is not whole; told at the end, since who reads posts cannot fail."""
        self.count: int = 0
        """Objects so far."""

    def add(self, post: Message) -> None:
        """Take in a post."""
        if self.failure is not None:
            return
        try:
            self._take_in(post)
        except sqlite3.Error as error:
            self.failure = error

    def _take_in(self, post: Message) -> None:
        match post:
            case FhAddDirPost(dirs=dirs):
                self._names(
                    (name, one.node, one.parent) for one in dirs for name in _unix(one.names)
                )
            case FhAddNodePost(nodes=nodes):
                rows = [
                    (_signed(one.node), _signed(one.fh_info), *_facts(one.stats)) for one in nodes
                ]
                self._connection.executemany("INSERT INTO node VALUES (?, ?, ?, ?, ?)", rows)
                self.count += len(rows)
            case FhAddFilePost(files=files):
                paths = [
                    (
                        os.fsencode(path.strip("/")),
                        _signed(one.node),
                        _signed(one.fh_info),
                        *_facts(one.stats),
                    )
                    for one in files
                    for path in _unix(one.names)
                ]
                self._connection.executemany("INSERT INTO file VALUES (?, ?, ?, ?, ?, ?)", paths)
                self.count += len(paths)

    def _names(self, entries: Iterable[tuple[str, int, int]]) -> None:
        rows = []
        for name, node, parent in entries:
            if name not in {".", ".."}:
                rows.append((_signed(parent), os.fsencode(name), _signed(node)))
            elif node == parent and self._root is None:
                # Only the root is its own parent; its entry . comes first.
                self._root = node
                self._connection.execute("INSERT INTO root VALUES (?)", (_signed(node),))
        self._connection.executemany("INSERT INTO name VALUES (?, ?, ?)", rows)


@contextlib.contextmanager
def written_index(file: Path) -> Iterator[IndexWriter]:
    """An index that is on disk when the block ends without an error."""
    file.unlink(missing_ok=True)
    is_done = False
    try:
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)
            connection.execute("BEGIN")
            writer = IndexWriter(connection)
            yield writer
            _finish(writer, connection, file)
        for path, flags in ((file, os.O_RDWR), (file.parent, os.O_RDONLY)):
            descriptor = os.open(path, flags)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        is_done = True
    finally:
        if not is_done:
            file.unlink(missing_ok=True)


def _finish(writer: IndexWriter, connection: sqlite3.Connection, file: Path) -> None:
    try:
        if writer.failure is not None:
            raise writer.failure
        for statement in _ORDER.split(";"):
            connection.execute(statement)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise CATALOGUE.error("index-not-written", file=file, reason=error) from error


@contextlib.contextmanager
def open_index(file: Path) -> Iterator[FileIndex]:
    """The index of a backup.

    :raises TapekitError: it is missing or damaged.
    """
    try:
        connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
        with contextlib.closing(connection):
            yield FileIndex(connection)
    except sqlite3.Error as error:
        raise CATALOGUE.error("index-unusable", file=file, reason=error) from error


def is_usable(file: Path) -> bool:
    """Whether an index is there and undamaged; all of it is read."""
    if not file.exists():
        return False
    try:
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            FileIndex(connection).check()
    except sqlite3.Error:
        return False
    return True


@final
class FileIndex:
    """Finds objects of one backup; of increments, those that it has."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection: Final = connection

    def check(self) -> None:
        """Read all of the file.

        :raises sqlite3.Error: it is damaged; :func:`open_index` explains it.
        """
        (found,) = self._connection.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)

    def find(self, path: str) -> Found | None:
        """The object of a path, or ``None`` if this backup does not have it."""
        path = path.strip("/")
        row = self._connection.execute(
            "SELECT node, position, type, size, mtime FROM file WHERE path = ?",
            (os.fsencode(path),),
        ).fetchone()
        if row is not None:
            return _found(path, *row)
        root = self._connection.execute("SELECT node FROM root").fetchone()
        for part in path.split("/"):
            if root is None:
                return None
            root = self._connection.execute(
                "SELECT node FROM name WHERE parent = ? AND name = ?", (root[0], os.fsencode(part))
            ).fetchone()
        return None if root is None else self._object(path, root[0])

    def matching(self, pattern: str) -> Iterator[Found]:
        """The objects whose path matches a pattern of the shell's kind; one
        without a slash is about names alone.
        """
        last = os.fsencode(pattern.rpartition("/")[2])
        rows = self._connection.execute(
            "SELECT parent, name, node FROM name WHERE CAST(name AS TEXT) GLOB CAST(? AS TEXT)",
            (last,),
        )
        for parent, name, node in rows:
            path = self._path(parent, os.fsdecode(name))
            found = self._object(path, node) if _matches(path, pattern) else None
            if found is not None:
                yield found
        for path, *rest in self._connection.execute("SELECT * FROM file"):
            text = os.fsdecode(path)
            if _matches(text, pattern):
                yield _found(text, *rest)

    def _object(self, path: str, node: int) -> Found | None:
        row = self._connection.execute(
            "SELECT node, position, type, size, mtime FROM node WHERE node = ?", (node,)
        ).fetchone()
        return None if row is None else _found(path, *row)

    def _path(self, parent: int, name: str) -> str:
        """Climb from a name to the root."""
        path = name
        for _ in range(_MOST_LEVELS):
            row = self._connection.execute(
                "SELECT parent, name FROM name WHERE node = ?", (parent,)
            ).fetchone()
            if row is None:
                break
            parent, path = row[0], f"{os.fsdecode(row[1])}/{path}"
        return path


def _matches(path: str, pattern: str) -> bool:
    if "/" in pattern:
        return fnmatchcase(path, pattern.strip("/"))
    return fnmatchcase(path.rpartition("/")[2], pattern)


def _found(path: str, node: int, position: int, kind: int, size: int, mtime: int) -> Found:
    is_directory = kind == FileType.DIR
    return Found(path, node % (2 * _SIGN), position % (2 * _SIGN), is_directory, size, mtime)


def _facts(stats: tuple[FileStat, ...]) -> tuple[int, int, int]:
    """Type, size and time of change."""
    if not stats:
        return FileType.OTHER, 0, 0
    return int(stats[0].ftype), min(stats[0].size, _SIGN - 1), stats[0].mtime


def _unix(names: Iterable[FileName]) -> Iterator[str]:
    return (name.unix_name for name in names if isinstance(name, UnixFileName))


def _signed(number: int) -> int:
    """SQLite's integers have a sign."""
    return number - 2 * _SIGN if number >= _SIGN else number
