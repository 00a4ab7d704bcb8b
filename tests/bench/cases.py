"""The data that is backed up, and what each round of it took.

A case is one set of files. Programs add their seconds and their CPU seconds
under a label made of their name and the operation; the table asks by the
same labels. The rule: a figure that was not measured has no entry.
"""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1] / "trees"))
from tapekit_trees.making import make_large_files, make_small_files

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MANY", "Case", "standard_cases"]

MIB = 1 << 20
MANY = 100
"""Files from which on file history is worth a row."""


@dataclass
class Case:
    """One set of files, and the figures of each round by label."""

    name: str
    make: Callable[[Path], object]
    files: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    cpu_seconds: dict[str, list[float]] = field(default_factory=dict)
    state_seconds: list[float] = field(default_factory=list)
    peak_kib: int = 0

    def add(self, label: str, seconds: float) -> None:
        self.seconds.setdefault(label, []).append(seconds)

    def add_cpu(self, label: str, seconds: float) -> None:
        self.cpu_seconds.setdefault(label, []).append(seconds)

    def median(self, label: str) -> float:
        return statistics.median(self.seconds[label])


def make_mixed(root: Path, files: int, large_mib: int) -> None:
    """A quarter of the small files, files of one MiB, and two large ones.

    No holes, attributes or links: what one program leaves out by default
    and another keeps would compare two different jobs.
    """
    make_small_files(root / "small", files=files // 4, directories=250, seed=2)
    make_large_files(root / "medium", count=max(1, large_mib // 4), size=MIB, seed=3)
    make_large_files(root / "large", count=2, size=large_mib * MIB // 4, seed=4)


def standard_cases(files: int, large_mib: int) -> dict[str, Case]:
    """What a run measures, by the word that selects it."""
    return {
        "small": Case(
            f"{files:,} files of 0-16 KiB in 1,000 directories",
            lambda root: make_small_files(root, files=files, directories=1000, seed=1),
            files,
        ),
        "large": Case(
            f"4 files of {large_mib} MiB",
            lambda root: make_large_files(root, count=4, size=large_mib * MIB),
            4,
        ),
        "mixed": Case(
            f"mixed: {files // 4:,} files of 0-16 KiB, {max(1, large_mib // 4)} of 1 MiB, "
            f"2 of {large_mib // 4} MiB",
            lambda root: make_mixed(root, files, large_mib),
            files // 4,
        ),
    }
