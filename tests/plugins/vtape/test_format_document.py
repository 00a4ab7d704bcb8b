"""The reader in the format's document reads what drives write."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

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
        "file 0: 3000 bytes from 0",
        "file 1: 0 bytes from 3000",
        "file 2: 115 bytes from 3000",
        "file 3: 4 bytes from 3115",
    ]
    assert reader(folder, "2") == (b"old" * 100)[:100] + b"new" * 5
    assert reader(folder, "3") == b"last"


def test_the_document_names_the_files_that_there_are(robot: Any) -> None:
    drive = robot.fresh()
    text = DOCUMENT.read_text("utf-8")
    drive.status()
    found = {path.name for path in robot.library.directory.iterdir()}
    assert found == {"library.json", "library.lock", "drive-0.lock", "cartridges"}
    assert all(name in text for name in found)
    assert {path.name for path in robot.library.folder("T1").iterdir()} == {"index", "payload"}
