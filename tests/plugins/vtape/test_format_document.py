"""The reader in the format's document reads what drives write."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tapekit_vtape.zstd import find_zstd

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENT = Path(__file__).parents[3] / "docs" / "formats" / "vtape.md"


@pytest.fixture
def reader(tmp_path: Path) -> Callable[..., bytes]:
    (program,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    script = tmp_path / "reader.py"
    script.write_text(program, "utf-8")

    def run(folder: Path, *arguments: str) -> bytes:
        return subprocess.run(
            [sys.executable, str(script), str(folder), *arguments],
            check=True,
            capture_output=True,
        ).stdout

    return run


def test_an_overwritten_tape_with_a_torn_end_is_read(
    robot: Any, reader: Callable[..., bytes]
) -> None:
    drive = robot.fresh()
    drive.write_records([memoryview(b"a" * 3000)], 1000)
    drive.write_filemarks(2)
    drive.write_records([memoryview(b"old" * 100)], 100)
    drive.space_records(-2)
    drive.write_records([memoryview(b"new" * 5)], 3)
    drive.write_filemarks(1)
    drive.write_records([memoryview(b"last")], 2)
    drive.close()
    folder = robot.library.folder("T1")
    with (folder / "index").open("ab") as index:
        index.write(b"torn")
    assert reader(folder).decode().splitlines() == [
        "file 0: 3000 bytes in 3 records",
        "file 1: 0 bytes in 0 records",
        "file 2: 115 bytes in 6 records",
        "file 3: 4 bytes in 2 records",
    ]
    assert reader(folder, "2") == (b"old" * 100)[:100] + b"new" * 5
    assert reader(folder, "3") == b"last"


@pytest.mark.skipif(
    find_zstd() is None or shutil.which("zstd") is None, reason="this host has no zstd"
)
def test_compressed_records_are_read(
    robot_in: Any, tmp_path: Path, reader: Callable[..., bytes]
) -> None:
    robot = robot_in(tmp_path, compression="zstd")
    drive = robot.fresh()
    data = b"words and more words " * 5000
    drive.write_records([memoryview(data)], 1000)
    drive.write_filemarks(1)
    drive.write_records([memoryview(data[:5000])], 1000)
    drive.space_records(-3)
    drive.write_records([memoryview(b"plain")], 1)
    drive.close()
    folder = robot.library.folder("T1")
    assert reader(folder).decode().splitlines() == [
        "file 0: 105000 bytes in 105 records",
        "file 1: 2005 bytes in 7 records",
    ]
    assert reader(folder, "0") == data
    assert reader(folder, "1") == data[:2000] + b"plain"


def test_reservations_are_as_the_document_says(robot: Any) -> None:
    (example,) = re.findall(
        r"## reservations.json\n+```json\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL
    )
    (robot.library.directory / "reservations.json").write_text(example)
    held = robot.library.reservations.state("drive-0")
    assert held.holds("host-a:/srv/tapekit")
    assert robot.library.reservations.state("drive-1").simple == "host-b:/srv/tapekit"


def test_the_document_names_the_files_that_there_are(robot: Any) -> None:
    drive = robot.fresh()
    text = DOCUMENT.read_text("utf-8")
    drive.status()
    found = {path.name for path in robot.library.directory.iterdir()}
    assert found == {"library.json", "library.lock", "drive-0.lock", "cartridges"}
    assert all(name in text for name in found)
    assert {path.name for path in robot.library.folder("T1").iterdir()} == {"index", "payload"}
