"""What a backup keeps in memory and in its spools for each object.

A tree that exists in directory entries alone goes through the first pass of
a full backup and its plan through the second, in a process of its own for
each size, so that peaks can be compared. The rule: what is told for a
million objects is the difference of two sizes, without what a small tree
needs as well.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from contextlib import closing
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from tapekit.testing import MemoryServices
from tapekit_dump import numbering
from tapekit_dump.backup_report import BackupReport
from tapekit_dump.directory_record import DirectoryRecord
from tapekit_dump.header_packing import HeaderPacker
from tapekit_dump.headers import DumpLabel, Inode
from tapekit_dump.maps import ROOT, dense_map
from tapekit_dump.spool import Pending, SpoolRoom
from tapekit_dump.walk import SLICE, Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MILLION = 1_000_000
FILES_IN_A_DIRECTORY = 1000
SPOOL_MEMORY_BYTES = 4 << 20
FIRST_INODE = 12
DIRECTORY = Inode(
    mode=0o40755, links=2, uid=0, gid=0, atime_us=0, mtime_us=0, ctime_s=1_700_000_000
)


class Entry:
    """A directory entry as the numbering asks it."""

    __slots__ = ("_inode", "_is_directory", "name")

    def __init__(self, name: str, inode: int, *, is_directory: bool = False) -> None:
        self.name = name
        self._inode = inode
        self._is_directory = is_directory

    def inode(self) -> int:
        return self._inode

    def is_file(self, *, follow_symlinks: bool) -> bool:
        del follow_symlinks
        return not self._is_directory

    def is_dir(self, *, follow_symlinks: bool) -> bool:
        del follow_symlinks
        return self._is_directory

    def is_symlink(self) -> bool:
        return False


class Needs(NamedTuple):
    """What one tree took."""

    objects: int
    memory_bytes: int
    spool_bytes: int
    seconds: float


def peak_bytes() -> int:
    """The most memory that the process has had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) << 10


def slices(entries: list[Entry]) -> Iterator[list[Any]]:
    for start in range(0, len(entries), SLICE):
        yield entries[start : start + SLICE]


def directories(objects: int) -> list[Entry]:
    """The entries of the top: enough directories for so many objects."""
    count = max(1, objects // (FILES_IN_A_DIRECTORY + 1))
    step = FILES_IN_A_DIRECTORY + 1
    return [
        Entry(f"directory-{number:06d}", FIRST_INODE + number * step, is_directory=True)
        for number in range(count)
    ]


def walk(objects: int, scratch: Path) -> Needs:
    """Number a tree, and read what the second pass would."""
    # The real one belongs to the entries of the system alone.
    vars(numbering)["_INODE"] = methodcaller("inode")
    before, started = peak_bytes(), time.perf_counter()
    room = SpoolRoom(scratch, SPOOL_MEMORY_BYTES)
    packer = HeaderPacker(DumpLabel(1_700_000_000, 0, b"/vs1/vol1", b"", b"node"))
    report = BackupReport(MemoryServices(), verbose=False, debug=False)
    numbers = numbering.FullNumbering(room, report)
    records = room.spool()
    numbers.begin()

    def visit(item: Pending, entries: list[Entry]) -> Sequence[tuple[int, bytes]]:
        record = DirectoryRecord(records, packer, item.number, item.parent)
        numbers.enter(item)
        place = Place(item, -1, record, lambda name: name)
        found = [pair for piece in slices(entries) for pair in numbers.take(piece, place)]
        record.finish(DIRECTORY, [])
        return found

    top = directories(objects)
    for (number, name), entry in zip(visit(Pending(0, ROOT, ROOT, b""), top), top, strict=True):
        first = entry.inode() + 1
        files = [Entry(f"file-{n:08d}.data", first + n) for n in range(FILES_IN_A_DIRECTORY)]
        visit(Pending(1, number, ROOT, name), files)
    index = numbers.finish(records, len(top) + 1)
    numbers.close()
    with closing(index):
        steps = sum(1 for _ in index.plan)
        maps = sum(map(len, dense_map(index.highest)))
        spools = index.records.length + index.inodes.length
        if steps < index.objects // SLICE or maps < index.objects // 8:
            raise SystemExit("the plan or the maps lack something")
        took = time.perf_counter() - started
        return Needs(index.objects, peak_bytes() - before, spools + plan_bytes(index), took)


def plan_bytes(index: Any) -> int:
    """Bytes of the plan's spool."""
    return int(cast("Any", index.plan)._spool.length)


def measure(objects: int, scratch: Path) -> Needs:
    """Walk in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(walk, (objects, scratch))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millions", type=float, default=4.0, help="objects of the larger tree")
    parser.add_argument("--scratch", type=Path, help="where the spools go")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        small = measure(int(options.millions * MILLION / 4), Path(folder))
        large = measure(int(options.millions * MILLION), Path(folder))
    millions = (large.objects - small.objects) / MILLION
    sys.stdout.write(
        "| objects | memory above the start | spools | seconds |\n|---:|---:|---:|---:|\n"
    )
    for needs in (small, large):
        sys.stdout.write(
            f"| {needs.objects:,} | {needs.memory_bytes / MILLION:.1f} MB "
            f"| {needs.spool_bytes / MILLION:.1f} MB | {needs.seconds:.1f} |\n"
        )
    more, spools = large.memory_bytes - small.memory_bytes, large.spool_bytes - small.spool_bytes
    sys.stdout.write(
        f"\nFor each million objects: {more / millions / 1000:.0f} kB of memory, "
        f"{spools / millions / MILLION:.1f} MB of spools\n"
    )


if __name__ == "__main__":
    main()
