"""The files of a cartridge on the host: payload and index, and their errors.

Bytes that are in memory are written from where they are, gathered into one
call; extents pass through one buffer that stays in the processor's cache.
Copying extents inside the kernel was measured and is slower here: a dump
header before every 512 KiB leaves the extents unaligned, and then
``copy_file_range`` took 1.5 times as long as ``cat`` of the same bytes, while
this way takes 1.0 times as long. The one rule: an error of the host's files
is told as a condition of the medium, an error of what is to be copied is not.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.segments import Extent, pread_exactly
from tapekit_vtape.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tapekit.segments import Piece

__all__ = [
    "SCRATCH_BYTES",
    "HostFile",
    "host_error",
    "host_errors",
    "open_host_file",
    "sync_directory",
    "write_pieces",
]

SCRATCH_BYTES: Final = 512 * 1024
"""The extent between two dump headers: larger buffers leave the cache,
smaller ones need more calls."""

_GATHER: Final = 512
"""Pieces in one call; the system's limit is 1024."""


def host_error(path: Path, error: OSError) -> TapeError:
    """An error of the host's file system as a condition of the medium."""
    return CATALOGUE.raised_as(
        TapeError,
        "host-file-failed",
        condition=Condition.MEDIUM_ERROR,
        path=str(path),
        reason=error.strerror or str(error),
    )


@contextmanager
def host_errors(path: Path) -> Iterator[None]:
    """Tell errors of the host's file system as conditions of the medium."""
    try:
        yield
    except OSError as error:
        raise host_error(path, error) from error


@final
class HostFile:
    """One open file of a cartridge.

    All methods raise :class:`TapeError` with ``MEDIUM_ERROR`` where the host
    refuses; nothing that such a call did counts.
    """

    def __init__(self, path: Path, fd: int) -> None:
        """Own ``fd`` from here on."""
        self.path: Final = path
        self.fd: Final = fd

    def size(self) -> int:
        """The file's length in bytes."""
        with host_errors(self.path):
            return os.fstat(self.fd).st_size

    def write(self, views: Sequence[bytes | memoryview], offset: int) -> int:
        """Write all of ``views`` at an offset; answers the bytes written."""
        with host_errors(self.path):
            written = os.pwritev(self.fd, views, offset)
            wanted = sum(map(len, views))
            while written < wanted:
                written += os.pwritev(self.fd, _behind(views, written), offset + written)
            return written

    def read(self, length: int, offset: int) -> bytes:
        """Bytes at an offset; fewer only where the file ends."""
        with host_errors(self.path):
            data = os.pread(self.fd, length, offset)
            while len(data) < length:
                more = os.pread(self.fd, length - len(data), offset + len(data))
                if not more:
                    break
                data += more
            return data

    def truncate(self, length: int) -> None:
        """Cut the file."""
        with host_errors(self.path):
            os.ftruncate(self.fd, length)

    def sync(self) -> None:
        """Return once everything written is on disk."""
        with host_errors(self.path):
            os.fdatasync(self.fd)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.fd)


def open_host_file(path: Path, flags: int) -> HostFile:
    """Open a file of a cartridge.

    :raises TapeError: ``MEDIUM_ERROR``, the host refuses.
    """
    with host_errors(path):
        return HostFile(path, os.open(path, flags | os.O_CLOEXEC, 0o600))


def sync_directory(path: Path) -> None:
    """Make names in a folder durable.

    :raises TapeError: ``MEDIUM_ERROR``, the host refuses.
    """
    with host_errors(path):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def write_pieces(file: HostFile, pieces: Sequence[Piece], offset: int, scratch: memoryview) -> None:
    """Write pieces end to end; what an extent lacks is written as zeros.

    :raises TapeError: ``MEDIUM_ERROR``, the host refuses to write.
    :raises OSError: the file of an extent cannot be read.
    """
    for group in _gathered(pieces, scratch):
        offset += file.write(group, offset)


def _gathered(pieces: Sequence[Piece], scratch: memoryview) -> Iterator[list[memoryview]]:
    """All bytes as groups of views; a group is good until the next is asked for."""
    group: list[memoryview] = []
    room = scratch
    for piece in pieces:
        if not isinstance(piece, Extent):
            group.append(piece)
        else:
            rest = piece
            while rest.length:
                part = room[: rest.length]
                pread_exactly(rest.part(0, len(part)), part)
                group.append(part)
                room = room[len(part) :]
                rest = rest.part(len(part), rest.length)
                if not room:
                    yield group
                    group, room = [], scratch
        if len(group) >= _GATHER:
            yield group
            group, room = [], scratch
    if group:
        yield group


def _behind(views: Sequence[bytes | memoryview], count: int) -> list[memoryview]:
    """What follows the first ``count`` bytes of views."""
    rest: list[memoryview] = []
    for view in views:
        if count < len(view):
            rest.append(memoryview(view)[count:])
        count = max(0, count - len(view))
    return rest
