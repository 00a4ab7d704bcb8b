"""Clocks, CPU seconds and a disk at rest.

A program's CPU seconds are those of all its processes in user and system
mode, as the kernel tells when they have been waited for; what the kernel's
own threads write back is nobody's. The rule: nothing is timed before
:meth:`Disk.settle` has let what went before reach the disk.
"""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DROP_CACHES",
    "Cost",
    "Disk",
    "cpu_of_process",
    "cpu_of_session",
    "forget",
    "remove",
    "run",
    "run_timed",
]

TICKS = os.sysconf("SC_CLK_TCK")
AT_REST_KIB = 8 << 10
"""Dirty pages and pages being written that a resting machine still has."""
PATIENCE_S = 15.0
DROP_CACHES = Path("/proc/sys/vm/drop_caches")


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock, and CPU seconds."""

    seconds: float
    cpu: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.seconds + other.seconds, self.cpu + other.cpu)


class Disk:
    """The state of the page cache before something is timed."""

    def __init__(self) -> None:
        self.cold = False
        self.waits = 0
        self.restless = 0

    def settle(self, source: Path) -> None:
        """Write all back and wait until that is done; a machine on which
        others go on writing is given up on, and counted. What the operation
        will read is in memory then, also where a machine takes idle pages
        away; in a cold run nothing is but tar, loaded again as the server is.
        """
        self.waits += 1
        os.sync()
        deadline = time.monotonic() + PATIENCE_S
        while unwritten_kib() > AT_REST_KIB:
            if time.monotonic() > deadline:
                self.restless += 1
                break
            time.sleep(0.05)
        if self.cold:
            DROP_CACHES.write_text("3")
            run("tar", "--version")
        else:
            read_all(source)


def unwritten_kib() -> int:
    """Dirty and Writeback of the whole machine."""
    return meminfo_kib("Dirty", "Writeback")


def meminfo_kib(*rows: str) -> int:
    """The sum of rows of the kernel's table."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return sum(int(line[1]) for line in lines if line[0].rstrip(":") in rows)


def run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def remove(*paths: Path) -> None:
    """Remove trees or files that earlier rounds wrote, if they are there."""
    run("rm", "-rf", "--", *map(str, paths))


def read_all(source: Path) -> None:
    """Read a file or a tree as programs that back up do, inodes and all."""
    command = ("tar", "-cf", "-", "-C", str(source.parent), source.name)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as tar:
        assert tar.stdout is not None
        while tar.stdout.read(1 << 20):
            pass


def forget(root: Path) -> None:
    """Write a tree to disk and let its contents go from the page cache."""
    os.sync()
    for place, _, names in os.walk(root):
        for name in names:
            file = os.open(Path(place) / name, os.O_RDONLY | os.O_NOFOLLOW)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


def run_timed(
    *command: str | Path,
    stdout: IO[bytes] | int = subprocess.DEVNULL,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Cost:
    """Run a program to its end.

    :raises SystemExit: it failed, with what it said last.
    """
    words = [str(word) for word in command]
    with subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=env,
    ) as process:
        started = time.perf_counter()
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)}:\n{said[-2000:].decode(errors='replace')}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime)


def cpu_of_process(process: int) -> float:
    """What a process and the children that it has waited for have used."""
    return _ticks(Path(f"/proc/{process}/stat").read_text()) / TICKS


def cpu_of_session(leader: int) -> float:
    """The same of all processes of a session that are there now."""
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while the list was read
        if int(_after_name(text)[3]) == leader:
            total += _ticks(text)
    return total / TICKS


def _after_name(stat: str) -> list[str]:
    """The fields of proc_pid_stat(5) from the state on, which is the third."""
    return stat.rpartition(")")[2].split()


def _ticks(stat: str) -> int:
    return sum(map(int, _after_name(stat)[11:15]))
