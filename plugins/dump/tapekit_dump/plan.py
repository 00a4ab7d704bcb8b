"""The plan: what the second pass over a tree has to write, in order.

The first pass leaves a step for each directory and, after it, steps of names
whose numbers follow each other. Names in a step are joined by NUL, which no
name contains, so that a name costs a few nanoseconds in either pass. The one
rule: numbers ascend through the whole plan, since that is the order in which
restore wants its files.
"""

from __future__ import annotations

import enum
import struct
from typing import TYPE_CHECKING, Final, NamedTuple, final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tapekit_dump.spool import Spool

__all__ = ["Plan", "Step", "StepKind"]

_HEAD: Final = struct.Struct("<BIII")
_WINDOW_BYTES: Final = 256 * 1024


class StepKind(enum.IntEnum):
    """What the names of a step are."""

    DIRECTORY = 1
    REGULAR = 2
    SYMLINK = 3
    OTHER = 4
    """Fifos, sockets and devices."""


class Step(NamedTuple):
    """Names to deal with together."""

    kind: StepKind
    first: int
    """The number of the first name; the others follow."""
    depth: int
    """How deep a directory lies, 0 for the root; else 0."""
    names: Sequence[bytes]


@final
class Plan:
    """Steps in a spool, written once and then read once."""

    def __init__(self, spool: Spool) -> None:
        self._spool: Final = spool

    def directory(self, number: int, depth: int, name: bytes) -> None:
        """The names that follow are in this directory."""
        self._spool.append(_HEAD.pack(StepKind.DIRECTORY, number, depth, len(name)) + name)

    def names(self, kind: StepKind, first: int, names: Sequence[bytes]) -> None:
        """Names in the directory before, numbered from ``first`` on."""
        joined = b"\0".join(names)
        self._spool.append(_HEAD.pack(kind, first, 0, len(joined)) + joined)

    def __iter__(self) -> Iterator[Step]:
        at, wanted = 0, _HEAD.size
        while at < self._spool.length:
            window = bytes(self._spool.read(at, max(wanted, _WINDOW_BYTES)))
            used = 0
            while used + _HEAD.size <= len(window):
                kind, first, depth, length = _HEAD.unpack_from(window, used)
                wanted = _HEAD.size + length
                if used + wanted > len(window):
                    break
                joined = window[used + _HEAD.size : used + wanted]
                yield Step(StepKind(kind), first, depth, joined.split(b"\0"))
                used += wanted
            at += used

    def close(self) -> None:
        """Free the spool."""
        self._spool.close()
