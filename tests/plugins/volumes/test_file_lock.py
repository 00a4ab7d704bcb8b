from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tapekit_volumes.file_lock import FileLock, lock_path

if TYPE_CHECKING:
    from pathlib import Path

HOLDING = """
import sys
from pathlib import Path
from tapekit_volumes.file_lock import FileLock
print(FileLock.attempt(Path(sys.argv[1])) is not None, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def held(lock: FileLock | None) -> FileLock:
    assert lock is not None
    return lock


def test_one_holder_at_a_time(path: Path) -> None:
    lock = held(FileLock.attempt(path))
    assert FileLock.attempt(path) is None
    assert FileLock.attempt(path, shared=True) is None
    lock.release()
    held(FileLock.attempt(path)).release()


def test_readers_share_and_keep_others_out(path: Path) -> None:
    readers = [held(FileLock.attempt(path, shared=True)) for _ in range(3)]
    assert FileLock.attempt(path) is None
    for reader in readers:
        reader.release()
    held(FileLock.attempt(path)).release()


def test_release_alone_removes_the_file_and_can_be_repeated(path: Path) -> None:
    lock = held(FileLock.attempt(path))
    lock.release()
    lock.release()
    assert not path.exists()


def test_a_lock_holds_between_processes_and_ends_with_its_holder(path: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDING, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"True\n"
        assert FileLock.attempt(path) is None
        other.kill()
        other.wait()
        held(FileLock.attempt(path)).release()


def test_no_two_threads_ever_hold_it_together(path: Path) -> None:
    inside = threading.Lock()

    def enter() -> int:
        times = 0
        for _ in range(300):
            lock = FileLock.attempt(path)
            if lock is not None:
                assert inside.acquire(blocking=False)
                assert path.exists()
                inside.release()
                lock.release()
                times += 1
        return times

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda _: enter(), range(4))) > 0


def test_a_folder_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileLock.attempt(lock_path(tmp_path, "name"))
