"""Which object of the volume each object of a copy was.

A copy has inode numbers and change times of its own, so beside each copy
lies a list of records, sorted by the copy's inode numbers: number in the
copy, number in the volume, change time in the volume. They are sorted in
runs while the copy is made and read by the block, so memory stays the same
for any number of files. The one rule: numbers are big-endian, which makes
the order of the records' bytes the order of their keys.
"""

from __future__ import annotations

import bisect
import functools
import heapq
import itertools
import os
import struct
import sys
import weakref
from array import array
from typing import TYPE_CHECKING, Final, TypeAlias, final

from tapekit.hookspecs.storage import Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

__all__ = ["OriginsDamaged", "OriginsFile", "OriginsWriter"]

_MAGIC: Final = b"TKORIGN1"
_HEADER: Final = struct.Struct(">8sQ")
"""Magic, number of records. Blocks follow, each with its keys, then its
numbers in the volume, then its change times; then the first key of each."""
_RECORD: Final = struct.Struct(">QQq")
_BLOCK_RECORDS: Final = 512
"""12 KiB, read at once: objects met one after another mostly lie together."""
_BLOCKS_KEPT: Final = 64
_RUN_RECORDS: Final = 1 << 18
"""Some 20 MB while a run is collected; 100 million objects make 400 runs."""
_RUN_READ_RECORDS: Final = 1024


_Block: TypeAlias = "tuple[array[int], array[int], array[int]]"


class OriginsDamaged(Exception):
    """The file is not a whole list of origins; the text tells why."""


@final
class OriginsWriter:
    """Collects records in any order and writes them sorted.

    :param scratch: an empty file for sorted runs, opened for both ways.
    :param run_records: how many records are kept in memory at most.
    """

    def __init__(self, scratch: BinaryIO, run_records: int = _RUN_RECORDS) -> None:
        self._scratch: Final = scratch
        self._run_records: Final = run_records
        self._run: list[bytes] = []
        self._runs: Final[list[int]] = []

    def add(self, copy_inode: int, origin_inode: int, ctime_ns: int) -> None:
        """Note one object of the copy, once."""
        self._run.append(_RECORD.pack(copy_inode, origin_inode, ctime_ns))
        if len(self._run) == self._run_records:
            self._end_run()

    def write(self, file: BinaryIO) -> None:
        """Write the whole list to an empty file."""
        self._end_run()
        file.write(_HEADER.pack(_MAGIC, sum(self._runs)))
        fences = array("Q")
        records = heapq.merge(*self._sorted_runs())
        while block := list(itertools.islice(records, _BLOCK_RECORDS)):
            fences.append(int.from_bytes(block[0][:8]))
            file.writelines(record[0:8] for record in block)
            file.writelines(record[8:16] for record in block)
            file.writelines(record[16:24] for record in block)
        file.write(_big_endian(fences).tobytes())

    def _end_run(self) -> None:
        if self._run:
            self._run.sort()
            self._scratch.writelines(self._run)
            self._runs.append(len(self._run))
            self._run = []

    def _sorted_runs(self) -> Iterator[Iterator[bytes]]:
        self._scratch.flush()
        start = 0
        for count in self._runs:
            yield _run_records(self._scratch.fileno(), start, count)
            start += count


def _run_records(fd: int, start: int, count: int) -> Iterator[bytes]:
    """The records ``start`` to ``start + count`` of a file of records."""
    for first in range(start, start + count, _RUN_READ_RECORDS):
        wanted = min(_RUN_READ_RECORDS, start + count - first)
        piece = os.pread(fd, wanted * _RECORD.size, first * _RECORD.size)
        yield from (piece[at : at + _RECORD.size] for at in range(0, len(piece), _RECORD.size))


@final
class OriginsFile:
    """Looks origins up; closes its descriptor at the latest when it is forgotten.

    :param fd: the open file; owned from here on, also on error.
    :raises OriginsDamaged: it is not a whole list.
    """

    def __init__(self, fd: int) -> None:
        # Read by the block rather than mapped: a mapping answers an I/O
        # error with a signal that ends the process.
        self._closing: Final = weakref.finalize(self, os.close, fd)
        count = _record_count(fd)
        self._fences: Final = _read_fences(fd, count)
        self._block: Final[Callable[[int], _Block]] = functools.lru_cache(_BLOCKS_KEPT)(
            functools.partial(_read_block, fd, count)
        )

    def close(self) -> None:
        """Close it; nothing can be looked up any more. Later calls do nothing."""
        self._closing()

    def find(self, copy_inode: int) -> Origin | None:
        """What the object of this number in the copy was in the volume."""
        number = bisect.bisect_right(self._fences, copy_inode) - 1
        if number < 0:
            return None
        keys, inodes, ctimes_ns = self._block(number)
        at = bisect.bisect_left(keys, copy_inode)
        if at == len(keys) or keys[at] != copy_inode:
            return None
        return Origin(inodes[at], ctimes_ns[at])


def _record_count(fd: int) -> int:
    header = os.pread(fd, _HEADER.size, 0)
    if len(header) < _HEADER.size:
        raise OriginsDamaged("it ends within its header")
    magic, count = _HEADER.unpack(header)
    if magic != _MAGIC:
        raise OriginsDamaged(f"it begins with {magic!r} instead of {_MAGIC!r}")
    expected = _fences_offset(count) + 8 * _blocks(count)
    size = os.fstat(fd).st_size
    if size != expected:
        raise OriginsDamaged(f"it has {size} bytes instead of {expected}")
    return int(count)


def _blocks(count: int) -> int:
    return -(-count // _BLOCK_RECORDS)


def _fences_offset(count: int) -> int:
    return _HEADER.size + int(count) * _RECORD.size


def _read_fences(fd: int, count: int) -> array[int]:
    fences = array("Q")
    fences.frombytes(os.pread(fd, 8 * _blocks(count), _fences_offset(count)))
    return _big_endian(fences)


def _read_block(fd: int, count: int, number: int) -> _Block:
    first = number * _BLOCK_RECORDS
    width = 8 * min(_BLOCK_RECORDS, count - first)
    block = memoryview(os.pread(fd, 3 * width, _HEADER.size + first * _RECORD.size))
    keys, inodes, ctimes_ns = array("Q"), array("Q"), array("q")
    for place, column in enumerate((keys, inodes, ctimes_ns)):
        column.frombytes(block[place * width : (place + 1) * width])
        _big_endian(column)
    return keys, inodes, ctimes_ns


def _big_endian(numbers: array[int]) -> array[int]:
    """Numbers of this machine as big-endian ones, and back."""
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers
