"""Names and attributes set aside until a restore needs them.

Directory entries come in the order of directories and are needed in the
order of inode numbers: they are sorted in runs that go to one temporary file
each time memory is full, and merged. The one rule: what is held in memory
has a limit that the number of files in the stream does not move.
"""

from __future__ import annotations

import heapq
import os
import struct
import tempfile
from typing import TYPE_CHECKING, Final, final

from tapekit_dump.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Iterator

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
class _Scratch:
    """A temporary file without a name, made when something goes into it."""

    def __init__(self, directory: str | None) -> None:
        self._directory: Final = directory
        self._fd = -1
        self.length = 0

    def append(self, data: bytes) -> int:
        """Put bytes at the end; gives their offset."""
        offset = self.length
        try:
            if self._fd < 0:
                self._fd = _anonymous_file(self._directory)
            while data:
                count = os.write(self._fd, data)
                self.length += count
                data = data[count:]
        except OSError as error:
            raise CATALOGUE.error(
                "restore-spool-failed",
                directory=self._directory or tempfile.gettempdir(),
                reason=error.strerror,
            ) from error
        return offset

    def read(self, offset: int, length: int) -> bytes:
        """Bytes that were appended, as many as there are."""
        return os.pread(self._fd, length, offset)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _anonymous_file(directory: str | None) -> int:
    with tempfile.TemporaryFile(dir=directory) as file:
        return os.dup(file.fileno())


@final
class EntrySpool:
    """Directory entries, sorted.

    :param run_entries: how many are kept in memory.
    :param directory: where the temporary file goes; the system's place for
        them if ``None``.
    """

    def __init__(self, run_entries: int, directory: str | None) -> None:
        self._run_entries: Final = run_entries
        self._entries: list[bytes] = []
        self._file: Final = _Scratch(directory)
        self._runs: Final[list[tuple[int, int]]] = []
        self._is_sorted = True

    def add(self, entry: bytes) -> None:
        """Keep an entry of :func:`pack_entry`.

        :raises TapekitError: the temporary file cannot be written.
        """
        self._entries.append(entry)
        self._is_sorted = False
        if len(self._entries) >= self._run_entries:
            self._write_run()

    def in_order(self) -> Iterator[bytes]:
        """All entries, ascending; may be asked for several times, once
        everything has been added.
        """
        if not self._is_sorted:
            self._entries.sort()
            self._is_sorted = True
        if not self._runs:
            return iter(self._entries)
        return heapq.merge(*(self._read_run(*run) for run in self._runs), self._entries)

    def close(self) -> None:
        """Drop everything."""
        self._entries.clear()
        self._file.close()

    def _write_run(self) -> None:
        self._entries.sort()
        parts: list[bytes] = []
        for entry in self._entries:
            parts += (_LENGTH.pack(len(entry)), entry)
        self._entries.clear()
        data = b"".join(parts)
        self._runs.append((self._file.append(data), len(data)))

    def _read_run(self, offset: int, length: int) -> Iterator[bytes]:
        data, at, end = b"", 0, offset + length
        while True:
            if at + _LENGTH.size > len(data) or (
                at + _LENGTH.size + _LENGTH.unpack_from(data, at)[0] > len(data)
            ):
                if offset == end:
                    return
                more = self._file.read(offset, min(_READ_AHEAD, end - offset))
                offset += len(more)
                data, at = data[at:] + more, 0
                continue
            size = _LENGTH.unpack_from(data, at)[0]
            at += _LENGTH.size
            yield data[at : at + size]
            at += size


@final
class BlobSpool:
    """Attribute sets of directories, kept until those are finished."""

    def __init__(self, directory: str | None) -> None:
        self._file: Final = _Scratch(directory)

    def add(self, blob: bytes) -> int:
        """Keep a blob; gives the key that finds it again.

        :raises TapekitError: the temporary file cannot be written.
        """
        return self._file.append(len(blob).to_bytes(4, "little") + blob)

    def get(self, key: int) -> bytes:
        """The blob of a key."""
        length = int.from_bytes(self._file.read(key, 4), "little")
        return self._file.read(key + 4, length)

    def close(self) -> None:
        """Drop everything."""
        self._file.close()
