"""Images of volumes by SMTape against archives by GNU tar.

Both back the same Snapshot copy up into a file that was not there before; an
increment of a second copy, in which nothing has changed, goes with it. The
engine runs in this process, beside a thread that writes what it sends, as a
mover would. The rule: nobody waits for the disk, neither tar nor SMTape.
"""

from __future__ import annotations

import argparse
import os
import queue
import resource
import statistics
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from measuring import Cost, Disk, remove, run_timed
from tapekit.kernel import assemble, installed
from tapekit.segments import BUFFER_BYTES, Batch, Extent
from tapekit.testing import MemoryServices
from tapekit_volumes.storage import VolumeStorage

sys.path.insert(0, str(Path(__file__).parents[1] / "trees"))
from tapekit_trees.making import make_large_files, make_small_files

if TYPE_CHECKING:
    from collections.abc import Callable

BUFFERS = 8
SOURCE = "/vs1/source"
STACK = """
plugins = ["smtape", "volumes", "snap_copy", "state_sqlite"]

[[volumes.volume]]
path = "/vs1/source"
directory = "source"
snapshots = "copy"
"""


class FileSink:
    """Writes what an engine sends to a file, in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self._free: queue.Queue[memoryview] = queue.Queue()
        for _ in range(BUFFERS):
            self._free.put(memoryview(bytearray(BUFFER_BYTES)))
        self._sent: queue.Queue[Batch | None] = queue.Queue(BUFFERS)
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def acquire(self) -> memoryview:
        return self._free.get()

    def recycle(self, buffer: memoryview) -> None:
        self._free.put(buffer)

    def put(self, batch: Batch) -> None:
        self._sent.put(batch)

    def drain(self) -> None:
        self._sent.join()

    def finish(self) -> None:
        self._sent.put(None)
        self._thread.join()
        os.close(self._fd)

    def _write(self) -> None:
        while (batch := self._sent.get()) is not None:
            for piece in batch.pieces:
                assert not isinstance(piece, Extent), "images have checksums of all they send"
                os.write(self._fd, piece)
            batch.release()
            self._sent.task_done()


class Site:
    """A volume with Snapshot copies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = folder / "source"
        self.source.mkdir()
        (folder / "stack.toml").write_text(STACK)
        self.kernel = assemble(folder / "stack.toml", installed(), clock=time.time)
        assert isinstance(self.kernel.storage, VolumeStorage)
        self.storage = self.kernel.storage

    def take(self, name: str) -> Path:
        self.storage.create_snapshot(SOURCE, name, "the benchmark")
        return self.folder / "source.snapshots" / name

    def image(self, path: Path, **variables: str) -> tuple[Cost, dict[str, str]]:
        """Back up; gives what it cost and the variables that came back."""
        pairs = (("FILESYSTEM", SOURCE), *variables.items())
        started, used = time.perf_counter(), cpu_here()
        with closing(self.kernel.engines["smtape"].prepare_backup(pairs, "benchmark")) as job:
            job.run(FileSink(path), MemoryServices())
            cost = Cost(time.perf_counter() - started, cpu_here() - used)
            return cost, dict(job.environment())


def cpu_here() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measure(title: str, fill: Callable[[Path], object], rounds: int, scratch: Path) -> None:
    with tempfile.TemporaryDirectory(dir=scratch, prefix="tapekit-images-") as name:
        folder, disk = Path(name), Disk()
        site, archive = Site(folder), folder / "archive"
        fill(site.source)
        place = site.take("one")
        site.take("two")
        costs: dict[str, list[Cost]] = {"GNU tar": [], "SMTape": [], "increment": []}
        for _ in range(rounds):
            disk.settle(place)
            command = ("tar", "--xattrs", "--acls", "-cf", archive, "-C", place, ".")
            costs["GNU tar"].append(run_timed(*command))
            remove(archive)
            disk.settle(place)
            cost, known = site.image(archive, SMTAPE_SNAPSHOT_NAME="one")
            costs["SMTape"].append(cost)
            remove(archive)
            base, set_id = known["DUMP_DATE"], known["SMTAPE_BACKUP_SET_ID"]
            cost, _ = site.image(
                archive, SMTAPE_SNAPSHOT_NAME="two", BASE_DATE=base, SMTAPE_BACKUP_SET_ID=set_id
            )
            costs["increment"].append(cost)
            remove(archive)
        tell(title, costs)


def tell(title: str, costs: dict[str, list[Cost]]) -> None:
    """Medians, and how many times as fast as tar."""
    print(title)
    reference = statistics.median(cost.seconds for cost in costs["GNU tar"])
    for name, each in costs.items():
        seconds = statistics.median(cost.seconds for cost in each)
        cpu = statistics.median(cost.cpu for cost in each)
        print(f"  {name:10} {seconds:6.2f} s  {cpu:6.2f} s CPU  {reference / seconds:5.2f} x tar")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--large-mib", type=int, default=512)
    parser.add_argument("--scratch", type=Path, help="some 10 GiB; the system's by default")
    chosen = parser.parse_args()
    scratch = chosen.scratch or Path(tempfile.gettempdir())
    small, large = chosen.files, chosen.large_mib << 20
    measure(
        f"{small:,} small files",
        lambda top: make_small_files(top, files=small),
        chosen.rounds,
        scratch,
    )
    measure(
        f"4 files of {chosen.large_mib} MiB",
        lambda top: make_large_files(top, size=large),
        chosen.rounds,
        scratch,
    )


if __name__ == "__main__":
    main()
