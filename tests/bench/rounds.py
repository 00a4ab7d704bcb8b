"""Rounds of all operations on one set of files, in changing order.

Whatever else the machine does should strike all programs alike: each round
begins with another program, and every second one goes the other way round.
Restores follow the backups of their own round, and the first of each program
is checked. The rule: before the clock starts the disk has settled and what an
operation reads is in memory; what it restored leaves memory before the next.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cases import MANY
from measuring import DROP_CACHES, forget, remove

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cases import Case
    from peers import Operation, Program
    from tapekit_runs import Bench

T = TypeVar("T")

__all__ = ["Tapekit", "measure", "why_not_cold"]


class Tapekit:
    """The operations of the server, as those of any other program."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def prepare(self) -> None:
        """Nothing to do."""

    def finish(self) -> None:
        """Nothing to do; the tapes are written again."""

    def backups(self, case: Case) -> list[Operation]:
        bench = self.bench
        plain: list[Operation] = [bench.tapekit_backup, bench.tapekit_sending]
        if case.files <= MANY:
            return plain
        return [*plain, bench.tapekit_history, bench.tapekit_history_sending]

    def restores(self) -> list[Operation]:
        return [self.bench.tapekit_restore]


def turned(things: list[T], by: int) -> list[T]:
    """The things from another one on, around to the one before; for odd
    numbers backwards.
    """
    start = by % len(things)
    order = things[start:] + things[:start]
    return order[::-1] if by % 2 else order


def measure(bench: Bench, programs: Sequence[Program], case: Case, rounds: int) -> None:
    """All operations of all programs on the data of a case."""
    case.make(bench.data)
    try:
        for program in programs:
            program.prepare()
        for number in range(rounds):
            backups = [each for program in programs for each in program.backups(case)]
            for operation in turned(backups, number):
                operation(case, number)
            for program in turned(list(programs), number):
                restore_with(bench, program, case, number)
    finally:
        for program in programs:
            program.finish()
    put_away(bench, case)


def restore_with(bench: Bench, program: Program, case: Case, number: int) -> None:
    """A program's restore, which in the first round must have brought all back."""
    for restore in program.restores():
        if case.files <= MANY:
            remove(*bench.volume.glob("by-*"))
        earlier = set(bench.volume.glob("by-*"))
        restore(case, number)
        (target,) = set(bench.volume.glob("by-*")) - earlier
        if number == 0 and contents(target) != contents(bench.data):
            raise SystemExit(f"{target.name} is not what was backed up: {contents(target)}")
        forget(target)


def put_away(bench: Bench, case: Case) -> None:
    """Make room for the next case. Many files are not deleted before the end
    of the run: ext4 looks past inodes that were freed a minute ago, one by one.
    """
    if case.files <= MANY:
        remove(*bench.volume.iterdir())
        return
    place = Path(tempfile.mkdtemp(prefix="done-", dir=bench.scratch))
    for each in list(bench.volume.iterdir()):
        forget(each)
        each.rename(place / each.name)


def contents(root: Path) -> tuple[int, int]:
    """Files and their bytes below a directory, without restore's own file."""
    sizes = [
        (Path(place) / name).lstat().st_size
        for place, _, names in os.walk(root)
        for name in names
        if name != "restoresymtable"
    ]
    return len(sizes), sum(sizes)


def why_not_cold() -> str | None:
    """Why caches cannot be dropped here, if so."""
    if os.access(DROP_CACHES, os.W_OK):
        return None
    return f"cold caches: only root drops them, by {DROP_CACHES}"
