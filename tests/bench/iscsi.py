"""A tape drive of tgt over iSCSI: records written and read, against bare commands.

The drive is the one that a stack would use, over libiscsi in user space; the
bare commands are WRITE(6) and READ(6) of the same length through the same
library, one after the other, without anything between. The rule: a filemark
comes after the clock has stopped.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1] / "interop"))

from tape import (
    BATCH,
    DOCUMENT,
    EXTENT,
    GIB,
    Cost,
    clocked,
    make_source,
    put_into_document,
)

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.segments import Extent
from tapekit_scsi_iscsi.driver import ScsiIscsiDriver
from tapekit_scsi_iscsi.settings import ScsiIscsiSettings
from tgt_library import DRIVES, INITIATOR, SLOTS, tgt_library

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.tape_driver import TapeDrive

MARK = "<!-- iscsi measured -->"
RECORD_SIZES = (64 << 10, 256 << 10, 1 << 20)
DRIVE, CHANGER = "DRV0001@0.1", "LIB0001@0.3"
COMMAND_S = 60.0


def command(code: int, length: int) -> bytes:
    """WRITE(6) or READ(6) of one record of variable length."""
    return bytes((code, 0)) + length.to_bytes(3, "big") + b"\0"


def write(drive: TapeDrive, source: Path, record_size: int) -> None:
    size = source.stat().st_size
    with source.open("rb") as file:
        for start in range(0, size, BATCH):
            stop = min(start + BATCH, size)
            pieces = [
                Extent(file.fileno(), at, min(EXTENT, stop - at))
                for at in range(start, stop, EXTENT)
            ]
            drive.write_records(pieces, record_size)


def read(drive: TapeDrive, record_size: int) -> None:
    buffer = memoryview(bytearray(BATCH))
    while True:
        try:
            drive.read_records(buffer, BATCH, record_size)
        except TapeError as error:
            if error.condition is Condition.FILEMARK:
                return
            raise


def write_bare(drive: TapeDrive, data: bytes, record_size: int) -> None:
    assert drive.door is not None
    view, cdb = memoryview(data), command(0x0A, record_size)
    for at in range(0, len(data), record_size):
        reply = drive.door.execute(cdb, data_out=bytes(view[at : at + record_size]))
        assert reply.status == 0, reply.sense


def read_bare(drive: TapeDrive, count: int, record_size: int) -> None:
    assert drive.door is not None
    cdb = command(0x08, record_size)
    for _ in range(count):
        reply = drive.door.execute(cdb, data_in=record_size, timeout_s=COMMAND_S)
        assert reply.status == 0, reply.sense


def one_round(drive: TapeDrive, source: Path, found: dict[str, list[Cost]]) -> None:
    data = source.read_bytes()

    def timed(name: str, work: Callable[[], object]) -> None:
        found.setdefault(name, []).append(clocked(work))

    for record_size in RECORD_SIZES:
        words = f"{record_size >> 10} KiB"
        drive.rewind()
        timed(f"write: commands, {words}", lambda r=record_size: write_bare(drive, data, r))
        drive.rewind()
        timed(
            f"read: commands, {words}",
            lambda r=record_size: read_bare(drive, len(data) // r, r),
        )
        drive.rewind()
        timed(f"write: drive, {words}", lambda r=record_size: write(drive, source, r))
        drive.write_filemarks(1)
        drive.rewind()
        timed(f"read: drive, {words}", lambda r=record_size: read(drive, r))


def measure(scratch: Path, size: int, rounds: int) -> dict[str, list[Cost]]:
    source = scratch / "source"
    make_source(source, size)
    found: dict[str, list[Cost]] = {}
    with tgt_library(scratch / "library") as library:
        settings = ScsiIscsiSettings(initiator=INITIATOR, targets=(library.url,))
        driver = ScsiIscsiDriver(settings)
        driver.settle(scratch)
        driver.discover()
        driver.discover_changers()
        changer = driver.open_changer(CHANGER)
        changer.move(SLOTS[0], DRIVES[0])
        changer.close()
        drive = driver.open_drive(DRIVE)
        try:
            for _ in range(rounds):
                one_round(drive, source, found)
        finally:
            drive.close()
    return found


def table(found: dict[str, list[Cost]], size: int, rounds: int) -> str:
    def line(name: str) -> str:
        costs = found[name]
        middle = statistics.median(cost.seconds for cost in costs)
        cpu = statistics.median(cost.cpu_s for cost in costs) * GIB / size
        bare = found[name.replace("drive", "commands")]
        base = statistics.median(cost.seconds for cost in bare)
        return f"| {name} | {size / middle / 1e6:,.0f} | {middle / base:.2f} | {cpu:.2f} |"

    order = sorted(found, key=lambda name: not name.startswith("write"))
    return "\n".join(
        (
            f"{size >> 20} MiB; {rounds} rounds; medians",
            "",
            "| what, records of | MB/s | time, commands = 1 | CPU seconds a GiB |",
            "|---|---:|---:|---:|",
            *map(line, order),
        )
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="runs of each kind")
    parser.add_argument("--mib", type=int, default=256, help="size of the data")
    parser.add_argument("--scratch", type=Path, help="folder on the file system to measure")
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT.name}")
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="tapekit-bench-", dir=options.scratch))
    size = options.mib << 20
    try:
        text = table(measure(scratch, size, options.rounds), size, options.rounds)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(text)
    if options.write:
        put_into_document(text, MARK)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
