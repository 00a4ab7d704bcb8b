"""The state store over one SQLite file.

Reads and writes have a connection each, so that a read never waits for the
flush of a write; a lock gives each connection to one thread at a time. The
file is opened when it is first needed, and again after it was closed. The
one rule: what :meth:`SqliteStateStore.change` returned from is on the disk.
"""

from __future__ import annotations

import contextlib
import sqlite3

# A store is called from any thread, data path and control alike.
import threading  # noqa: TID251
import weakref
from typing import TYPE_CHECKING, Final, final

from msgspec import Struct

from tapekit_state_sqlite.database import open_database, transaction, verify
from tapekit_state_sqlite.errors import explained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tapekit_state_sqlite.settings import StateSqliteSettings

__all__ = ["NamespaceRow", "SqliteStateStore"]

_SET: Final = "INSERT OR REPLACE INTO state (namespace, key, value) VALUES (?, ?, ?)"
_REMOVE: Final = "DELETE FROM state WHERE namespace = ? AND key = ?"
_GET: Final = "SELECT value FROM state WHERE namespace = ? AND key = ?"
_ITEMS: Final = "SELECT key, value FROM state WHERE namespace = ? AND key >= ? ORDER BY key"
_NAMESPACES: Final = """\
SELECT namespace, count(*), sum(length(value)) FROM state GROUP BY namespace ORDER BY namespace
"""


class NamespaceRow(Struct, frozen=True):
    """What a namespace holds."""

    namespace: str
    keys: int
    length_bytes: int
    """All values together."""


@final
class SqliteStateStore:
    """Durable values; see ``tapekit.hookspecs.state``."""

    def __init__(self, settings: StateSqliteSettings) -> None:
        self._settings: Final = settings
        self._path: Path | None = None
        self._reading: Final = _Line(self._open)
        self._writing: Final = _Line(self._open)

    def settle(self, base_directory: Path) -> None:
        """Learn where the file is; opens nothing."""
        self._path = base_directory / self._settings.path

    @property
    def path(self) -> Path:
        """The state file; :meth:`settle` comes first."""
        assert self._path is not None, "the store was used before the stack was assembled"
        return self._path

    def get(self, namespace: str, key: str) -> bytes | None:
        """See :meth:`StateStore.get`.

        :raises TapekitError: the file cannot be read.
        """
        with self._use(self._reading, "reading") as connection:
            row = connection.execute(_GET, (_stored(namespace), _stored(key))).fetchone()
        return None if row is None else row[0]

    def items(self, namespace: str, prefix: str = "") -> Mapping[str, bytes]:
        """See :meth:`StateStore.items`.

        :raises TapekitError: the file cannot be read.
        """
        start = _stored(prefix)
        found: dict[str, bytes] = {}
        with self._use(self._reading, "reading") as connection:
            rows = connection.execute(_ITEMS, (_stored(namespace), start))
            for key, value in rows:
                if not key.startswith(start):
                    break
                found[_text(key)] = value
            rows.close()
        return found

    def change(self, namespace: str, values: Mapping[str, bytes | None]) -> None:
        """See :meth:`StateStore.change`."""
        space = _stored(namespace)
        sets = [(space, _stored(key), value) for key, value in values.items() if value is not None]
        removals = [(space, _stored(key)) for key, value in values.items() if value is None]
        with self._use(self._writing, "writing") as connection, transaction(connection):
            connection.executemany(_SET, sets)
            connection.executemany(_REMOVE, removals)

    def namespaces(self) -> Sequence[NamespaceRow]:
        """Everything there is, by namespace, in their order.

        :raises TapekitError: the file cannot be read.
        """
        with self._use(self._reading, "reading") as connection:
            rows = connection.execute(_NAMESPACES).fetchall()
        return [NamespaceRow(_text(space), keys, length) for space, keys, length in rows]

    def verify(self) -> None:
        """Make sure that the file is there, ours and whole.

        :raises TapekitError: it is not.
        """
        with self._use(self._reading, "reading") as connection:
            verify(self.path, connection)

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._reading.close()
        self._writing.close()

    def _open(self) -> sqlite3.Connection:
        return open_database(self.path, self._settings.busy_timeout_s)

    @contextlib.contextmanager
    def _use(self, line: _Line, doing: str) -> Iterator[sqlite3.Connection]:
        try:
            with line.use() as connection:
                yield connection
        except sqlite3.Error as error:
            raise explained(self.path, doing, error) from error


@final
class _Line:
    """A connection that one thread uses at a time, opened when needed."""

    def __init__(self, open_connection: Callable[[], sqlite3.Connection]) -> None:
        self._open: Final = open_connection
        self._lock: Final = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._close: Callable[[], object] | None = None

    @contextlib.contextmanager
    def use(self) -> Iterator[sqlite3.Connection]:
        """The connection, for as long as the context lasts."""
        with self._lock:
            if self._connection is None:
                self._connection = self._open()
                # A command builds a stack, uses it and drops it.
                self._close = weakref.finalize(self, self._connection.close)
            yield self._connection

    def close(self) -> None:
        with self._lock:
            if self._close is not None:
                self._close()
            self._connection = self._close = None


def _stored(text: str) -> bytes:
    """The form in the file. Names of files that are not UTF-8 come as lone
    surrogates, and every text must come back as it was; the order of the
    bytes is that of the characters.
    """
    return text.encode("utf-8", "surrogatepass")


def _text(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogatepass")
