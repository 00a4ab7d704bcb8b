"""A stream with files in it goes to virtual cartridges and comes back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tapekit.hookspecs.mover import UNLIMITED, MoverHalt, MoverPause, Window
from tapekit.segments import BUFFER_BYTES, Batch, Extent
from tapekit.testing import bytes_of
from tapekit_vtape.driver import VtapeDriver
from tapekit_vtape.settings import VtapeSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECORD = 10240
CAPACITY = 3 << 20


class FileSource:
    """A header and an extent of a file in turn, as a dump of large files is."""

    def __init__(self, fd: int, length: int, file_bytes: int) -> None:
        self._batches = self._make(fd, length, file_bytes)

    def _make(self, fd: int, length: int, file_bytes: int) -> Iterator[Batch]:
        for at in range(0, length, file_bytes):
            header = memoryview(b"%08d" % at * 128)
            yield Batch.of([header, Extent(fd, at, min(file_bytes, length - at))])

    def get(self) -> Batch | None:
        return next(self._batches, None)


def robot(directory: Path) -> VtapeDriver:
    driver = VtapeDriver(VtapeSettings(slots=4, durability="none"))
    driver.settle(directory)
    driver.library.create("A", [])
    for barcode in ("T1", "T2"):
        driver.library.create_cartridge(barcode, capacity=CAPACITY, early_warning=RECORD)
    driver.library.load(0, "T1")
    return driver


def test_a_backup_over_two_cartridges_is_restored(rig: Any, tmp_path: Path) -> None:
    driver = robot(tmp_path)
    file = tmp_path / "file"
    file.write_bytes(os.urandom(4 << 20))
    fd = os.open(file, os.O_RDONLY)
    expected = b"".join(
        bytes_of(batch.pieces) for batch in iter(FileSource(fd, 4 << 20, 300_000).get, None)
    )

    def change_to(barcode: str) -> Any:
        drive.close()
        driver.library.unload(0)
        driver.library.load(0, barcode)
        return driver.open_drive("0")

    drive = driver.open_drive("0")
    rig.over(drive, record_size=RECORD, run_bytes=BUFFER_BYTES)
    rig.start(lambda: rig.mover.run_to_tape(FileSource(fd, 4 << 20, 300_000)))
    reason, border = rig.hears()
    assert reason is MoverPause.EOM
    assert border == (CAPACITY - RECORD) // RECORD * RECORD
    drive = change_to("T2")
    rig.mover.set_window(Window(border))
    rig.resume(drive)
    assert rig.ends() == (MoverHalt.CONNECT_CLOSED, None)
    assert rig.mover.progress.bytes_moved == -(-len(expected) // RECORD) * RECORD
    os.close(fd)

    drive = change_to("T1")
    rig.over(drive, record_size=RECORD, run_bytes=BUFFER_BYTES)
    rig.mover.set_window(Window(0, border))
    rig.mover.read(0, UNLIMITED)
    rig.start(lambda: rig.mover.run_from_tape(rig.sink))
    assert rig.hears() == (MoverPause.SEEK, border)
    drive = change_to("T2")
    rig.mover.set_window(Window(border))
    rig.resume(drive)
    assert rig.hears() == (MoverPause.EOF, -(-len(expected) // RECORD) * RECORD)
    rig.mover.close()
    assert rig.ends() == (MoverHalt.CONNECT_CLOSED, None)
    drive.close()
    assert rig.sink.data == expected + bytes(-len(expected) % RECORD)
