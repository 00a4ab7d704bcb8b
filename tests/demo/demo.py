"""What ``make demo`` shows: a stack, backups, restores, and both trees compared.

Everything is real: ``tapekit init`` and ``tapekit serve`` run as processes of
their own, a full and an incremental backup go over NDMP on loopback to virtual
tapes, and the restored tree is compared with the volume in everything that a
backup has to bring back. The exit status says whether all compared equal.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import trio
from rich.console import Console
from rich.table import Table

from tapekit_ndmp_v4.client import BackupPlan, NdmpClient, Positions, RecoverPlan, TapeAt, Watch
from tapekit_ndmp_v4.client import back_up as run_backup
from tapekit_ndmp_v4.client import recover as run_recover
from tapekit_ndmp_v4.messages import FhAddDirPost, FhAddNodePost, LogMessagePost, Message, Name
from tapekit_ndmp_v4.numbers import AuthType, LogType

sys.path.insert(0, str(Path(__file__).parents[1] / "trees"))
from tapekit_trees.comparing import compare_trees
from tapekit_trees.editing import edit_tree
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tapekit_ndmp_v4.client import BackupResult, RecoverResult
    from tapekit_trees.comparing import Difference
    from tapekit_trees.objects import TreeSummary

FILES = 4000
VOLUME = "/vs1/vol1"
RESTORED = "restored"
ALONE = "directly/one-file"
EDITS = 200
TAPEKIT = (sys.executable, "-m", "tapekit")


@dataclass
class History:
    """What the server told the client on the way."""

    names: int = 0
    nodes: int = 0
    warnings: list[str] = field(default_factory=list)
    positions: Positions = field(default_factory=Positions)

    def add(self, post: Message) -> None:
        self.positions.add(post)
        match post:
            case FhAddDirPost(dirs=dirs):
                self.names += len(dirs)
            case FhAddNodePost(nodes=nodes):
                self.nodes += len(nodes)
            case LogMessagePost(log_type=LogType.WARNING | LogType.ERROR, entry=entry):
                self.warnings.append(entry)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(directory: Path) -> Iterator[None]:
    """Run ``tapekit serve`` and end it as an operator would."""
    with (directory / "server.log").open("w") as log:
        server = subprocess.Popen(
            (*TAPEKIT, "serve", str(directory / "tapekit.toml")),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    with server:
        assert server.stdout is not None
        if not server.stdout.readline().startswith("listening on "):
            server.wait()
            raise SystemExit((directory / "server.log").read_text())
        try:
            yield
        finally:
            server.send_signal(signal.SIGTERM)
            if server.wait() != 0:
                raise SystemExit((directory / "server.log").read_text())


@dataclass
class Done:
    """What the operations came to."""

    backup: BackupResult
    alone: RecoverResult
    restore: RecoverResult
    increment: BackupResult
    second: RecoverResult


async def operate(
    port: int, password: bytes, history: History, wanted: str, edit: Callable[[], object]
) -> Done:
    """A full backup of the volume, one file recovered directly, a restore of
    everything to another directory, and then the same with an increment.
    """
    watch = Watch(on_post=history.add)
    async with NdmpClient.connect("127.0.0.1", port, clock=time.time) as client:
        await client.open()
        await client.authenticate(AuthType.MD5, "ndmp", password)
        backup = await run_backup(
            client,
            BackupPlan(
                tape=TapeAt("nrst0a"),
                environment=(("FILESYSTEM", VOLUME), ("LEVEL", "0"), ("HIST", "Y")),
            ),
            watch=watch,
        )
        alone = await run_recover(
            client,
            RecoverPlan(
                parts=backup.parts,
                environment=(*backup.environment, ("DIRECT", "Y")),
                names=(history.positions.name(wanted, f"{VOLUME}/{ALONE}"),),
            ),
            watch=watch,
        )
        everything = Name(original_path="", destination_path=f"{VOLUME}/{RESTORED}")
        restore = await run_recover(
            client,
            RecoverPlan(parts=backup.parts, environment=backup.environment, names=(everything,)),
            watch=watch,
        )
        await trio.to_thread.run_sync(edit)
        increment = await run_backup(
            client,
            BackupPlan(
                tape=TapeAt("nrst1a"),
                environment=(
                    ("FILESYSTEM", VOLUME),
                    ("LEVEL", "1"),
                    ("EXCLUDE", f"{RESTORED},{Path(ALONE).parent}"),
                ),
            ),
            watch=watch,
        )
        second = await run_recover(
            client,
            RecoverPlan(
                parts=increment.parts, environment=increment.environment, names=(everything,)
            ),
            watch=watch,
        )
    return Done(backup, alone, restore, increment, second)


def one_file(volume: Path) -> str:
    """The path of the file that is recovered directly, the last by its name."""
    return max(
        str(path.relative_to(volume))
        for path in (volume / "plain").rglob("*")
        if path.is_file() and not path.is_symlink()
    )


def differences(volume: Path, kept: Path, content: bytes) -> list[Difference]:
    """Compare what was backed up with what came back.

    The restores made directories in the volume, so those are moved away
    first and the volume's own time is left out.
    """
    shutil.move(volume / RESTORED, kept)
    shutil.move(volume / Path(ALONE).parent, kept.with_name("directly"))
    differ = [each for each in compare_trees(volume, kept) if each.path != "."]
    recovered = kept.parent / ALONE
    if recovered.read_bytes() != content:
        raise SystemExit(f"{recovered} is not the file as it was backed up")
    return differ


def report(
    console: Console,
    summary: TreeSummary,
    done: Done,
    history: History,
    differ: list[Difference],
) -> None:
    """The table at the end."""
    objects = summary.files + summary.directories + summary.symlinks + summary.specials
    table = Table(title="tapekit demo", title_justify="left")
    table.add_column("step")
    table.add_column("what happened")
    table.add_column("MB/s", justify="right")
    table.add_column("objects/s", justify="right")

    def row(step: str, what: str, result: BackupResult | RecoverResult | None = None) -> None:
        rates = ("", "")
        if result is not None and result.seconds > 0:
            rates = (
                f"{result.bytes_processed / 1e6 / result.seconds:,.0f}",
                f"{objects / result.seconds:,.0f}",
            )
        table.add_row(step, what, *rates)

    row(
        "volume",
        f"{summary.files:,} files, {summary.directories:,} directories, "
        f"{summary.symlinks} symbolic links, {summary.specials} fifos, sockets and devices, "
        f"{summary.hard_links} more hard links; {summary.bytes / 1e6:,.0f} MB with holes",
    )
    full, increment = done.backup, done.increment
    row("backup", f"level 0 over NDMP to nrst0a: {full.bytes_processed / 1e6:,.1f} MB", full)
    row("file history", f"{history.names:,} names, {history.nodes:,} nodes")
    row(
        "one file", f"recovered directly, by reading {done.alone.bytes_moved / 1e3:,.0f} kB of tape"
    )
    row("restore", f"to {VOLUME}/{RESTORED}", done.restore)
    row("edits", f"{EDITS} files and directories made, changed, renamed, linked or removed")
    row("backup", f"level 1 to nrst1a: {increment.bytes_processed / 1e6:,.1f} MB")
    row("restore", f"level 1 onto {VOLUME}/{RESTORED}")
    row("compare", f"{len(differ)} differences" if differ else "all equal")
    console.print(table)
    console.print(
        "Compared: content, holes, modes, owners, times, links, devices, attributes, ACLs."
    )
    for left_out in summary.left_out:
        console.print(f"Not in the tree on this machine: {left_out}")
    for warning in history.warnings[:10]:
        console.print(f"The server warned: {warning}", markup=False)
    for each in differ[:20]:
        console.print(str(each), style="red", markup=False)


def next_steps(console: Console, directory: Path) -> None:
    """What to try now."""
    stack = directory / "tapekit.toml"
    console.print(f"\nThe stack is in {directory}. Next:", highlight=False, soft_wrap=True)
    for command in (
        f"tapekit vtape list {stack}",
        f"tapekit vtape export {stack} VT0001 --file 0 -o /tmp/vol1.dump  # restore -tf reads it",
        "tapekit plugins",
        f"tapekit serve {stack}",
    ):
        console.print(f"  .venv/bin/{command}", highlight=False, soft_wrap=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=FILES, help="plain files in the volume")
    parser.add_argument("--directory", type=Path, help="where to set the stack up (new folder)")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 120)
    directory = options.directory or Path(tempfile.mkdtemp(prefix="tapekit-demo-"))
    port = free_port()
    subprocess.run(
        (*TAPEKIT, "init", str(directory), "--port", str(port)),
        check=True,
        stdout=subprocess.DEVNULL,
    )
    volume = directory / "volumes" / "vs1" / "vol1"
    os.umask(0o022)
    with console.status("filling the volume"):
        summary = make_tree(volume, files=options.files, seed=1)
    history = History()
    password = (directory / "ndmp-password").read_bytes().strip()
    with console.status("backup and restore over NDMP"), serving(directory):
        wanted = one_file(volume)
        content = (volume / wanted).read_bytes()
        edit = functools.partial(edit_tree, volume / "plain", seed=2, edits=EDITS)
        done = trio.run(operate, port, password, history, wanted, edit)
    with console.status("comparing"):
        differ = differences(volume, directory / RESTORED, content)
    report(console, summary, done, history, differ)
    next_steps(console, directory)
    return 1 if differ else 0


if __name__ == "__main__":
    raise SystemExit(main())
