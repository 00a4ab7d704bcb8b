"""Bringing small files of one directory from a disk into the page cache.

The files are opened and their attributes, status and beginning asked for,
which is all that their turn in a backup will ask; nothing is read into the
process. How much came from the disk is counted on the way, for who decides
whether going ahead is worth it. The one rule: what cannot be opened is passed
over in silence, since the backup itself meets it again.
"""

from __future__ import annotations

import contextlib
import os
import resource
from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit_dump.descent import open_below

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["FETCHED_BYTES", "NOTHING_FETCHED", "Fetched", "blocks_read", "fetch_files"]

FETCHED_BYTES: Final = 256 * 1024
"""Of each file, at most: the kernel itself reads ahead in longer ones."""
_BLOCK: Final = 512
_PAGE: Final = 4096
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


class Fetched(NamedTuple):
    """What became of some files, in blocks of 512 bytes."""

    blocks: int
    """Read from disks in all."""
    contents: int
    """Of these, contents of files."""
    length: int
    """How long the contents are that the backup reads, in whole pages."""


NOTHING_FETCHED: Final = Fetched(0, 0, 0)


def blocks_read() -> int:
    """Blocks of 512 bytes that this thread has read from disks."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_inblock


def fetch_files(
    directory: int, names: Sequence[bytes], counter: Callable[[], int] = blocks_read
) -> Fetched:
    """Bring files into the page cache.

    :param directory: open descriptor of the directory, borrowed.
    :param counter: like :func:`blocks_read`.
    """
    before = counter()
    contents = length = 0
    for name in names:
        with contextlib.suppress(OSError):
            read, size = _fetch(name, directory, counter)
            contents += read
            length += size
    return Fetched(counter() - before, contents, length)


def _fetch(name: bytes, directory: int, counter: Callable[[], int]) -> tuple[int, int]:
    """How many blocks of a file's beginning were read, and how many it has.

    :raises OSError: it cannot be opened.
    """
    fd = open_below(name, _FILE, directory)
    try:
        os.listxattr(fd)
        before = counter()
        os.posix_fadvise(fd, 0, FETCHED_BYTES, os.POSIX_FADV_WILLNEED)
        read = counter() - before
        return read, -(-os.fstat(fd).st_size // _PAGE) * (_PAGE // _BLOCK)
    finally:
        os.close(fd)
