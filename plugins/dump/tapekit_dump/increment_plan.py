"""The plan of an incremental dump: names by ascending number.

Numbers of objects come from an earlier dump, so the walk meets them in any
order. They are sorted with the place of the directory that each is in; the
directories lie in a spool, where each knows the one above it. The one rule:
a step for names comes after those that lead to their directory.
"""

from __future__ import annotations

import struct
from itertools import takewhile
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit_dump.plan import Step, StepKind
from tapekit_dump.recover_spool import EntrySpool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapekit_dump.spool import SpoolRoom

__all__ = ["IncrementPlan"]

_KEY: Final = struct.Struct(">IQB")
_DIRECTORY: Final = struct.Struct("<QIH")
_SORTED_IN_MEMORY: Final = 200_000
_NAMES_AT_ONCE: Final = 1000


class _Planned(NamedTuple):
    """A name to write."""

    number: int
    place: int
    """Where its directory is in the spool."""
    kind: int
    name: bytes


@final
class IncrementPlan:
    """Steps, written in any order and then read once, sorted."""

    def __init__(self, room: SpoolRoom, sorted_in_memory: int = _SORTED_IN_MEMORY) -> None:
        self._directories: Final = room.spool()
        self._names: Final = EntrySpool(room, sorted_in_memory)
        self._way: Final[list[int]] = []
        """Where the directories down to the current one are in the spool."""

    def enter(self, depth: int, name: bytes) -> None:
        """The names that follow are in this directory, at ``depth`` in those
        that were entered before.
        """
        del self._way[depth:]
        above = self._way[-1] if self._way else 0
        record = _DIRECTORY.pack(above, depth, len(name)) + name
        self._way.append(self._directories.append(record))

    def add(self, number: int, kind: StepKind, name: bytes) -> None:
        """Plan a name."""
        self._names.add(_KEY.pack(number, self._way[-1], kind) + name)

    def __iter__(self) -> Iterator[Step]:
        way: list[int] = []
        here, names = -1, list[bytes]()
        step = Step(StepKind.OTHER, 0, 0, names)
        for number, place, kind, name in map(_unpack, self._names.in_order()):
            follows = number == step.first + len(names) and kind == step.kind and place == here
            if not follows or len(names) >= _NAMES_AT_ONCE:
                if names:
                    yield step
                if place != here:
                    yield from self._lead(place, way)
                names = []
                here, step = place, Step(StepKind(kind), number, 0, names)
            names.append(name)
        if names:
            yield step

    def close(self) -> None:
        """Free the spools."""
        self._directories.close()
        self._names.close()

    def _lead(self, place: int, way: list[int]) -> Iterator[Step]:
        """Steps from the way that leads to the last directory to another.

        :param way: where its directories are in the spool; changed.
        """
        new_way: list[int] = []
        steps: list[Step] = []
        depth = -1
        while depth:
            above, depth, name = self._directory(place)
            new_way.append(place)
            steps.append(Step(StepKind.DIRECTORY, 0, depth, [name]))
            place = above
        new_way.reverse()
        steps.reverse()
        shared = sum(
            1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(way, new_way, strict=False))
        )
        way[:] = new_way
        # A directory further up is entered anew, which leaves those below it.
        yield from steps[min(shared, len(steps) - 1) :]

    def _directory(self, place: int) -> tuple[int, int, bytes]:
        above, depth, length = _DIRECTORY.unpack(self._directories.read(place, _DIRECTORY.size))
        return above, depth, bytes(self._directories.read(place + _DIRECTORY.size, length))


def _unpack(entry: bytes) -> _Planned:
    number, place, kind = _KEY.unpack_from(entry)
    return _Planned(number, place, kind, entry[_KEY.size :])
