"""Where a backup keeps what it learns of a tree, in memory at first.

A spool is a run of bytes that grows at its end and can be patched; beyond a
limit it goes on in a temporary file that has no name. A pending stack keeps
directories that are still to be visited in the same way. The one rule: none
of this grows with the tree in memory.
"""

from __future__ import annotations

import errno
import os
import struct
import tempfile
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit_dump.errors import CATALOGUE

if TYPE_CHECKING:
    from pathlib import Path

    from tapekit.errors import TapekitError

__all__ = ["Pending", "PendingStack", "Spool", "SpoolRoom"]

_WRITE_BYTES: Final = 1 << 20
"""What a spool gathers before it writes to its file."""


class SpoolRoom(NamedTuple):
    """Where spools may be, and how much of each may stay in memory."""

    directory: Path | None
    """``None`` is the system's directory for temporary files."""
    memory_bytes: int

    def spool(self) -> Spool:
        """A new empty spool."""
        return Spool(self)


@final
class Spool:
    """Bytes that grow at the end; for one thread.

    Each method raises ``dump.spool-failed`` if the temporary file cannot be
    made, written or read.
    """

    def __init__(self, room: SpoolRoom) -> None:
        self._room: Final = room
        self._limit = room.memory_bytes
        self._fd = -1
        self._flushed = 0
        self._tail = bytearray()

    @property
    def length(self) -> int:
        """Bytes so far."""
        return self._flushed + len(self._tail)

    def append(self, data: bytes | bytearray | memoryview) -> int:
        """Add bytes at the end; gives the offset where they are."""
        tail = self._tail
        offset = self._flushed + len(tail)
        tail += data
        if len(tail) > self._limit:
            self._flush()
        return offset

    def patch(self, offset: int, data: bytes | bytearray) -> None:
        """Replace bytes that are there."""
        in_file = min(len(data), max(0, self._flushed - offset))
        if in_file:
            self._write(data[:in_file], offset)
        if in_file < len(data):
            at = offset + in_file - self._flushed
            self._tail[at : at + len(data) - in_file] = data[in_file:]

    def read(self, offset: int, count: int) -> bytearray:
        """Bytes from ``offset`` on; fewer than ``count`` only at the end."""
        count = min(count, self.length - offset)
        found = bytearray(count)
        in_file = min(count, max(0, self._flushed - offset))
        if in_file:
            self._read(memoryview(found)[:in_file], offset)
        if in_file < count:
            at = offset + in_file - self._flushed
            found[in_file:] = self._tail[at : at + count - in_file]
        return found

    def cut(self, length: int) -> None:
        """Forget what is beyond ``length``."""
        if length >= self._flushed:
            del self._tail[length - self._flushed :]
        else:
            self._tail.clear()
            self._flushed = length

    def close(self) -> None:
        """Let the bytes go; later calls do nothing."""
        self._tail.clear()
        self._flushed = 0
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _flush(self) -> None:
        if self._fd < 0:
            self._fd = self._open()
            self._limit = _WRITE_BYTES
        self._write(self._tail, self._flushed)
        self._flushed += len(self._tail)
        self._tail = bytearray()

    def _open(self) -> int:
        try:
            with tempfile.TemporaryFile(dir=self._room.directory) as file:
                return os.dup(file.fileno())
        except OSError as error:
            raise self._failed(error) from error

    def _write(self, data: bytes | bytearray, offset: int) -> None:
        rest = memoryview(data)
        try:
            while rest:
                done = os.pwrite(self._fd, rest, offset)
                rest = rest[done:]
                offset += done
        except OSError as error:
            raise self._failed(error) from error

    def _read(self, into: memoryview, offset: int) -> None:
        try:
            while into:
                done = os.preadv(self._fd, [into], offset)
                if not done:
                    # Somebody else has cut a file that has no name.
                    raise self._failed(OSError(errno.EIO, os.strerror(errno.EIO)))
                into = into[done:]
                offset += done
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> TapekitError:
        return CATALOGUE.error(
            "spool-failed",
            directory=self._room.directory or tempfile.gettempdir(),
            reason=error.strerror or str(error),
        )


class Pending(NamedTuple):
    """A directory that is still to be visited."""

    depth: int
    """1 for a child of the root."""
    number: int
    parent: int
    name: bytes


_PENDING: Final = struct.Struct("<IIIH")
_PAGE: Final = 8192
"""Directories that go to the spool together."""


@final
class PendingStack:
    """Directories to visit, last in first out, with bounded memory."""

    def __init__(self, room: SpoolRoom) -> None:
        self._spool: Final = room.spool()
        self._top: list[Pending] = []
        self._pages: list[int] = []

    def __bool__(self) -> bool:
        return bool(self._top or self._pages)

    def push(self, item: Pending) -> None:
        """Put one on top."""
        self._top.append(item)
        if len(self._top) == 2 * _PAGE:
            self._spill()

    def pop(self) -> Pending:
        """Take the one on top.

        :raises IndexError: there is none.
        """
        if not self._top and self._pages:
            self._load()
        return self._top.pop()

    def close(self) -> None:
        """Free the spool."""
        self._spool.close()

    def _spill(self) -> None:
        oldest, self._top = self._top[:_PAGE], self._top[_PAGE:]
        data = b"".join(
            _PENDING.pack(depth, number, parent, len(name)) + name
            for depth, number, parent, name in oldest
        )
        self._pages.append(self._spool.append(data))

    def _load(self) -> None:
        offset = self._pages.pop()
        data = bytes(self._spool.read(offset, self._spool.length - offset))
        self._spool.cut(offset)
        at = 0
        while at < len(data):
            depth, number, parent, length = _PENDING.unpack_from(data, at)
            at += _PENDING.size
            self._top.append(Pending(depth, number, parent, data[at : at + length]))
            at += length
