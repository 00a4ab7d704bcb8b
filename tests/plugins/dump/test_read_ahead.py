from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from tapekit_dump.file_fetching import NOTHING_FETCHED
from tapekit_dump.plan import Step, StepKind
from tapekit_dump.read_ahead import Reach, ReadAhead

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tapekit_dump.file_fetching import Fetched

FILES = 100
THREADS = 3


class Disk:
    """Counts the reads of the thread that made it, as if they reached a disk.

    What the others report depends on when they run, which is no test's choice.
    """

    def __init__(self, reads: int) -> None:
        self.reads = reads
        self.count = 0
        self._reader = threading.get_ident()

    def __call__(self) -> int:
        if threading.get_ident() != self._reader:
            return 0
        self.count += self.reads
        return self.count


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - no path is wanted


@contextmanager
def opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


def tree(root: Path, directories: int = 6) -> list[Step]:
    """Directories in each other and beside each other, and their plan."""
    steps = [Step(StepKind.DIRECTORY, 2, 0, [b""])]
    number = 3
    for index in range(directories):
        depth = 1 + index % 3
        name = f"directory{index}"
        above = root.joinpath(*(f"directory{index - back}" for back in range(depth - 1, 0, -1)))
        (above / name).mkdir()
        steps.append(Step(StepKind.DIRECTORY, number, depth, [name.encode()]))
        names = [f"file{n}".encode() for n in range(FILES)]
        for file in names:
            (above / name / file.decode()).write_bytes(b"x" * 100)
        steps.append(Step(StepKind.REGULAR, number + 1, 0, names))
        steps.append(Step(StepKind.SYMLINK, number + 1 + FILES, 0, [b"link"]))
        number += FILES + 2
    return steps


@pytest.mark.parametrize("reads", [0, 1000])
@pytest.mark.parametrize("threads", [0, THREADS])
def test_steps_are_those_of_the_plan_in_order(tmp_path: Path, reads: int, threads: int) -> None:
    plan = tree(tmp_path)
    before = descriptors()
    with opened(tmp_path) as root, closing(ReadAhead(root, threads, Disk(reads))) as ahead:
        assert list(ahead.steps(iter(plan))) == plan
        assert ahead.is_reading is (reads > 0 and threads > 0)
    assert descriptors() == before


def test_threads_rest_once_everything_comes_from_memory(tmp_path: Path) -> None:
    plan = tree(tmp_path, directories=12)
    disk = Disk(1000)
    seen = []
    with opened(tmp_path) as root, closing(ReadAhead(root, THREADS, disk)) as ahead:
        for number, step in enumerate(ahead.steps(iter(plan))):
            assert step == plan[number]
            if number == len(plan) // 2:
                disk.reads = 0
            seen.append(ahead.is_reading)
    assert True in seen
    assert seen[-1] is False


@pytest.mark.parametrize("lost", [0, 1000])
def test_threads_stay_nearer_while_the_cache_loses_what_they_bring(lost: int) -> None:
    reach = Reach(256)
    seen = [reach.files]
    while 0 < seen[-1] < 2048 and len(seen) < 20:
        # All of the contents was read ahead, and this much of it again.
        reach.judge(own=lost, ahead=1000, length=1000)
        seen.append(reach.files)
    assert seen == (
        [256, 128, 64, 32, 0]
        if lost
        else [256, 320, 400, 500, 625, 781, 976, 1220, 1525, 1906, 2048]
    )


def test_threads_go_no_further_again_where_the_cache_was_too_small() -> None:
    reach = Reach(400)
    reach.judge(own=300, ahead=1000, length=1000)
    reach.judge(own=0, ahead=1000, length=1000)
    assert reach.files == 200


def test_what_only_the_backup_reads_of_long_files_is_not_read_twice() -> None:
    reach = Reach(256)
    reach.judge(own=9000, ahead=1000, length=10_000)
    assert reach.files == 320
    # Nothing was read ahead, so nothing can have been lost.
    reach.judge(own=9000, ahead=0, length=1000)
    assert reach.files == 320


