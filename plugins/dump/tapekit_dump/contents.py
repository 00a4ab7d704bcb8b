"""Which parts of a file a dump carries: runs of data between holes.

The stream describes content in spans of 512 KiB, each with a byte per
kilobyte that says data or hole. The file system tells where its holes are;
data is rounded outwards to whole kilobytes. The one rule: a file system that
cannot tell has no holes, so that data is never left out.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, NamedTuple

from tapekit_dump.headers import RECORD_BYTES, RUNS, SPAN_BYTES, Run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Span", "data_runs", "spans"]


class Span(NamedTuple):
    """What one header describes."""

    run: Run
    data: Sequence[tuple[int, int]]
    """Offsets in the file and lengths, multiples of 1,024 bytes each; the
    last may reach beyond the file's end."""


def data_runs(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Begin and end of each run of data, ascending, apart from each other.

    :raises OSError: the file cannot be searched.
    """
    start = stop = 0
    while stop < size:
        found = _next_data(fd, stop)
        if found is None or found >= size:
            break
        begin = found // RECORD_BYTES * RECORD_BYTES
        if begin > stop:
            if stop > start:
                yield start, stop
            start = begin
        stop = -(-_next_hole(fd, found) // RECORD_BYTES) * RECORD_BYTES
    if stop > start:
        yield start, min(stop, -(-size // RECORD_BYTES) * RECORD_BYTES)


def _next_data(fd: int, offset: int) -> int | None:
    """Where data goes on, or ``None`` if nothing but a hole is left."""
    try:
        return os.lseek(fd, offset, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        if error.errno == errno.EINVAL:
            return offset
        raise


def _next_hole(fd: int, offset: int) -> int:
    try:
        return os.lseek(fd, offset, os.SEEK_HOLE)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENXIO):
            return max(offset + 1, os.fstat(fd).st_size)
        raise


def spans(size: int, runs: Iterator[tuple[int, int]] | None) -> Iterator[Span]:
    """The headers that a file of ``size`` bytes needs, with their data.

    :param runs: its runs of data, or ``None`` for a file without holes.
    """
    if runs is None:
        runs = iter(((0, -(-size // RECORD_BYTES) * RECORD_BYTES),))
    beyond = size + SPAN_BYTES, 0
    start, stop = next(runs, beyond)
    for offset in range(0, size, SPAN_BYTES):
        end = min(offset + SPAN_BYTES, -(-size // RECORD_BYTES) * RECORD_BYTES)
        data = []
        while start < end:
            here = min(stop, end)
            data.append((max(start, offset), here - max(start, offset)))
            if stop > end:
                break
            start, stop = next(runs, beyond)
        yield Span(_run(offset, end, data), data)


def _run(offset: int, end: int, data: Sequence[tuple[int, int]]) -> Run:
    records = (end - offset) // RECORD_BYTES
    if data == [(offset, end - offset)]:
        return RUNS[records]
    addresses = bytearray(records)
    for begin, length in data:
        first = (begin - offset) // RECORD_BYTES
        count = length // RECORD_BYTES
        addresses[first : first + count] = b"\1" * count
    return Run.of(bytes(addresses))
