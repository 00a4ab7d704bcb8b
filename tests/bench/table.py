"""The figures as Markdown.

Every program has a row for each operation that it has done: medians with the
least and the most, CPU seconds beside the clock, and GNU tar's median divided
by the program's, so that more than 1 is faster than tar of the same run.
"""

from __future__ import annotations

import os
import platform
import statistics
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cases import Case

__all__ = ["figures", "heading", "servers"]

OPERATIONS = {
    "backup": "backup",
    "sending": "backup to TCP",
    "restore": "restore",
}
PROGRAMS = (
    "tapekit",
    "tapekit, history",
    "tar",
    "tar -b 2048",
    "dump",
    "ndmjob",
    "ndmjob, history",
)
NAMES = {
    "tapekit, history": "tapekit with file history",
    "tar": "GNU tar",
    "tar -b 2048": "GNU tar `-b 2048`",
    "ndmjob, history": "ndmjob with file history",
}
MEASURE = "tar"
HEAD = (
    "| operation | program | seconds | until on disk | CPU seconds "
    "| speed, tar = 1 | the same, on disk | best rounds, tar = 1 | CPU used, tar = 1 |"
)


def heading(rounds: int) -> str:
    """The machine and how often it was asked."""
    return (
        f"{os.cpu_count()} x {platform.machine()}, Linux {platform.release()}, "
        f"Python {platform.python_version()}; {rounds} rounds; "
        "medians, with least and most of more than one"
    )


def figures(case: Case, title: str) -> list[str]:
    """The table of one case."""
    return [f"**{title}**", "", HEAD, f"|---|---|{'---:|' * 7}", *rows(case), ""]


def rows(case: Case) -> Iterator[str]:
    for what, shown in OPERATIONS.items():
        for program in PROGRAMS:
            label = f"{program} {what}"
            if label in case.seconds:
                cells = (*measured(case, label), *compared(case, label, f"{MEASURE} {what}"))
                yield f"| {shown} | {NAMES.get(program, program)} | {' | '.join(cells)} |"


def measured(case: Case, label: str) -> tuple[str, str, str]:
    return (
        spread(case.seconds[label]),
        spread(case.seconds.get(f"{label}, on disk", [])),
        spread(case.cpu_seconds[label]),
    )


def compared(case: Case, label: str, measure: str) -> tuple[str, str, str, str]:
    """Against the measure: by the clock, until on disk, with the least of both by
    the clock, and in CPU seconds.
    """
    return (
        ratio(case.seconds, measure, label),
        ratio(case.seconds, f"{measure}, on disk", f"{label}, on disk"),
        ratio(case.seconds, measure, label, of=min),
        ratio(case.cpu_seconds, label, measure),
    )


def ratio(
    samples: dict[str, list[float]],
    above: str,
    below: str,
    of: Callable[[list[float]], float] = statistics.median,
) -> str:
    """A quotient of medians or of something else; a dash where there is nothing to divide."""
    if above not in samples or below not in samples:
        return "-"
    divisor = of(samples[below])
    return f"{of(samples[above]) / divisor:.2f}" if divisor else "-"


def spread(seconds: list[float]) -> str:
    if not seconds:
        return "-"
    middle = f"{statistics.median(seconds):.2f}"
    return middle if len(seconds) == 1 else f"{middle} ({min(seconds):.2f}-{max(seconds):.2f})"


def servers(cases: list[Case]) -> list[str]:
    """What the server needed, and how it answered meanwhile."""
    return [
        "| data | peak memory of the server | DATA_GET_STATE under load |",
        "|---|---:|---:|",
        *(
            f"| {case.name} | {case.peak_kib / 1024:.0f} MiB | {answers(case.state_seconds)} |"
            for case in cases
        ),
    ]


def answers(waits: list[float]) -> str:
    if not waits:
        return "-"
    middle, most = statistics.median(waits) * 1e3, max(waits) * 1e3
    return f"median {middle:.1f} ms, most {most:.1f} ms, {len(waits)} requests"
