"""The programs to compare with: GNU tar, Debian's dump and restore, NDMJOB.

Each writes a fresh archive on the file system that tapekit's tapes are on,
and restores it into the volume that tapekit restores into. A program is done
when it exits, and its data is on disk when ``sync`` of it has returned; its
CPU seconds are those until then. The rule: a program that cannot run here
says why in :func:`more_peers`, and is told of under the table.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cases import MANY
from measuring import Cost, cpu_of_session, remove, run, run_timed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cases import Case
    from tapekit_runs import Bench

    Operation = Callable[[Case, int], None]

__all__ = ["Dump", "Ndmjob", "Program", "Tar", "more_peers"]

NDMJOB = "/usr/lib/amanda/ndmjob"
FORMATTER = Path(__file__).parents[1] / "interop" / "ndmjob_formatter.py"
PR_SET_CHILD_SUBREAPER = 36
PATIENCE_S = 10.0


class Program(Protocol):
    """Something that backs up and restores."""

    def prepare(self) -> None:
        """Get ready for new data, which is in the volume now."""

    def backups(self, case: Case) -> list[Operation]: ...

    def restores(self) -> list[Operation]: ...

    def finish(self) -> None:
        """Let go of what :meth:`prepare` made."""


class Archiver:
    """What programs that write an archive file have in common."""

    def __init__(self, bench: Bench, name: str) -> None:
        self.bench = bench
        self.name = name
        self.archive = bench.scratch / f"archive-{type(self).__name__}"
        self.source = bench.data

    def prepare(self) -> None:
        """Nothing to do."""

    def finish(self) -> None:
        remove(self.archive)

    def write(self, case: Case, label: str, work: Callable[[], Cost]) -> None:
        """Time a backup into a fresh archive, then until it is on disk."""
        remove(self.archive)
        self.bench.disk.settle(self.source)
        self._add(case, label, work(), self.archive)

    def read(self, case: Case, number: int, work: Callable[[Path], Cost]) -> None:
        """Time a restore into a fresh directory, then until all is on disk."""
        target = self.bench.volume / f"by-{self.name.replace(' ', '')}-{number}"
        target.mkdir()
        self.bench.disk.settle(self.archive)
        self._add(case, f"{self.name} restore", work(target), target)

    def _add(self, case: Case, label: str, cost: Cost, written: Path) -> None:
        how = "-f" if written.is_dir() else "-d"
        on_disk = cost + run_timed("sync", how, written)
        case.add(label, cost.seconds)
        case.add(f"{label}, on disk", on_disk.seconds)
        case.add_cpu(label, on_disk.cpu)


class Tar(Archiver):
    """GNU tar with a record size, in blocks of 512 bytes."""

    def __init__(self, bench: Bench, blocks: int | None = None, *, restoring: bool = True) -> None:
        super().__init__(bench, "tar" if blocks is None else f"tar -b {blocks}")
        self.size = () if blocks is None else ("-b", str(blocks))
        self.restoring = restoring
        self.archive = bench.scratch / f"{self.name.replace(' ', '')}.tar"

    def backups(self, _case: Case) -> list[Operation]:
        return [self.back_up, self.send]

    def restores(self) -> list[Operation]:
        return [self.restore] if self.restoring else []

    def back_up(self, case: Case, _number: int) -> None:
        def work() -> Cost:
            return run_timed("tar", *self.size, "-cf", self.archive, "-C", self.bench.data, ".")

        self.write(case, f"{self.name} backup", work)

    def send(self, case: Case, _number: int) -> None:
        """To the discarding peer."""
        self.bench.disk.settle(self.source)
        with socket.create_connection(("127.0.0.1", self.bench.discarding)) as peer:
            cost = run_timed(
                *("tar", *self.size, "-cf", "-", "-C", self.bench.data, "."), stdout=peer.fileno()
            )
        case.add(f"{self.name} sending", cost.seconds)
        case.add_cpu(f"{self.name} sending", cost.cpu)

    def restore(self, case: Case, number: int) -> None:
        def work(target: Path) -> Cost:
            return run_timed("tar", *self.size, "-xf", self.archive, "-C", target)

        self.read(case, number, work)


class Dump(Archiver):
    """Debian's dump of an ext4 file system on a loop device, and its restore.

    The same data is copied into the file system, which is mounted read-only
    then. dump reads the device, so its caches are those of the device.
    """

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench, "dump")
        self.image = bench.scratch / "ext4.img"
        self.source = self.mounted = bench.scratch / "ext4"
        self.device = ""

    def prepare(self) -> None:
        self.mounted.mkdir(exist_ok=True)
        with self.image.open("wb") as file:
            file.truncate(self._size())
        run("mkfs.ext4", "-q", "-F", "-b", "4096", "-i", "4096", str(self.image))
        found = subprocess.run(
            ("losetup", "--find", "--show", str(self.image)),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.device = found.stdout.strip()
        run("mount", self.device, str(self.mounted))
        run("cp", "-a", f"{self.bench.data}/.", str(self.mounted))
        run("mount", "-o", "remount,ro", str(self.mounted))
        run_timed("dump", "-0", "-f", "/dev/null", self.device)

    def finish(self) -> None:
        super().finish()
        if self.mounted.is_mount():
            run("umount", str(self.mounted))
        if self.device:
            run("losetup", "--detach", self.device)
        remove(self.image)
        self.device = ""

    def _size(self) -> int:
        used = subprocess.run(
            ("du", "-s", "-B1", str(self.bench.data)), check=True, capture_output=True, text=True
        )
        return int(used.stdout.split()[0]) * 3 // 2 + (128 << 20)

    def backups(self, _case: Case) -> list[Operation]:
        return [self.back_up]

    def restores(self) -> list[Operation]:
        return [self.restore]

    def back_up(self, case: Case, _number: int) -> None:
        def work() -> Cost:
            return run_timed("dump", "-0", "-f", self.archive, self.device)

        self.write(case, "dump backup", work)

    def restore(self, case: Case, number: int) -> None:
        def work(target: Path) -> Cost:
            return run_timed(
                *("restore", "-r", "-T", self.bench.scratch, "-f", self.archive), cwd=target
            )

        self.read(case, number, work)


class Ndmjob(Archiver):
    """NDMJOB as DATA and TAPE agent on loopback, its formatter GNU tar.

    It comes without a formatter: without file history it gets a script that
    runs tar, with it the one of the tests. A fresh agent for each operation
    leaves the CPU seconds of all its processes in /proc until they are read.
    """

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench, "ndmjob")
        self.home = bench.scratch / "ndmjob"
        self.configuration = self.home / "ndmjob.conf"
        # Its children are not waited for by it, and would be lost with it.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def prepare(self) -> None:
        self.home.mkdir(exist_ok=True)
        self.configuration.write_text("[butype tar]\n\tv4attr 0x4321\n\tdefault_env HIST n\n")

    def backups(self, case: Case) -> list[Operation]:
        return [self.back_up, self.back_up_with_history] if case.files > MANY else [self.back_up]

    def restores(self) -> list[Operation]:
        return [self.restore]

    def back_up(self, case: Case, _number: int) -> None:
        self._format(f"exec tar -cf - -C {self.bench.data} .")
        self.write(case, "ndmjob backup", lambda: self._operate("-c", "-E", "HIST=n"))

    def back_up_with_history(self, case: Case, _number: int) -> None:
        self._format(f'exec {sys.executable} {FORMATTER} "$@"')
        index = self.home / "index"
        self.write(
            case,
            "ndmjob, history backup",
            lambda: self._operate("-c", "-E", "HIST=f", "-I", str(index)),
        )

    def restore(self, case: Case, number: int) -> None:
        def work(target: Path) -> Cost:
            self._format(f'echo "DR 0 -1" >&3\nexec tar -xf - -C {target}')
            return self._operate("-x", "-C", str(target))

        self.read(case, number, work)

    def _format(self, command: str) -> None:
        formatter = self.home / "wrap_tar"
        formatter.write_text(f"#! /bin/sh\n{command}\n")
        formatter.chmod(0o755)

    def _operate(self, *task: str) -> Cost:
        self.archive.touch()
        common = (NDMJOB, "-o", f"config-file={self.configuration}")
        with self._agent(common) as (process, port):
            cpu = cpu_of_session(process)
            agent = f"127.0.0.1:{port}/4m,ndmp,ndmp"
            source = f"FILESYSTEM={self.bench.data}"
            cost = run_timed(
                *(*common, "-B", "tar", "-D", agent, "-f", str(self.archive), "-E", source, *task)
            )
            return Cost(cost.seconds, cost.cpu + cpu_of_session(process) - cpu)

    @contextmanager
    def _agent(self, common: tuple[str, ...]) -> Iterator[tuple[int, int]]:
        """An agent's process and port, for one operation."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        with subprocess.Popen(
            (*common, "-o", "test-daemon", "-p", str(port)),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PATH": f"{self.home}:{os.environ['PATH']}"},
            start_new_session=True,
        ) as agent:
            try:
                until_it_listens(agent, port)
                yield agent.pid, port
            finally:
                agent.terminate()
        reap(agent.pid)


def until_it_listens(agent: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while agent.poll() is None and time.monotonic() < deadline:
        with suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.02)
    raise SystemExit(f"{NDMJOB} does not listen on port {port}")


def reap(group: int) -> None:
    """Wait for the orphans of a group of processes."""
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-group, 0)


def more_peers(bench: Bench) -> tuple[list[Program], list[str]]:
    """The programs behind ``--peers`` that run here, and why others do not."""
    programs: list[Program] = []
    reasons = []
    absent = [name for name in ("dump", "restore", "mkfs.ext4") if found(name) is None]
    if os.geteuid() != 0:
        reasons.append("dump and restore: only root mounts the file system that dump reads")
    elif absent:
        reasons.append(f"dump and restore: not installed: {', '.join(absent)}")
    else:
        programs.append(Dump(bench))
    if Path(NDMJOB).exists():
        programs.append(Ndmjob(bench))
    else:
        reasons.append(f"ndmjob: {NDMJOB} is not installed (Debian's amanda-server)")
    return programs, reasons


def found(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
