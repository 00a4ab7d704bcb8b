"""Names and attributes set aside until a restore needs them.

Directory entries come in the order of directories and are needed in the
order of inode numbers: they are sorted in runs that go to a spool each time
memory is full, and merged. The one rule: what is held in memory has a limit
that the number of files in the stream does not move.
"""

from __future__ import annotations

import heapq
import struct
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapekit_dump.spool import SpoolRoom

__all__ = ["BlobSpool", "EntrySpool", "pack_entry", "unpack_entry"]

_KEY: Final = struct.Struct(">II")
_LENGTH: Final = struct.Struct("<H")
_READ_AHEAD: Final = 256 * 1024


def pack_entry(inode: int, parent: int, name: bytes) -> bytes:
    """An entry as bytes that sort by inode number, then by directory."""
    return _KEY.pack(inode, parent) + name


def unpack_entry(entry: bytes) -> tuple[int, int, bytes]:
    """Inode number, directory's inode number and name of an entry."""
    return *_KEY.unpack_from(entry), entry[_KEY.size :]


@final
class EntrySpool:
    """Directory entries, sorted.

    :param room: where runs go.
    :param run_entries: how many entries make a run; those of the last run
        stay in memory.
    """

    def __init__(self, room: SpoolRoom, run_entries: int) -> None:
        self._run_entries: Final = run_entries
        self._entries: list[bytes] = []
        self._spool: Final = room.spool()
        self._runs: Final[list[tuple[int, int]]] = []
        self._in_runs = 0

    @property
    def count(self) -> int:
        """How many entries there are."""
        return self._in_runs + len(self._entries)

    def add(self, entry: bytes) -> None:
        """Keep an entry of :func:`pack_entry`.

        :raises TapekitError: the spool cannot be written.
        """
        self._entries.append(entry)
        if len(self._entries) >= self._run_entries:
            self._write_run()

    def in_order(self) -> Iterator[bytes]:
        """All entries, ascending; may be asked for again, but nothing may
        be added then. Reading on raises ``TapekitError`` if the spool cannot
        be read.
        """
        self._entries.sort()
        if not self._runs:
            return iter(self._entries)
        return heapq.merge(*(self._read_run(*run) for run in self._runs), self._entries)

    def close(self) -> None:
        """Drop everything."""
        self._entries.clear()
        self._spool.close()

    def _write_run(self) -> None:
        self._entries.sort()
        self._in_runs += len(self._entries)
        parts: list[bytes] = []
        for entry in self._entries:
            parts += (_LENGTH.pack(len(entry)), entry)
        self._entries.clear()
        data = b"".join(parts)
        self._runs.append((self._spool.append(data), len(data)))

    def _read_run(self, offset: int, length: int) -> Iterator[bytes]:
        data, end = b"", offset + length
        while offset < end:
            more = bytes(self._spool.read(offset, min(_READ_AHEAD, end - offset)))
            offset += len(more)
            data += more
            at = 0
            while at + _LENGTH.size <= len(data):
                start = at + _LENGTH.size
                stop = start + _LENGTH.unpack_from(data, at)[0]
                if stop > len(data):
                    break
                yield data[start:stop]
                at = stop
            data = data[at:]


@final
class BlobSpool:
    """Attribute sets of directories, kept until those are finished."""

    def __init__(self, room: SpoolRoom) -> None:
        self._spool: Final = room.spool()

    def add(self, blob: bytes) -> int:
        """Keep a blob; gives the key that finds it again.

        :raises TapekitError: the spool cannot be written.
        """
        return self._spool.append(_LENGTH.pack(len(blob)) + blob)

    def get(self, key: int) -> bytes:
        """The blob of a key.

        :raises TapekitError: the spool cannot be read.
        """
        (length,) = _LENGTH.unpack(self._spool.read(key, _LENGTH.size))
        return bytes(self._spool.read(key + _LENGTH.size, length))

    def close(self) -> None:
        """Drop everything."""
        self._spool.close()
