"""The catalogue: which backup lies where, in an SQLite file of its own.

Every change is one transaction and on disk before the method returns. Runs
on one media set exclude each other by a lock file, so that two of them never
write one cartridge. The one rule: a cartridge's end of data moves together
with the backup that moved it becoming good, or not at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from typing import TYPE_CHECKING, Final, final
from urllib.parse import quote

import msgspec

from tapekit_dma.errors import CATALOGUE
from tapekit_dma.rebuilding import Known
from tapekit_dma.records import Backup, Cartridge, Entry, Part, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["FORMAT", "Catalogue", "open_catalogue"]

FORMAT: Final = 1
"""The format that this version writes (``PRAGMA user_version``)."""

_SCHEMA: Final = """
CREATE TABLE cartridge (barcode TEXT PRIMARY KEY, media_set TEXT NOT NULL, entry BLOB NOT NULL);
CREATE TABLE backup (number INTEGER PRIMARY KEY AUTOINCREMENT, media_set TEXT NOT NULL,
    entry BLOB NOT NULL);
CREATE TABLE part (backup INTEGER NOT NULL REFERENCES backup ON DELETE CASCADE,
    barcode TEXT NOT NULL, label TEXT NOT NULL, file INTEGER NOT NULL,
    first INTEGER NOT NULL, length INTEGER NOT NULL);
