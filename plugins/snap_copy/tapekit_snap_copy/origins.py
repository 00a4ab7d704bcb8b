"""Which object of the volume each object of a copy was.

A copy has inode numbers and change times of its own, so beside each copy
lies a list of records, sorted by the copy's inode numbers: number in the
copy, number in the volume, change time and time of birth in the volume. They are sorted in
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

_MAGIC: Final = b"TKORIGN2"
_COLUMNS: Final = {b"TKORIGN1": 3, _MAGIC: 4}
"""The numbers of a record. In the first version there was no time of birth."""
_HEADER: Final = struct.Struct(">8sQ")
"""Magic, number of records. Blocks follow, each with its keys, then its
numbers in the volume, its change times and its times of birth; then the
first key of each."""
_RECORD: Final = struct.Struct(">QQqq")
_UNKNOWN_BIRTH: Final = -(2**63)
_BLOCK_RECORDS: Final = 512
"""16 KiB, read at once: objects met one after another mostly lie together."""
_BLOCKS_KEPT: Final = 64
_RUN_RECORDS: Final = 1 << 18
"""Some 20 MB while a run is collected; 100 million objects make 400 runs."""
_RUN_READ_RECORDS: Final = 1024


_Block: TypeAlias = "tuple[array[int], array[int], array[int], array[int]]"


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

    def add(self, copy_inode: int, origin_inode: int, ctime_ns: int, birth_ns: int | None) -> None:
        """Note one object of the copy, once.

        :param birth_ns: when it was made in the volume; ``None`` if unknown.
        """
        born = _UNKNOWN_BIRTH if birth_ns is None else birth_ns
        self._run.append(_RECORD.pack(copy_inode, origin_inode, ctime_ns, born))
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
            for at in range(0, _RECORD.size, 8):
                file.writelines(record[at : at + 8] for record in block)
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
        columns, count = _shape(fd)
        self._fences: Final = _read_fences(fd, columns, count)
        self._block: Final[Callable[[int], _Block]] = functools.lru_cache(_BLOCKS_KEPT)(
            functools.partial(_read_block, fd, columns, count)
        )

    def close(self) -> None:
        """Close it; nothing can be looked up any more. Later calls do nothing."""
        self._closing()

    def find(self, copy_inode: int) -> Origin | None:
        """What the object of this number in the copy was in the volume."""
        block, at = self._place(copy_inode)
        return None if block is None else Origin(block[1][at], block[2][at])

    def birth_ns(self, copy_inode: int) -> int | None:
        """When that object was made in the volume; ``None`` if unknown."""
        block, at = self._place(copy_inode)
        if block is None or block[3][at] == _UNKNOWN_BIRTH:
            return None
        return block[3][at]

    def _place(self, copy_inode: int) -> tuple[_Block | None, int]:
        number = bisect.bisect_right(self._fences, copy_inode) - 1
        if number < 0:
            return None, 0
        block = self._block(number)
        at = bisect.bisect_left(block[0], copy_inode)
        is_there = at < len(block[0]) and block[0][at] == copy_inode
        return (block if is_there else None), at


def _shape(fd: int) -> tuple[int, int]:
    """How many numbers a record has, and how many records there are."""
    header = os.pread(fd, _HEADER.size, 0)
    if len(header) < _HEADER.size:
        raise OriginsDamaged("it ends within its header")
    magic, count = _HEADER.unpack(header)
    columns = _COLUMNS.get(magic)
    if columns is None:
        raise OriginsDamaged(f"it begins with {magic!r} instead of {_MAGIC!r}")
    expected = _fences_offset(columns, count) + 8 * _blocks(count)
    size = os.fstat(fd).st_size
    if size != expected:
        raise OriginsDamaged(f"it has {size} bytes instead of {expected}")
    return columns, int(count)


def _blocks(count: int) -> int:
    return -(-count // _BLOCK_RECORDS)


def _fences_offset(columns: int, count: int) -> int:
    return _HEADER.size + int(count) * 8 * columns


def _read_fences(fd: int, columns: int, count: int) -> array[int]:
    fences = array("Q")
    fences.frombytes(os.pread(fd, 8 * _blocks(count), _fences_offset(columns, count)))
    return _big_endian(fences)


def _read_block(fd: int, columns: int, count: int, number: int) -> _Block:
    first = number * _BLOCK_RECORDS
    records = min(_BLOCK_RECORDS, count - first)
    width = 8 * records
    block = memoryview(os.pread(fd, columns * width, _HEADER.size + first * 8 * columns))
    read = array("Q"), array("Q"), array("q"), array("q")
    for place, column in enumerate(read[:columns]):
        column.frombytes(block[place * width : (place + 1) * width])
        _big_endian(column)
    for column in read[columns:]:
        column.extend([_UNKNOWN_BIRTH] * records)
    return read


def _big_endian(numbers: array[int]) -> array[int]:
    """Numbers of this machine as big-endian ones, and back."""
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers
