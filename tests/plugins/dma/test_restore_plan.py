"""Which parts of a backup a restore is sure to read."""

from __future__ import annotations

import pytest

from tapekit_dma.file_index import Found
from tapekit_dma.records import Backup, Part
from tapekit_dma.restore_plan import RestoreStep, needed_parts
from tapekit_ndmp_v4.numbers import UNLIMITED

PARTS = tuple(
    Part(barcode=f"A{n}", label=f"label{n}", file=1, offset=1000 * n, length=1000) for n in range(4)
)


def found(position: int, size: int = 10, *, is_directory: bool = False) -> Found:
    return Found("path", 7, position, is_directory, size, 0)


@pytest.mark.parametrize(
    ("objects", "barcodes"),
    [
        ((), "A0 A1 A2 A3"),
        ((found(2100),), "A0 A2"),
        ((found(10),), "A0"),
        ((found(1500, 1000),), "A0 A1 A2"),
        ((found(2990),), "A0 A2"),
        ((found(1000), found(3999)), "A0 A1 A3"),
        ((found(10, is_directory=True),), "A0 A1 A2 A3"),
        ((found(UNLIMITED),), "A0 A1 A2 A3"),
    ],
)
def test_parts_are_those_of_the_files(objects: tuple[Found, ...], barcodes: str) -> None:
    backup = Backup(
        media_set="weekly",
        server="filer",
        path="/vol",
        butype="dump",
        level=0,
        started_at=0,
        record_size=1000,
    )
    step = RestoreStep(backup=backup, parts=PARTS, found=objects)
    assert " ".join(part.barcode for part in needed_parts(step)) == barcodes
