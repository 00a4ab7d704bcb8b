"""A btrfs file system in a file, mounted for a while, for tests.

Only root can mount, and not every machine has the programs: then the test is
skipped with the reason. The rule: the mount is gone when the test is.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["delete_subvolume", "make_subvolume", "mounted_btrfs"]


@contextlib.contextmanager
def mounted_btrfs(folder: Path, members: int = 1) -> Iterator[Path]:
    """Mount a new file system below an empty folder.

    :param members: how many disks of 400 MiB each file is spread over.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    place = folder / "place"
    place.mkdir()
    with contextlib.ExitStack() as undo:
        try:
            disks = [undo.enter_context(_disk(folder / f"image{each}")) for each in range(members)]
            _run("mkfs.btrfs", "-q", "-d", "raid0" if members > 1 else "single", *disks)
            _run("mount", "-o", ",".join(f"device={disk}" for disk in disks), disks[0], place)
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no btrfs here: {error}")
        undo.callback(_run, "umount", place)
        yield place


@contextlib.contextmanager
def _disk(image: Path) -> Iterator[str]:
    """A disk in a file, as long as it is used."""
    with image.open("wb") as file:
        file.truncate(400 << 20)
    disk = _run("losetup", "--find", "--show", image).strip()
    try:
        yield disk
    finally:
        _run("losetup", "--detach", disk)


def make_subvolume(path: Path) -> Path:
    _run("btrfs", "-q", "subvolume", "create", path)
    return path


def delete_subvolume(path: Path) -> None:
    _run("btrfs", "-q", "subvolume", "delete", path)


def _run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
