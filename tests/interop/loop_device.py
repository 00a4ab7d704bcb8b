"""File systems of our own, for programs that read devices."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

from interop_peers import program
from running_stack import run_checked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["ext4"]


@contextlib.contextmanager
def ext4(directory: Path) -> Iterator[tuple[str, Path]]:
    """A fresh ext4 file system on a loop device: the device and where it is mounted."""
    image, mounted = directory / "ext4.img", directory / "ext4"
    with image.open("wb") as file:
        file.truncate(96 << 20)
    run_checked([program("mkfs.ext4"), "-q", "-b", "4096", "-F", image])
    mounted.mkdir()
    device = run_checked([program("losetup"), "--find", "--show", image]).strip()
    try:
        run_checked(["mount", device, mounted])
        try:
            yield device, mounted
        finally:
            subprocess.run(["umount", mounted], check=False)
    finally:
        run_checked([program("losetup"), "--detach", device])
