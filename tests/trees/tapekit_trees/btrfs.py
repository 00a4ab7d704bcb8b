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
def mounted_btrfs(folder: Path) -> Iterator[Path]:
    """Mount a new file system of 400 MiB below an empty folder."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    image, place = folder / "image", folder / "place"
    with image.open("wb") as file:
        file.truncate(400 << 20)
    place.mkdir()
    try:
        _run("mkfs.btrfs", "-q", image)
        _run("mount", "-o", "loop", image, place)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no btrfs here: {error}")
    try:
        yield place
    finally:
        _run("umount", place)


def make_subvolume(path: Path) -> Path:
    _run("btrfs", "-q", "subvolume", "create", path)
    return path


def delete_subvolume(path: Path) -> None:
    _run("btrfs", "-q", "subvolume", "delete", path)


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)
