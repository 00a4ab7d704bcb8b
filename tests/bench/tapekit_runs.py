"""tapekit's side: a server of its own process, and a client that drives it.

Backups go to virtual tapes, one drive for each kind, and to a plain TCP peer;
the restore takes what lies on drive 0. The time is that of the protocol, from
DATA_START to the halt of both servers; the CPU seconds are the server's. The
server leaves the sync of a restore to the benchmark, as tar does.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from measuring import Disk, cpu_of_process, run, run_timed
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import BackupPlan, NdmpClient, RecoverPlan, TapeAt, Watch, tape
from tapekit_ndmp_v4.client import back_up as run_backup
from tapekit_ndmp_v4.client import recover as run_recover
from tapekit_ndmp_v4.numbers import AuthType, DataHaltReason, TapeOpenMode
from tapekit_ndmp_v4.wire import Pair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cases import Case
    from tapekit_ndmp_v4.client import BackupResult

__all__ = ["Bench"]

TAPEKIT = (sys.executable, "-m", "tapekit")
VOLUME = "/vs1/vol1"
RECORD_BYTES = 262144
LOOPBACK = 0x7F000001


class Bench:
    """A server on a scratch directory, and each operation with it."""

    def __init__(self, scratch: Path, disk: Disk | None = None, discarding: int = 0) -> None:
        self.scratch = scratch
        self.disk = disk or Disk()
        self.site = scratch / "site"
        self.volume = self.site / "volumes" / "vs1" / "vol1"
        self.data = self.volume / "data"
        self.cartridge = self.site / "vtape" / "cartridges" / "VT0001"
        self.discarding = discarding
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
        stack.write_text(f"{text}\n[dump]\nsync_at_end = false\n")
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

    # What the kernel knows of the server.

    @property
    def _pid(self) -> int:
        assert self._server is not None
        return self._server.pid

    def _reset_peak(self) -> None:
        Path(f"/proc/{self._pid}/clear_refs").write_text("5")

    def _peak_kib(self) -> int:
        status = Path(f"/proc/{self._pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1])

    # One round of each operation.

    def tapekit_backup(self, case: Case, _number: int) -> None:
        """A backup without file history, to drive 0."""
        self.backup = trio.run(self._back_up, case, "tapekit backup", "nrst0a", "N")

    def tapekit_history(self, case: Case, _number: int) -> None:
        """A backup with file history, to drive 1."""
        trio.run(self._back_up, case, "tapekit, history backup", "nrst1a", "Y")

    def tapekit_sending(self, case: Case, _number: int) -> None:
        """A backup without file history, to the discarding peer."""
        trio.run(self._send, case, "tapekit sending", "N")

    def tapekit_history_sending(self, case: Case, _number: int) -> None:
        """A backup with file history, to the discarding peer."""
        trio.run(self._send, case, "tapekit, history sending", "Y")

    def tapekit_restore(self, case: Case, number: int) -> None:
        """The restore of the last backup from drive 0, then until all is on disk."""
        trio.run(self._restore, case, f"{VOLUME}/by-tapekit-{number}")

    @asynccontextmanager
    async def _client(self, case: Case) -> AsyncIterator[tuple[NdmpClient, Watch]]:
        password = (self.site / "ndmp-password").read_bytes().strip()
        watch = Watch(
            on_state=lambda _state, took: case.state_seconds.append(took), poll_every_s=0.05
        )
        self._reset_peak()
        async with NdmpClient.connect("127.0.0.1", self.port, clock=time.time) as client:
            await client.open()
            await client.authenticate(AuthType.MD5, "ndmp", password)
            yield client, watch
        case.peak_kib = max(case.peak_kib, self._peak_kib())

    async def _back_up(self, case: Case, label: str, device: str, history: str) -> BackupResult:
        plan = BackupPlan(
            tape=TapeAt(device),
            environment=environment(history),
            filemarks=1,
            record_size=RECORD_BYTES,
        )
        async with self._client(case) as (client, watch):
            await erase(client, device)
            await trio.to_thread.run_sync(self.disk.settle, self.data)
            cpu, started = cpu_of_process(self._pid), time.perf_counter()
            result = await run_backup(client, plan, watch=watch)
            case.add(f"{label}, on disk", time.perf_counter() - started)
            case.add(label, result.seconds)
            case.add_cpu(label, cpu_of_process(self._pid) - cpu)
            return result

    async def _send(self, case: Case, label: str, history: str) -> None:
        """A data server without a mover: DATA_CONNECT to the peer."""
        peer = m.TcpAddr(ip=LOOPBACK, port=self.discarding, addr_env=())
        variables = tuple(Pair(*pair) for pair in environment(history))
        async with self._client(case) as (client, _):
            await trio.to_thread.run_sync(self.disk.settle, self.data)
            await client.call(m.DataConnectRequest(addr=m.TcpAddrs(tcp_addr=(peer,))))
            cpu, started = cpu_of_process(self._pid), time.perf_counter()
            await client.call(m.DataStartBackupRequest(butype_name="dump", env=variables))
            post = await client.wait_for(m.NotifyDataHaltedPost)
            case.add(label, time.perf_counter() - started)
            case.add_cpu(label, cpu_of_process(self._pid) - cpu)
            if post.reason != DataHaltReason.SUCCESSFUL:
                raise SystemExit(f"the backup to the discarding peer ended with {post.reason!r}")
            await client.call(m.DataStopRequest())

    async def _restore(self, case: Case, destination: str) -> None:
        assert self.backup is not None
        plan = RecoverPlan(
            parts=self.backup.parts,
            environment=self.backup.environment,
            names=(m.Name(original_path="", destination_path=destination),),
            record_size=RECORD_BYTES,
        )
        async with self._client(case) as (client, watch):
            await trio.to_thread.run_sync(self.disk.settle, self.cartridge)
            cpu = cpu_of_process(self._pid)
            result = await run_recover(client, plan, watch=watch)
            used = cpu_of_process(self._pid) - cpu
        written = self.site / "volumes" / destination.removeprefix("/")
        sync = run_timed("sync", "-f", written)
        case.add("tapekit restore", result.seconds)
        case.add("tapekit restore, on disk", result.seconds + sync.seconds)
        case.add_cpu("tapekit restore", used + sync.cpu)


def environment(history: str) -> tuple[tuple[str, str], ...]:
    return (("FILESYSTEM", f"{VOLUME}/data"), ("HIST", history))


async def erase(client: NdmpClient, device: str) -> None:
    """Make room on a tape, as removing the last archive does for tar."""
    await tape.open_device(client, device, TapeOpenMode.RDWR)
    await tape.rewind(client)
    await tape.write_filemarks(client, 1)
    await tape.close(client)
