"""The benchmark: backup and restore over NDMP against GNU tar, in one run.

Rounds alternate between the programs, so that the machine's mood strikes all
alike; what is reported are medians and their ratios. Data is warm. tar writes
to a file and is done when it exits; tapekit writes to a virtual cartridge and
is done when both servers have halted. Both are also timed until the data is
on disk: tar with ``sync`` of its file, tapekit until WRITE FILEMARKS replies.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from tapekit_ndmp_v4.client import BackupPlan, NdmpClient, RecoverPlan, TapeAt, Watch, tape
from tapekit_ndmp_v4.client import back_up as run_backup
from tapekit_ndmp_v4.client import recover as run_recover
from tapekit_ndmp_v4.messages import Name
from tapekit_ndmp_v4.numbers import AuthType, TapeOpenMode

sys.path.insert(0, str(Path(__file__).parents[1] / "trees"))
from tapekit_trees.making import make_large_files, make_small_files

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tapekit_ndmp_v4.client import BackupResult

    Operation = Callable[["Case", int], None]

TAPEKIT = (sys.executable, "-m", "tapekit")
MIB = 1 << 20
VOLUME = "/vs1/vol1"
RECORD_BYTES = 262144
MANY = 100
"""Files from which on file history is worth a row."""
DOCUMENT = Path(__file__).parents[2] / "docs" / "performance.md"
MARK = "<!-- measured -->"


@dataclass
class Case:
    """One set of files, and the seconds of each round by program."""

    name: str
    make: Callable[[Path], object]
    files: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    state_seconds: list[float] = field(default_factory=list)
    peak_kib: int = 0

    def add(self, program: str, seconds: float) -> None:
        self.seconds.setdefault(program, []).append(seconds)

    def median(self, program: str) -> float:
        return statistics.median(self.seconds[program])


class Bench:
    """A server, a scratch directory, and the programs to compare."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.site = scratch / "site"
        self.volume = self.site / "volumes" / "vs1" / "vol1"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.backup: BackupResult | None = None
        self._server: subprocess.Popen[str] | None = None

    def start(self) -> None:
        run(*TAPEKIT, "init", str(self.site), "--port", str(self.port))
        stack = self.site / "tapekit.toml"
        # The live volume is read, as tar reads it; a copy would be timed too.
        text = stack.read_text().replace('snapshots = "copy"', 'snapshots = "none"')
        stack.write_text(text)
        with (self.scratch / "server.log").open("w") as log:
            self._server = subprocess.Popen(
                (*TAPEKIT, "serve", str(stack)), stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._server.stdout is not None
        line = self._server.stdout.readline()
        if not line.startswith("listening on"):
            raise SystemExit((self.scratch / "server.log").read_text())

    def stop(self) -> None:
        if self._server is not None:
            with self._server:
                self._server.send_signal(signal.SIGTERM)

    # Peak memory of the server, from the kernel's high-water mark.

    def reset_peak(self) -> None:
        assert self._server is not None
        Path(f"/proc/{self._server.pid}/clear_refs").write_text("5")

    def peak_kib(self) -> int:
        assert self._server is not None
        status = Path(f"/proc/{self._server.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1])

    # One round of each operation.

    def tar_backup(self, case: Case, _number: int) -> None:
        """GNU tar into a fresh archive, then until it is on disk."""
        archive = self.scratch / "archive.tar"
        archive.unlink(missing_ok=True)
        run("sync")
        started = time.perf_counter()
        run("tar", "-cf", str(archive), "-C", str(self.volume / "data"), ".")
        case.add("tar backup", time.perf_counter() - started)
        run("sync", "-d", str(archive))
        case.add("tar backup, synced", time.perf_counter() - started)

    def tar_restore(self, case: Case, number: int) -> None:
        """GNU tar out of the archive, then until all is on disk."""
        target = self.volume / f"by-tar-{number}"
        target.mkdir()
        started = time.perf_counter()
        run("tar", "-xf", str(self.scratch / "archive.tar"), "-C", str(target))
        case.add("tar restore", time.perf_counter() - started)
        run("sync", "-f", str(target))
        case.add("tar restore, synced", time.perf_counter() - started)

    def tapekit_backup(self, case: Case, _number: int) -> None:
        """A backup without file history, to drive 0."""
        self.backup = trio.run(self._back_up, case, "tapekit backup", "nrst0a", "N")

    def tapekit_history(self, case: Case, _number: int) -> None:
        """A backup with file history, to drive 1."""
        trio.run(self._back_up, case, "tapekit, history backup", "nrst1a", "Y")

    def tapekit_restore(self, case: Case, number: int) -> None:
        """The restore of the last backup from drive 0, all on disk at its end."""
        trio.run(self._restore, case, f"{VOLUME}/by-tapekit-{number}")

    @asynccontextmanager
    async def _client(self, case: Case) -> AsyncIterator[tuple[NdmpClient, Watch]]:
        password = (self.site / "ndmp-password").read_bytes().strip()
        watch = Watch(
            on_state=lambda _state, took: case.state_seconds.append(took), poll_every_s=0.05
        )
        self.reset_peak()
        async with NdmpClient.connect("127.0.0.1", self.port, clock=time.time) as client:
            await client.open()
            await client.authenticate(AuthType.MD5, "ndmp", password)
            yield client, watch
        case.peak_kib = max(case.peak_kib, self.peak_kib())

    async def _back_up(self, case: Case, label: str, device: str, history: str) -> BackupResult:
        plan = BackupPlan(
            tape=TapeAt(device),
            environment=(("FILESYSTEM", f"{VOLUME}/data"), ("HIST", history)),
            filemarks=1,
            record_size=RECORD_BYTES,
        )
        async with self._client(case) as (client, watch):
            await erase(client, device)
            await trio.to_thread.run_sync(run, "sync")
            started = time.perf_counter()
            result = await run_backup(client, plan, watch=watch)
            case.add(f"{label}, synced", time.perf_counter() - started)
            case.add(label, result.seconds)
            return result

    async def _restore(self, case: Case, destination: str) -> None:
        assert self.backup is not None
        plan = RecoverPlan(
            parts=self.backup.parts,
            environment=self.backup.environment,
            names=(Name(original_path="", destination_path=destination),),
            record_size=RECORD_BYTES,
        )
        async with self._client(case) as (client, watch):
            result = await run_recover(client, plan, watch=watch)
            case.add("tapekit restore", result.seconds)

    def measure(self, case: Case, rounds: int) -> None:
        """All operations in turn, who comes first changing from round to
        round. Nothing is deleted in between, since a file system goes on
        with that for a while.
        """
        data = self.volume / "data"
        case.make(data)
        subprocess.run(f"tar -cf - -C {data} . | cat >/dev/null", shell=True, check=True)
        backups = [self.tar_backup, self.tapekit_backup]
        if case.files > MANY:
            backups.append(self.tapekit_history)
        restores = [self.tar_restore, self.tapekit_restore]
        for number in range(rounds):
            for operation in (*turned(backups, number), *turned(restores, number)):
                run("sync")
                operation(case, number)
        for each in self.volume.iterdir():
            shutil.rmtree(each)
        run("sync")


async def erase(client: NdmpClient, device: str) -> None:
    """Make room on a tape, as removing the last archive does for tar."""
    await tape.open_device(client, device, TapeOpenMode.RDWR)
    await tape.rewind(client)
    await tape.write_filemarks(client, 1)
    await tape.close(client)


def turned(operations: list[Operation], by: int) -> list[Operation]:
    """The operations from another one on, around to the one before."""
    by %= len(operations)
    return operations[by:] + operations[:by]


def run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


ROWS = (
    ("backup", "tapekit backup", "tar backup"),
    ("backup with file history", "tapekit, history backup", "tar backup"),
    ("backup, data on disk", "tapekit backup, synced", "tar backup, synced"),
    ("restore, data on disk", "tapekit restore", "tar restore, synced"),
    ("restore, against tar without sync", "tapekit restore", "tar restore"),
)


def table(cases: list[Case], rounds: int) -> str:
    """The figures as Markdown; speed is tar's time divided by ours."""
    lines = [
        (
            f"{os.cpu_count()} x {platform.machine()}, Linux {platform.release()}, "
            f"Python {platform.python_version()}; {rounds} rounds; medians, seconds (least to most)"
        ),
        "",
        "| data | operation | tapekit | GNU tar | speed, tar = 1 |",
        "|---|---|---:|---:|---:|",
    ]
    for case in cases:
        for what, ours, theirs in ROWS:
            if ours not in case.seconds:
                continue
            ratio = case.median(theirs) / case.median(ours)
            lines.append(
                f"| {case.name} | {what} | {spread(case.seconds[ours])} "
                f"| {spread(case.seconds[theirs])} | {ratio:.2f} |"
            )
    lines += [
        "",
        "| data | peak memory of the server | DATA_GET_STATE under load |",
        "|---|---:|---:|",
    ]
    for case in cases:
        waits = case.state_seconds or [0.0]
        lines.append(
            f"| {case.name} | {case.peak_kib / 1024:.0f} MiB | median "
            f"{statistics.median(waits) * 1e3:.1f} ms, most {max(waits) * 1e3:.1f} ms, "
            f"{len(case.state_seconds)} requests |"
        )
    return "\n".join(lines)


def spread(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f}-{max(seconds):.2f})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--files", type=int, default=100_000, help="small files")
    parser.add_argument("--large-mib", type=int, default=512, help="size of each large file")
    parser.add_argument("--only", choices=["small", "large"])
    parser.add_argument("--scratch", type=Path, help="folder on the file system to measure")
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT.name}")
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="tapekit-bench-", dir=options.scratch))
    cases = [
        Case(
            f"{options.files:,} files of 0-16 KiB",
            lambda root: make_small_files(root, files=options.files, directories=1000, seed=1),
            options.files,
        ),
        Case(
            f"4 files of {options.large_mib} MiB",
            lambda root: make_large_files(root, count=4, size=options.large_mib * MIB),
            4,
        ),
    ]
    if options.only:
        cases = cases[:1] if options.only == "small" else cases[1:]
    bench = Bench(scratch)
    try:
        bench.start()
        for case in cases:
            bench.measure(case, options.rounds)
        text = table(cases, options.rounds)
    finally:
        bench.stop()
        shutil.rmtree(scratch, ignore_errors=True)
    print(text)
    if options.write:
        head, _, rest = DOCUMENT.read_text().partition(MARK)
        _, _, tail = rest.partition(MARK)
        DOCUMENT.write_text(f"{head}{MARK}\n\n{text}\n\n{MARK}{tail}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
