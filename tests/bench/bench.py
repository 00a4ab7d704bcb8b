"""The benchmark: backup and restore over NDMP against other programs, in one run.

Rounds alternate between the programs, so that the machine's mood strikes all
alike; what is reported are medians, their scatter and their ratios, and the
CPU seconds of each program. GNU tar is always compared with; ``--peers`` adds
Debian's dump and restore and NDMJOB, and ``--cold`` one round with empty caches.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cases import Case, standard_cases
from discarding import discarding_peer
from measuring import Disk
from peers import Tar, more_peers
from rounds import Tapekit, measure, why_not_cold
from table import figures, heading, servers
from tapekit_runs import Bench

if TYPE_CHECKING:
    from peers import Program

__all__ = ["Bench", "Case", "main"]

DOCUMENT = Path(__file__).parents[2] / "docs" / "performance.md"
MARK = "<!-- measured -->"


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--files", type=int, default=100_000, help="small files")
    parser.add_argument("--large-mib", type=int, default=512, help="size of each large file")
    parser.add_argument("--only", choices=["small", "large", "mixed"], help="one set of files")
    parser.add_argument("--peers", action="store_true", help="also dump, ndmjob, more of tar")
    parser.add_argument("--cold", action="store_true", help="also once with cold caches (root)")
    parser.add_argument("--scratch", type=Path, help="folder on the file system to measure")
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT.name}")
    return parser.parse_args()


def programs(bench: Bench, *, peers: bool) -> tuple[list[Program], list[str]]:
    """Who takes part, and why others do not."""
    found: list[Program] = [Tapekit(bench), Tar(bench), Tar(bench, 2048, restoring=peers)]
    if not peers:
        return found, []
    more, reasons = more_peers(bench)
    return [*found, *more], reasons


def report(bench: Bench, chosen: argparse.Namespace) -> str:
    """Measure all that was chosen; gives the Markdown."""
    taking_part, notes = programs(bench, peers=chosen.peers)
    cases = standard_cases(chosen.files, chosen.large_mib)
    if chosen.only:
        cases = {chosen.only: cases[chosen.only]}
    lines = [heading(chosen.rounds), ""]
    for case in cases.values():
        measure(bench, taking_part, case, chosen.rounds)
        lines += figures(case, case.name)
    if chosen.cold:
        reason = why_not_cold()
        if reason is None:
            lines += cold(bench, taking_part, chosen)
        else:
            notes.append(reason)
    lines += servers(list(cases.values()))
    if bench.disk.restless:
        notes.append(
            f"the disk did not come to rest before {bench.disk.restless} "
            f"of {bench.disk.waits} operations: others were writing"
        )
    return "\n".join([*lines, *(f"\nNot as meant: {note}." for note in notes)])


def cold(bench: Bench, taking_part: list[Program], chosen: argparse.Namespace) -> list[str]:
    """One round on the small files, the caches dropped before each operation."""
    case = standard_cases(chosen.files, chosen.large_mib)["small"]
    bench.disk.cold = True
    try:
        measure(bench, taking_part, case, rounds=1)
    finally:
        bench.disk.cold = False
    return figures(case, f"{case.name}, cold caches, one round")


def main() -> int:
    chosen = options()
    scratch = Path(tempfile.mkdtemp(prefix="tapekit-bench-", dir=chosen.scratch))
    try:
        with discarding_peer() as discarding:
            bench = Bench(scratch, Disk(), discarding)
            try:
                bench.start()
                text = report(bench, chosen)
            finally:
                bench.stop()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(text)
    if chosen.write:
        head, _, rest = DOCUMENT.read_text().partition(MARK)
        _, _, tail = rest.partition(MARK)
        DOCUMENT.write_text(f"{head}{MARK}\n\n{text}\n\n{MARK}{tail}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