CREATE INDEX part_backup ON part (backup);
CREATE INDEX part_barcode ON part (barcode);
"""
_FILE: Final = "catalogue.sqlite"
_BUSY_S: Final = 30.0


@contextlib.contextmanager
def open_catalogue(directory: Path) -> Iterator[Catalogue]:
    """The catalogue of a folder, which is made if need be.

    :raises TapekitError: it is damaged, of another version, or cannot be had.
    """
    file = directory / _FILE
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.closing(_connected(file)) as connection:
            yield Catalogue(directory, connection)
    except sqlite3.DatabaseError as error:
        raise CATALOGUE.error("catalogue-unusable", file=file, reason=error) from error
    except PermissionError as error:
        raise CATALOGUE.error("catalogue-unusable", file=file, reason=error.strerror) from error


def _connected(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=_BUSY_S, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        with _transaction(connection):
            (found,) = connection.execute("PRAGMA user_version").fetchone()
            if found == 0:
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {FORMAT}")
        _require_format(file, found)
    except BaseException:
        connection.close()
        raise
    return connection


def _require_format(file: Path, found: int) -> None:
    if found not in (0, FORMAT):
        raise CATALOGUE.error("catalogue-of-other-version", file=file, found=found, known=FORMAT)


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[bool]:
    """Hold a lock file, if nobody else has it."""
    with file.open("w") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


@final
class Catalogue:
    """An open catalogue; its methods raise ``sqlite3.Error`` for a damaged
    one, which :func:`open_catalogue` explains.
    """

    def __init__(self, directory: Path, connection: sqlite3.Connection) -> None:
        self.directory: Final = directory
        self._connection: Final = connection

    @contextlib.contextmanager
    def exclusively(self, media_set: str) -> Iterator[None]:
        """Keep other runs from a media set. What an earlier run left without
        an end has failed.

        :raises TapekitError: another run is on.
        """
        with _locked(self.directory / f"{media_set}.lock") as is_mine:
            if not is_mine:
                raise CATALOGUE.error("media-set-in-use", media_set=media_set)
            for backup in self.backups(media_set):
                if backup.state is State.RUNNING:
                    self.fail(backup.number, "it was interrupted", backup.started_at)
            yield

    @contextlib.contextmanager
    def alone_at(self, server: str, drive: str) -> Iterator[None]:
        """Keep other runs from a drive: media sets may share one, and neither
        a backup nor a restore may find its cartridge exchanged.

        :raises TapekitError: another run is on.
        """
        name = quote(f"{server} {drive}", safe="")
        with _locked(self.directory / f"drive-{name}.lock") as is_mine:
            if not is_mine:
                raise CATALOGUE.error("drive-in-use", server=server, drive=drive)
            yield

    def check(self) -> None:
        """Read all of the file.

        :raises TapekitError: it is damaged.
        """
        (found,) = self._connection.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise CATALOGUE.error("catalogue-unusable", file=self.directory / _FILE, reason=found)

    # Cartridges.

    def cartridges(self) -> Mapping[str, Cartridge]:
        """All cartridges by barcode."""
        rows = self._connection.execute("SELECT entry FROM cartridge ORDER BY barcode")
        found = [msgspec.json.decode(entry, type=Cartridge) for (entry,) in rows]
        return {each.barcode: each for each in found}

    def keep(self, cartridge: Cartridge, *, without: Sequence[int] = ()) -> None:
        """Remember a cartridge as it now is, and forget backups."""
        with _transaction(self._connection):
            self._forget(without)
            self._keep(cartridge)
        self._drop_indexes(without)

    def _keep(self, cartridge: Cartridge) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO cartridge VALUES (?, ?, ?)",
            (cartridge.barcode, cartridge.media_set, msgspec.json.encode(cartridge)),
        )

    def on(self, barcode: str) -> list[tuple[int, Part]]:
        """What lies on a cartridge: numbers of backups, and their parts."""
        rows = self._connection.execute("SELECT * FROM part WHERE barcode = ?", (barcode,))
        return [(row[0], _part(*row[1:])) for row in rows]

    # Backups.

    def backups(self, media_set: str | None = None) -> list[Backup]:
        """All backups, or those of a set, the oldest first."""
        rows = self._connection.execute(
            "SELECT number, entry FROM backup WHERE ?1 IS NULL OR media_set = ?1 ORDER BY number",
            (media_set,),
        )
        return [
            msgspec.structs.replace(msgspec.json.decode(entry, type=Backup), number=number)
            for number, entry in rows
        ]

    def backup(self, number: int) -> Backup:
        """One backup.

        :raises TapekitError: there is none of this number.
        """
        for each in self.backups():
            if each.number == number:
                return each
        raise CATALOGUE.error("no-such-backup", number=number)

    def parts(self, number: int) -> list[Part]:
        """Where a backup lies, in its own order."""
        rows = self._connection.execute(
            "SELECT * FROM part WHERE backup = ? ORDER BY first, rowid", (number,)
        )
        return [_part(*row[1:]) for row in rows]

    def entries(self, media_set: str | None = None) -> list[Entry]:
        """The good backups with their parts, the oldest first."""
        return [
            Entry(each, tuple(self.parts(each.number)))
            for each in self.backups(media_set)
            if each.state is State.GOOD
        ]

    def known(self) -> Known:
        """What what is found on tape is compared with."""
        return Known(
            entries=self.entries(),
            backups={each.number: each for each in self.backups()},
            cartridges=self.cartridges(),
            highest=self.highest(),
        )

    def highest(self) -> int:
        """The highest number that a backup has ever had here; 0 before the first."""
        row = self._connection.execute(
            "SELECT seq FROM sqlite_sequence WHERE name = 'backup'"
        ).fetchone()
        return 0 if row is None else int(row[0])

    def begin(self, backup: Backup) -> Backup:
        """Remember that a backup runs; it gets a number."""
        with _transaction(self._connection):
            number = self._connection.execute(
                "INSERT INTO backup (media_set, entry) VALUES (?, ?)",
                (backup.media_set, msgspec.json.encode(backup)),
            ).lastrowid
        assert number is not None
        return msgspec.structs.replace(backup, number=number)

    def add_part(self, number: int, part: Part) -> None:
        """Remember where a backup is going to write."""
        with _transaction(self._connection):
            self._add_part(number, part)

    def _add_part(self, number: int, part: Part) -> None:
        self._connection.execute(
            "INSERT INTO part VALUES (?, ?, ?, ?, ?, ?)",
            (number, part.barcode, part.label, part.file, part.offset, part.length),
        )

    def commit(
        self, backup: Backup, parts: Sequence[Part], cartridges: Sequence[Cartridge]
    ) -> None:
        """Make a backup a good one, with its parts and the ends of data of
        their cartridges, all at once.
        """
        with _transaction(self._connection):
            self._connection.execute("DELETE FROM part WHERE backup = ?", (backup.number,))
            for part in parts:
                self._add_part(backup.number, part)
            for cartridge in cartridges:
                self._keep(cartridge)
            self._change(backup)

    def fail(self, number: int, reason: str, now: float) -> None:
        """Remember that a backup failed; its parts tell what it wrote over."""
        failed = msgspec.structs.replace(
            self.backup(number), state=State.FAILED, reason=reason, ended_at=now
        )
        with _transaction(self._connection):
            self._change(failed)
        self._drop_indexes((number,))

    def _change(self, backup: Backup) -> None:
        self._connection.execute(
            "UPDATE backup SET entry = ? WHERE number = ?",
            (msgspec.json.encode(backup), backup.number),
        )

    def forget(self, numbers: Sequence[int]) -> None:
        """Forget backups; their cartridges are free once nothing is on them."""
        with _transaction(self._connection):
            self._forget(numbers)
        self._drop_indexes(numbers)

    def _forget(self, numbers: Sequence[int]) -> None:
        cartridges = self.cartridges()
        failed = {each.number for each in self.backups() if each.state is State.FAILED}
        for number in numbers:
            for part in self.parts(number) if number in failed else ():
                one = cartridges.get(part.barcode)
                if one is not None and (one.label, one.next_file) == (part.label, part.file):
                    self._keep(msgspec.structs.replace(one, has_rest=True))
            self._connection.execute("DELETE FROM backup WHERE number = ?", (number,))

    # The readable copy.

    def take_in(
        self, backups: Sequence[tuple[Backup, Sequence[Part]]], cartridges: Sequence[Cartridge]
    ) -> None:
        """Add what another catalogue knew, all of it or nothing.

        :raises TapekitError: a number or a barcode is known here.
        """
        known = {each.number for each in self.backups()} & {each.number for each, _ in backups}
        barcodes = self.cartridges().keys() & {each.barcode for each in cartridges}
        if known or barcodes:
            names = ", ".join([*(f"backup {each}" for each in sorted(known)), *sorted(barcodes)])
            raise CATALOGUE.error("known-already", names=names)
        with _transaction(self._connection):
            for backup, parts in backups:
                self._insert(backup, parts)
            for cartridge in cartridges:
                self._keep(cartridge)

    def rebuild(self, entries: Sequence[Entry], cartridges: Sequence[Cartridge]) -> None:
        """Add what was found on tape, all of it or nothing; a backup that
        failed here gives way to the good one of its number.
        """
        with _transaction(self._connection):
            for entry in entries:
                self._connection.execute(
                    "DELETE FROM backup WHERE number = ?", (entry.backup.number,)
                )
                self._insert(entry.backup, entry.parts)
            for cartridge in cartridges:
                self._keep(cartridge)

    def _insert(self, backup: Backup, parts: Sequence[Part]) -> None:
        self._connection.execute(
            "INSERT INTO backup VALUES (?, ?, ?)",
            (backup.number, backup.media_set, msgspec.json.encode(backup)),
        )
        for part in parts:
            self._add_part(backup.number, part)

    # File indexes.

    def index_of(self, number: int) -> Path:
        """The file with the names in a backup."""
        return self.directory / f"index-{number}.sqlite"

    def take_index(self, number: int, index: Path) -> None:
        """Give a backup the file index that was found for it, durably."""
        for path in (index, self.directory):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if path == index:
                index.rename(self.index_of(number))

    def _drop_indexes(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.index_of(number).unlink(missing_ok=True)


def _part(barcode: str, label: str, file: int, first: int, length: int) -> Part:
    return Part(barcode=barcode, label=label, file=file, offset=first, length=length)
