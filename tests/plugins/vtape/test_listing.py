"""Listings tell where each cartridge is and what is on it, or why not."""

from __future__ import annotations

import io
from typing import Any

from tapekit.console import Printer
from tapekit_vtape.listing import (
    COLUMNS,
    NUMBERS,
    CartridgeListing,
    FileListing,
    cells,
    listings,
)


def fill(robot: Any) -> None:
    drive = robot.fresh(capacity=1_000_000, early_warning=1000)
    drive.write_records([memoryview(bytes(5000))], 1000)
    drive.write_filemarks(1)
    drive.write_records([memoryview(bytes(10))], 10)
    drive.unload()
    drive.close()
    robot.library.create_cartridge("X1")
    robot.protect("X1")
    robot.library.create_cartridge("X2")
    robot.library.move("X2", None)
    robot.library.create_cartridge("X3")
    (robot.library.folder("X3") / "index").write_bytes(b"")


def test_rows_for_programs(robot: Any) -> None:
    fill(robot)
    rows = listings(robot.library.rows())
    assert rows[0] == CartridgeListing(
        barcode="T1",
        slot=0,
        drive=0,
        is_ejected=True,
        capacity_bytes=1_000_000,
        used_bytes=5010 + 1024,
        is_worm=False,
        generation=None,
        is_write_protected=False,
        files=[FileListing(0, 5, 5000), FileListing(1, 1, 10)],
        problem=None,
    )
    assert [(row.barcode, row.slot, row.is_write_protected) for row in rows[1:]] == [
        ("X1", 1, True),
        ("X3", 2, None),
        ("X2", None, False),
    ]
    problem = rows[2].problem
    assert problem is not None
    assert "not an index that can be read" in problem


def test_a_table_for_people(robot: Any) -> None:
    fill(robot)
    printed = io.StringIO()
    Printer(printed).say_table(COLUMNS, cells(robot.library.rows()), right=NUMBERS)
    assert [line.split() for line in printed.getvalue().splitlines()[:4]] == [
        ["cartridge", "place", "used", "capacity", "state", "file", "records", "bytes"],
        ["T1", "drive", "0", "(ejected)", "6034", "1000000", "writable", "0", "5", "5000"],
        ["1", "1", "10"],
        ["X1", "slot", "1", "0", "10737418240", "write", "protected"],
    ]
    unreadable, shelved = printed.getvalue().splitlines()[4:]
    assert "not an index that can be read" in unreadable
    assert shelved.split()[:2] == ["X2", "shelf"]