def test_long_steps_come_in_pieces_while_threads_read(tmp_path: Path) -> None:
    plan = tree(tmp_path)
    with opened(tmp_path) as root:
        ahead = ReadAhead(root, THREADS, Disk(1000), Reach(64))
        with closing(ahead):
            given = list(ahead.steps(iter(plan)))
    files = [step for step in given if step.kind is StepKind.REGULAR]
    assert [len(step.names) for step in files] == [FILES] + 5 * [32, 32, 32, 4]
    whole = [step for step in plan if step.kind is StepKind.REGULAR]
    assert named(files) == named(whole)
    assert [step for step in given if step not in files] == [
        step for step in plan if step not in whole
    ]


def named(steps: list[Step]) -> list[tuple[int, bytes]]:
    return [(step.first + at, name) for step in steps for at, name in enumerate(step.names)]


def test_what_is_gone_or_outside_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    plan = tree(tmp_path / "top")
    (tmp_path / "outside").mkdir()
    (tmp_path / "top" / "directory3" / "file5").unlink()
    os.mkfifo(tmp_path / "top" / "directory3" / "file5")
    (tmp_path / "top" / "directory0").rename(tmp_path / "elsewhere")
    (tmp_path / "top" / "directory0").symlink_to(tmp_path / "outside")
    with opened(tmp_path / "top") as root, closing(ReadAhead(root, THREADS, Disk(1000))) as ahead:
        assert list(ahead.steps(iter(plan))) == plan


def test_an_end_in_the_middle_waits_for_nobody(tmp_path: Path) -> None:
    plan = tree(tmp_path)
    before = descriptors()
    with opened(tmp_path) as root:
        ahead = ReadAhead(root, THREADS, Disk(1000))
        steps = ahead.steps(iter(plan))
        for _ in range(5):
            next(steps)
        ahead.close()
        ahead.close()
    assert descriptors() == before


DEPTH = 60

DEEP = f"""
import os, resource, sys, time
from tapekit_dump.plan import Step, StepKind
from tapekit_dump.read_ahead import ReadAhead
top = os.open(sys.argv[1], os.O_RDONLY)
steps = [Step(StepKind.DIRECTORY, 2, 0, [b""])]
for depth in range({DEPTH}):
    steps.append(Step(StepKind.DIRECTORY, 3, depth + 1, [b"d"]))
    steps.append(Step(StepKind.REGULAR, 4, 0, [b"file"] * 64))
"""

FEW_DESCRIPTORS = """
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
ahead = ReadAhead(top, 8, iter(range(0, 10**9, 1000)).__next__)
for step in ahead.steps(iter(steps)):
    end = time.monotonic() + 0.002
    while time.monotonic() < end:
        os.close(os.dup(top))
ahead.close()
"""

NO_THREADS = """
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGESIZE") + (4 << 20),) * 2)
ahead = ReadAhead(top, 8, iter(range(0, 10**9, 1000)).__next__)
assert list(ahead.steps(iter(steps))) == steps
assert not ahead.is_reading
ahead.close()
"""


@pytest.mark.parametrize("course", [FEW_DESCRIPTORS, NO_THREADS])
def test_the_backup_keeps_the_descriptors_and_needs_no_threads(tmp_path: Path, course: str) -> None:
    directory = tmp_path
    for _ in range(DEPTH):
        directory /= "d"
        directory.mkdir()
        (directory / "file").touch()
    done = subprocess.run(
        [sys.executable, "-c", DEEP + course, tmp_path], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(("reads", "is_reading"), [(99, False), (100, True)])
def test_who_leaves_the_interpreter_to_others_is_worth_it_sooner(
    tmp_path: Path, reads: int, is_reading: bool
) -> None:
    plan = tree(tmp_path)
    fetched = []

    def fetch(_directory: int, names: Sequence[bytes]) -> Fetched:
        fetched.extend(names)
        return NOTHING_FETCHED

    with opened(tmp_path) as root:
        for faster in (fetch, None):
            ahead = ReadAhead(root, THREADS, Disk(reads), fetch=faster)
            with closing(ahead):
                assert list(ahead.steps(iter(plan))) == plan
                assert ahead.is_reading is (is_reading and faster is not None)
    assert bool(fetched) is is_reading
