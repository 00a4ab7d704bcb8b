"""A process that is killed loses what it was writing and nothing before it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.hookspecs.tape_driver import Condition, TapeError

if TYPE_CHECKING:
    from pathlib import Path

WRITER = """
import os, sys
from pathlib import Path
from tapekit.segments import Extent
from tapekit_vtape.driver import VtapeDriver
from tapekit_vtape.settings import VtapeSettings

directory, durability, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
driver = VtapeDriver(VtapeSettings(durability=durability))
driver.settle(directory)
drive = driver.open_drive("0")
source = os.open(directory / "source", os.O_RDONLY)
call = 0
while True:
    size = 512 << (call * seed) % 9
    count = 1 + (call * 7 + seed) % 5
    pieces = []
    for record in range(count):
        pieces.append(memoryview((b"%08d%08d" % (call, record)) * (size // 32)))
        pieces.append(Extent(source, 0, size // 2))
    drive.write_records(pieces, size)
    os.write(1, b"%d %d %d\\n" % (call, count, size))
    call += 1
    if call % 11 == 0:
        drive.write_filemarks(1)
        os.write(1, b"mark\\n")
"""


def expected_record(call: int, record: int, size: int) -> bytes:
    return b"%08d%08d" % (call, record) * (size // 32) + b"s" * (size // 2)


@pytest.mark.parametrize("durability", ["none", "filemark"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_everything_acknowledged_survives_kill(
    robot: Any, tmp_path: Path, durability: str, seed: int
) -> None:
    robot.insert_new()
    (tmp_path / "source").write_bytes(b"s" * (128 << 10))
    chosen = random.Random(seed)
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path), durability, str(seed)],
        stdout=subprocess.PIPE,
    )
    assert writer.stdout is not None
    lines = [writer.stdout.readline() for _ in range(chosen.randrange(5, 60))]
    # It is in the middle of whatever it does next, writes included.
    os.kill(writer.pid, signal.SIGKILL)
    lines += writer.stdout.readlines()
    writer.stdout.close()
    assert writer.wait() == -signal.SIGKILL

    drive = robot.open()
    assert drive.status().position == (0, 0)
    for line in lines:
        if not line.endswith(b"\n"):
            break
        if line == b"mark\n":
            with pytest.raises(TapeError) as caught:
                drive.read_record(1)
            assert caught.value.condition is Condition.FILEMARK
            assert drive.space_filemarks(1) == 1
            continue
        call, count, size = map(int, line.split())
        for record in range(count):
            assert drive.read_record(1 << 20) == expected_record(call, record, size)
    # What follows is whole too, and the tape can be written on.
    passed = drive.space_records(1000) + drive.space_filemarks(1)
    assert passed <= 6
    assert drive.write_records([memoryview(b"after the crash")], 15) == 1
    drive.close()


def test_a_library_is_found_whole_after_kill(robot: Any, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; import os\n"
        "from tapekit_vtape.driver import VtapeDriver\n"
        "from tapekit_vtape.settings import VtapeSettings\n"
        "driver = VtapeDriver(VtapeSettings(slots=500)); driver.settle(Path(sys.argv[1]))\n"
        "while True:\n"
        "    driver.library.load(0, 'T1'); os.write(1, b'+'); driver.library.unload(0)\n"
    )
    robot.insert_new()
    robot.empty()
    for wait in range(1, 8, 2):
        mover = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE
        )
        assert mover.stdout is not None
        mover.stdout.read(wait)
        os.kill(mover.pid, signal.SIGKILL)
        mover.wait()
        mover.stdout.close()
        state = robot.library.state()
        assert list(state.cartridges) == ["T1"]
        robot.empty()
