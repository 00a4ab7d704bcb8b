"""A cartridge in the host's file system: a payload, and an index of it.

Writing appends to the payload first and then one entry to the index, so that
a crash loses what was being written and nothing else. Overwriting says so in
the index, durably, before the payload is cut. Opening changes nothing: what
a crash left behind the last entry is cut when the cartridge is next written.
The one rule: the map in memory changes only after the index entry that says
the same has been written.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import stat
from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.segments import Extent
from tapekit_vtape.errors import CATALOGUE
from tapekit_vtape.host_files import (
    SCRATCH_BYTES,
    HostFile,
    host_error,
    host_errors,
    open_host_file,
    sync_directory,
    write_pieces,
)
from tapekit_vtape.index_format import (
    ENTRY_BYTES,
    HEADER_BYTES,
    Entry,
    EntryKind,
    Header,
    HeaderError,
    encode_entry,
    encode_header,
)
from tapekit_vtape.packing import FrameReader
from tapekit_vtape.replay import Replayed, entries_of, replay
from tapekit_vtape.tape_map import FILEMARK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from tapekit.segments import Piece
    from tapekit_vtape.tape_map import Run, TapeMap

__all__ = [
    "FILEMARK_COST_BYTES",
    "Cartridge",
    "create_cartridge",
    "inspect_cartridge",
    "lock_cartridge",
    "write_index",
]

_LOG: Final = logging.getLogger("tapekit.vtape")

FILEMARK_COST_BYTES: Final = 1024
"""What a filemark takes from the capacity. It takes nothing from the host;
but a medium on which marks are free never ends."""

_STEP_BYTES: Final = 1 << 20

_COMPACT_FROM: Final = 64
"""Shorter journals are not worth a rewrite."""

_COMPACT_FACTOR: Final = 4


@final
class Cartridge:
    """An open cartridge, locked against everybody else who would open it.

    :attr:`tape` tells what is on it. Methods raise :class:`TapeError` with
    ``MEDIUM_ERROR`` where the host refuses, and nothing was written then.
    """

    def __init__(
        self,
        lock: int,
        index: HostFile,
        payload: HostFile,
        reader: HostFile,
        found: Replayed,
        *,
        durable: bool,
    ) -> None:
        """Use :meth:`open`; everything given is owned from here on."""
        self._lock: Final = lock
        self._index = index
        self._payload: Final = payload
        self._reader: Final = reader
        self._durable: Final = durable
        self._scratch: memoryview | None = None
        self._header = found.header
        self._frames: Final = FrameReader(reader, found.header.barcode)
        self.tape: Final[TapeMap] = found.tape
        self.damage = found.damage
        self._entries = found.entries
        self._journal_objects = found.journal_objects
        self._has_tail = True
        self._is_dirty = False
        self._is_spoilt = False

    @classmethod
    def open(cls, path: Path, *, durable: bool, shared: bool = False) -> Cartridge:
        """Open the cartridge in a folder; nothing on disk changes.

        :param durable: whether :meth:`sync` waits for the disk.
        :param shared: for reading beside other readers.
        :raises TapeError: ``BUSY``, somebody else has it; ``MEDIUM_ERROR``.
        """
        with contextlib.ExitStack() as undo:
            lock = lock_cartridge(path, shared=shared)
            undo.callback(os.close, lock)
            is_writable = not shared and _may_write(path)
            flags = os.O_RDWR if is_writable else os.O_RDONLY
            index = open_host_file(path / "index", flags)
            undo.callback(index.close)
            payload = open_host_file(path / "payload", flags)
            undo.callback(payload.close)
            reader = open_host_file(path / "payload", os.O_RDONLY)
            undo.callback(reader.close)
            found = _replayed(index, payload, is_writable=is_writable)
            undo.pop_all()
        return cls(lock, index, payload, reader, found, durable=durable)

    @property
    def header(self) -> Header:
        """Its attributes."""
        return self._header

    def used(self, position: int) -> int:
        """How much of the capacity lies before a position, in bytes."""
        tape = self.tape
        return tape.byte_at(position) + FILEMARK_COST_BYTES * tape.marks_before(position)

    def refuse_damage(self, position: int) -> None:
        """Raise if a position is where damage took the place of the data."""
        if self.damage is not None and position >= self.tape.objects:
            raise CATALOGUE.raised_as(
                TapeError,
                "cartridge-damaged",
                condition=Condition.MEDIUM_ERROR,
                barcode=self.header.barcode,
                damage=self.damage,
            )

    def write_records(
        self, position: int, pieces: Sequence[Piece], count: int, length: int
    ) -> None:
        """Write ``count`` records of ``length`` bytes each at a position.

        :raises OSError: the file of an extent cannot be read.
        """
        self._make_end(position)
        tape = self.tape
        if self._scratch is None:
            self._scratch = memoryview(bytearray(SCRATCH_BYTES))
        self._has_tail = True
        write_pieces(self._payload, pieces, tape.end, self._scratch)
        self._append(Entry(EntryKind.RECORDS, length, count, tape.end + count * length))
        self._has_tail = False
        tape.append(length, count)

    def write_frame(self, position: int, frame: memoryview, count: int, length: int) -> None:
        """Write records that are compressed into one frame at a position."""
        self._make_end(position)
        if not self.header.is_packed:
            # Once for a cartridge: older readers are to refuse it as a whole.
            self._rewrite(self.header._replace(is_packed=True))
        tape = self.tape
        self._has_tail = True
        self._payload.write([frame], tape.end)
        self._append(Entry(EntryKind.PACKED, length, count, tape.end + len(frame)))
        self._has_tail = False
        tape.append(length, count, len(frame))

    def tear(self, position: int, pieces: Sequence[Piece]) -> None:
        """Write what power lost in the middle of a write leaves: bytes that
        the index does not know of. The cartridge is let go of as it is.
        """
        try:
            self._make_end(position)
            write_pieces(self._payload, pieces, self.tape.end, memoryview(bytearray(SCRATCH_BYTES)))
        finally:
            self._let_go()

    def write_filemarks(self, position: int, count: int) -> None:
        """Write filemarks at a position; all data before them is durable."""
        self._make_end(position)
        self.sync()
        self._append(Entry(EntryKind.FILEMARKS, 0, count, self.tape.end))
        self.tape.append(FILEMARK, count)
        self.sync()

    def cut(self, position: int) -> None:
        """Make a position the end of the data, durably."""
        self._make_end(position)
        self.sync()

    def records(self, position: int, count: int) -> Piece:
        """So many records of the run at a position, end to end; good until
        the next call.
        """
        run = self._run_at(position)
        start = run.length * (position - run.first_object)
        length = run.length * count
        if run.packed:
            return self._frames.records(run)[start : start + length]
        return Extent(self._reader.fd, run.first_byte + start, length)

    def read(self, position: int, size: int) -> bytes:
        """The first ``size`` bytes of the record at a position."""
        run = self._run_at(position)
        start = run.length * (position - run.first_object)
        if run.packed:
            return bytes(self._frames.records(run)[start : start + size])
        return self._payload_bytes(run.first_byte + start, size)

    def contents(self, first: int, stop: int) -> Iterator[bytes | memoryview]:
        """The bytes of all records between two positions, some at a time."""
        position = first
        while position < stop:
            run = self._run_at(position)
            until = min(run.stop_object, stop)
            start = run.length * (position - run.first_object)
            end = run.length * (until - run.first_object)
            if run.packed:
                yield self._frames.records(run)[start:end]
            else:
                for at in range(start, end, _STEP_BYTES):
                    yield self._payload_bytes(run.first_byte + at, min(_STEP_BYTES, end - at))
            position = until

    def _run_at(self, position: int) -> Run:
        run = self.tape.run_at(position)
        assert run is not None
        return run

    def _payload_bytes(self, offset: int, length: int) -> bytes:
        data = self._reader.read(length, offset)
        if len(data) < length:
            raise CATALOGUE.raised_as(
                TapeError,
                "payload-short",
                condition=Condition.MEDIUM_ERROR,
                barcode=self.header.barcode,
                offset=offset + len(data),
            )
        return data

    def sync(self) -> None:
        """Make everything written durable: the payload, then the index."""
        if not self._is_dirty or not self._durable:
            return
        self._refuse_spoilt()
        self._flush()
        self._is_dirty = False

    def _flush(self) -> None:
        try:
            self._payload.sync()
            self._index.sync()
        except TapeError:
            # After a failed flush the system has dropped the pages and would
            # report the next one as good; only a new look at the files helps.
            self._is_spoilt = True
            raise

    def accept_damage(self) -> None:
        """Make the end of what can be read the end of the data, for good."""
        self.damage = None
        self._make_end(self.tape.objects)
        self.sync()

    def set_protected(self, *, is_protected: bool) -> None:
        """Set the write-protect attribute; it counts when next opened."""
        self.refuse_damage(self.tape.objects)
        self._rewrite(self.header._replace(is_protected=is_protected))

    def close(self) -> None:
        """Make everything durable, shorten the journal, unlock."""
        try:
            self.sync()
            self._compact()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        for file in (self._index, self._payload, self._reader):
            file.close()
        os.close(self._lock)

    # The journal.

    def _append(self, entry: Entry) -> None:
        at = HEADER_BYTES + self._entries * ENTRY_BYTES
        self._index.write([encode_entry(entry, self._entries)], at)
        self._entries += 1
        kept = 0 if entry.kind is EntryKind.CUT else self._journal_objects
        self._journal_objects = kept + entry.objects
        self._is_dirty = True

    def _make_end(self, position: int) -> None:
        """Make a position the end of the data, on disk and in the map."""
        self._refuse_spoilt()
        self._frames.forget()
        self.refuse_damage(position)
        if self._has_tail:
            self._index.truncate(HEADER_BYTES + self._entries * ENTRY_BYTES)
            self._is_dirty = True
        if position < self._journal_objects:
            end = self.tape.byte_at(position)
            self._append(Entry(EntryKind.CUT, 0, position, end))
            self.tape.cut(position)
            self.damage = None
            self.sync()
            self._has_tail = True
        if self._has_tail:
            self._cut_payload()
            self._has_tail = False

    def _cut_payload(self) -> None:
        end = self.tape.end
        is_longer = self._payload.size() > end
        self._payload.truncate(end)
        if is_longer and self._durable:
            # Else power that fails now could leave the old bytes, and an entry
            # of the index that takes them for the new ones.
            self._flush()

    def _refuse_spoilt(self) -> None:
        if self._is_spoilt:
            raise CATALOGUE.raised_as(
                TapeError,
                "flush-failed",
                condition=Condition.MEDIUM_ERROR,
                barcode=self.header.barcode,
            )

    def _compact(self) -> None:
        needed = max(len(self.tape.runs), _COMPACT_FROM)
        is_long = self._entries > _COMPACT_FACTOR * needed
        if not is_long or self.header.is_protected or self.damage is not None:
            return
        try:
            self._rewrite(self.header)
        except TapeError as error:
            # The long journal is as good as a short one.
            _LOG.warning("the index of %s stays long: %s", self.header.barcode, error)

    def _rewrite(self, header: Header) -> None:
        """Replace the index by the shortest one that says the same."""
        self.sync()
        path = self._index.path
        entries = list(entries_of(self.tape))
        made = path.with_name("index.new")
        new = write_index(made, header, entries, durable=self._durable)
        try:
            with host_errors(path):
                made.replace(path)
            if self._durable:
                sync_directory(path.parent)
        except TapeError:
            new.close()
            raise
        self._index.close()
        self._index = new
        self._header = header
        self._entries = len(entries)
        self._journal_objects = self.tape.objects


def lock_cartridge(path: Path, *, shared: bool) -> int:
    """Lock a cartridge until the descriptor that this answers is closed.

    The lock is on the folder, which stays when the index is replaced.

    :raises TapeError: ``BUSY``; ``MEDIUM_ERROR``, the host refuses.
    """
    with contextlib.ExitStack() as undo:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            undo.callback(os.close, fd)
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CATALOGUE.raised_as(
                TapeError, "cartridge-in-use", condition=Condition.BUSY, barcode=path.name
            ) from None
        except OSError as error:
            raise host_error(path, error) from error
        undo.pop_all()
    return fd


def create_cartridge(path: Path, header: Header) -> None:
    """Make an empty cartridge in a new folder, durably.

    :raises TapeError: ``MEDIUM_ERROR``, the host refuses.
    """
    with host_errors(path):
        path.mkdir(mode=0o700, parents=True)
    payload = open_host_file(path / "payload", os.O_RDWR | os.O_CREAT | os.O_EXCL)
    payload.close()
    write_index(path / "index", header, (), durable=True).close()
    sync_directory(path)
    sync_directory(path.parent)


def inspect_cartridge(path: Path) -> Replayed:
    """What is on a cartridge at this moment, whoever uses it.

    :raises TapeError: ``MEDIUM_ERROR``.
    """
    index = open_host_file(path / "index", os.O_RDONLY)
    try:
        payload = open_host_file(path / "payload", os.O_RDONLY)
        try:
            return _replayed(index, payload, is_writable=_may_write(path))
        finally:
            payload.close()
    finally:
        index.close()


def _replayed(index: HostFile, payload: HostFile, *, is_writable: bool) -> Replayed:
    # The index first, as far as it goes now: a writer lengthens the payload
    # before it says so.
    pieces = _pieces(index, index.size())
    first = next(pieces, b"")
    try:
        found = replay(first, payload.size(), pieces)
    except HeaderError as error:
        raise CATALOGUE.raised_as(
            TapeError,
            "index-unreadable",
            condition=Condition.MEDIUM_ERROR,
            path=str(index.path),
            reason=str(error),
        ) from error
    if is_writable:
        return found
    return found._replace(header=found.header._replace(is_protected=True))


def _pieces(index: HostFile, length: int) -> Iterator[bytes]:
    """So much of an index, in pieces that end between two entries."""
    yield index.read(min(HEADER_BYTES, length), 0)
    for start in range(HEADER_BYTES, length, _STEP_BYTES):
        yield index.read(min(_STEP_BYTES, length - start), start)


def _may_write(path: Path) -> bool:
    """Whether modes and mount allow writing; root is held to the modes too."""
    with host_errors(path):
        return all(
            os.access(path / name, os.W_OK) and (path / name).stat().st_mode & stat.S_IWUSR
            for name in ("index", "payload")
        )


def write_index(path: Path, header: Header, entries: Iterable[Entry], *, durable: bool) -> HostFile:
    """Make an index; the caller closes it.

    :raises TapeError: ``MEDIUM_ERROR``, the host refuses.
    """
    file = open_host_file(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        journal = b"".join(encode_entry(entry, sequence) for sequence, entry in enumerate(entries))
        file.write([encode_header(header) + journal], 0)
        if durable:
            file.sync()
    except BaseException:
        file.close()
        raise
    return file
