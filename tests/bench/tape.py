"""Virtual tape by itself: records written and read, against ``cat``.

A drive writes the extents of a file in runs of records, as a mover gives
them, and reads them back; ``cat`` copies the same file to another one, and
reads it to nowhere. Programs take turns, and each writes into a file that
was not there before. The rule: nobody waits for the disk, neither ``cat``
nor the drive, whose filemark comes after the clock has stopped.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from measuring import Disk
from tapekit.hookspecs.tape_driver import Condition, DriveSetup, TapeError
from tapekit.segments import Extent, piece_length, pread_exactly
from tapekit_vtape.driver import VtapeDriver
from tapekit_vtape.settings import VtapeSettings
from tapekit_vtape.zstd import find_zstd

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit_vtape.gated_drive import GatedDrive

DOCUMENT = Path(__file__).parents[2] / "docs" / "performance.md"
MARK = "<!-- tape measured -->"
BATCH = 8 << 20
"""What a mover gives to a drive at most, in bytes."""
EXTENT = 512 << 10
RECORD_SIZES = (64 << 10, 256 << 10)
GIB = 1 << 30


class Cost(NamedTuple):
    """What one run took."""

    seconds: float
    cpu_s: float


def clocked(work: Callable[[], object], who: int = resource.RUSAGE_SELF) -> Cost:
    """Do something, and tell what it took this process or its children."""
    before, started = resource.getrusage(who), time.perf_counter()
    work()
    took, after = time.perf_counter() - started, resource.getrusage(who)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(took, cpu)


def make_source(path: Path, size: int) -> None:
    """A file that gets smaller by about a half: random words and random bytes."""
    chosen = random.Random(1)
    words = [chosen.randbytes(12).hex().encode() for _ in range(4096)]
    with path.open("wb") as file:
        while file.tell() < size:
            text = b" ".join(chosen.choice(words) for _ in range(20_000))
            file.write(text + chosen.randbytes(len(text) // 4))
        file.truncate(size)


def cat(source: Path, target: str) -> Cost:
    with open(target, "wb") as out:  # noqa: PTH123 - /dev/null is one of them
        return clocked(
            lambda: subprocess.run(("cat", source), stdout=out, check=True),
            resource.RUSAGE_CHILDREN,
        )


class Tape:
    """A drive with an empty tape each time."""

    def __init__(self, folder: Path, size: int, *, is_compressing: bool) -> None:
        settings = VtapeSettings(
            drives=1,
            slots=1,
            capacity_bytes=4 * size + (1 << 30),
            early_warning_bytes=0,
            compression="zstd" if is_compressing else "none",
        )
        self._driver = VtapeDriver(settings)
        self._driver.settle(folder)
        self._driver.library.create("BENCH", ["TAPE"])
        self.payload = self._driver.library.folder("TAPE") / "payload"

    def open(self) -> GatedDrive:
        drive = self._driver.open_drive("0")
        drive.adjust(DriveSetup(compression="a"))
        drive.rewind()
        return drive

    def write(self, source: Path, record_size: int) -> Cost:
        drive = self.open()
        erase = bytes((0x19, 0, 0, 0, 0, 0))
        assert drive.door is not None
        drive.door.execute(erase)
        size = source.stat().st_size
        with source.open("rb") as file:

            def run() -> None:
                for start in range(0, size, BATCH):
                    stop = min(start + BATCH, size)
                    pieces = [
                        Extent(file.fileno(), at, min(EXTENT, stop - at))
                        for at in range(start, stop, EXTENT)
                    ]
                    drive.write_records(pieces, record_size)

            cost = clocked(run)
        drive.write_filemarks(1)
        drive.close()
        return cost

    def read(self, record_size: int) -> Cost:
        drive = self.open()
        buffer = memoryview(bytearray(BATCH))

        def run() -> None:
            while True:
                try:
                    found = drive.read_records(buffer, BATCH, record_size)
                except TapeError as error:
                    if error.condition is Condition.FILEMARK:
                        return
                    raise
                for piece in found.pieces:
                    if isinstance(piece, Extent):
                        for at in range(0, piece_length(piece), 128 << 10):
                            part = piece.part(at, min(at + (128 << 10), piece.length))
                            pread_exactly(part, buffer)

        cost = clocked(run)
        drive.close()
        return cost


def measure(scratch: Path, size: int, rounds: int) -> dict[str, list[Cost]]:
    source = scratch / "source"
    make_source(source, size)
    copy = scratch / "copy"
    plain = Tape(scratch / "plain", size, is_compressing=False)
    runs: dict[str, Callable[[], Cost]] = {
        "write: `cat` to a file": lambda: cat(source, str(copy)),
        "read: `cat` to nowhere": lambda: cat(source, os.devnull),
    }
    tapes = [(plain, "")]
    if find_zstd() is not None:
        tapes.append((Tape(scratch / "packed", size, is_compressing=True), ", compressed"))
    for tape, words in tapes:
        for record_size in RECORD_SIZES:
            name = f"tape, records of {record_size >> 10} KiB{words}"
            runs[f"write: {name}"] = lambda t=tape, r=record_size: t.write(source, r)
            runs[f"read: {name}"] = lambda t=tape, r=record_size: t.read(r)
    disk = Disk()
    found: dict[str, list[Cost]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            copy.unlink(missing_ok=True)
            disk.settle(source)
            found[name].append(run())
    return found


def table(found: dict[str, list[Cost]], size: int) -> str:
    def line(name: str, costs: list[Cost]) -> str:
        seconds = [cost.seconds for cost in costs]
        middle = statistics.median(seconds)
        cpu = statistics.median(cost.cpu_s for cost in costs) * GIB / size
        base = statistics.median(cost.seconds for cost in found[cats[kind(name)]])
        return (
            f"| {name} | {middle:.2f} ({min(seconds):.2f}-{max(seconds):.2f}) | "
            f"{size / middle / (1 << 20):,.0f} | {middle / base:.2f} | {cpu:.2f} |"
        )

    def kind(name: str) -> str:
        return name.partition(":")[0]

    cats = {kind(name): name for name in found if "`cat`" in name}
    order = sorted(found, key=lambda name: (not name.startswith("write"), list(found).index(name)))
    machine = f"{os.cpu_count()} x {platform.machine()}, Python {platform.python_version()}"
    rounds = len(next(iter(found.values())))
    return "\n".join(
        (
            f"{machine}; {size >> 20} MiB; {rounds} rounds; medians, with least and most",
            "",
            "| what | seconds | MiB/s | time, `cat` = 1 | CPU seconds a GiB |",
            "|---|---:|---:|---:|---:|",
            *(line(name, found[name]) for name in order),
        )
    )


def put_into_document(text: str, mark: str) -> None:
    """Put a table between the two places of a mark."""
    head, _, rest = DOCUMENT.read_text().partition(mark)
    _, _, tail = rest.partition(mark)
    DOCUMENT.write_text(f"{head}{mark}\n\n{text}\n\n{mark}{tail}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="runs of each kind")
    parser.add_argument("--mib", type=int, default=1024, help="size of the data")
    parser.add_argument("--scratch", type=Path, help="folder on the file system to measure")
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT.name}")
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="tapekit-bench-", dir=options.scratch))
    try:
        text = table(measure(scratch, options.mib << 20, options.rounds), options.mib << 20)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(text)
    if options.write:
        put_into_document(text, MARK)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
