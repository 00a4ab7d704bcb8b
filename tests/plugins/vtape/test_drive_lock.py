"""A drive is one process's at a time, and free when that process is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit_vtape.drive_lock import DriveLock

if TYPE_CHECKING:
    from pathlib import Path


def test_a_drive_that_is_taken_names_the_process(tmp_path: Path) -> None:
    lock = DriveLock(tmp_path, 0, "v.0")
    with pytest.raises(TapeError) as caught:
        DriveLock(tmp_path, 0, "v.0")
    assert caught.value.condition is Condition.BUSY
    assert str(caught.value) == f"drive v.0 is in use by process {os.getpid()}"
    DriveLock(tmp_path, 1, "v.1").release()
    lock.release()
    DriveLock(tmp_path, 0, "v.0").release()


def test_another_process_counts_and_its_end_frees_the_drive(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from tapekit_vtape.drive_lock import DriveLock\n"
        "lock = DriveLock(Path(sys.argv[1]), 0, 'v.0'); print('taken', flush=True)\n"
        "sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"taken\n"
        with pytest.raises(TapeError, match=f"process {other.pid}"):
            DriveLock(tmp_path, 0, "v.0")
        other.kill()
    DriveLock(tmp_path, 0, "v.0").release()


def test_a_lock_file_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "drive-0.lock").mkdir()
    with pytest.raises(TapeError, match="Is a directory") as caught:
        DriveLock(tmp_path, 0, "v.0")
    assert caught.value.condition is Condition.HARDWARE_ERROR


def test_a_full_disk_keeps_nobody_from_a_drive(tmp_path: Path) -> None:
    """A tape is read there too; only the number of the process is not told."""
    (tmp_path / "drive-0.lock").symlink_to("/dev/full")
    DriveLock(tmp_path, 0, "v.0").release()
