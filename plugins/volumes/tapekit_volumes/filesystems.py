"""The file systems of volumes, as CONFIG_GET_FS_INFO lists them.

Sizes come from the file system, its kind and device from the kernel's table
of mounts. The one rule: a volume that does not answer is listed as offline
and keeps no other from being listed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit.hookspecs.storage import FilesystemInfo
from tapekit.hookspecs.volume_images import VolumeState, VolumeType

if TYPE_CHECKING:
    from tapekit.hookspecs.volume_images import VolumeFacts
    from tapekit_volumes.table import Volume

__all__ = ["filesystem_info", "is_writable"]

_OPEN: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")


class _Mount(NamedTuple):
    """A row of the kernel's table of mounts (proc, /proc/PID/mountinfo)."""

    kind: str
    device: str


def filesystem_info(volume: Volume, facts: VolumeFacts) -> FilesystemInfo:
    """What is known of a volume now."""
    if facts.state is VolumeState.OFFLINE:
        return _offline(volume)
    try:
        directory = os.open(volume.directory, _OPEN)
    except OSError:
        return _offline(volume)
    try:
        sizes, mount = os.fstatvfs(directory), _mount_of(directory)
    finally:
        os.close(directory)
    return FilesystemInfo(
        path=volume.path,
        device=mount.device,
        kind=mount.kind,
        total_bytes=sizes.f_blocks * sizes.f_frsize,
        used_bytes=(sizes.f_blocks - sizes.f_bfree) * sizes.f_frsize,
        available_bytes=sizes.f_bavail * sizes.f_frsize,
        total_inodes=sizes.f_files,
        used_inodes=sizes.f_files - sizes.f_ffree,
        writable=facts.state is VolumeState.ONLINE
        and facts.type is VolumeType.RW
        and not volume.read_only
        and not sizes.f_flag & os.ST_RDONLY,
        status=facts.state.value,
    )


def is_writable(volume: Volume) -> bool:
    """Whether the settings and the file system allow a restore; true for a
    volume that does not answer, which says so itself when it is opened.
    """
    if volume.read_only:
        return False
    try:
        return not os.statvfs(volume.directory).f_flag & os.ST_RDONLY
    except OSError:
        return True


def _offline(volume: Volume) -> FilesystemInfo:
    return FilesystemInfo(
        path=volume.path,
        device="",
        kind="",
        total_bytes=0,
        used_bytes=0,
        available_bytes=0,
        total_inodes=0,
        used_inodes=0,
        writable=False,
        status=VolumeState.OFFLINE.value,
    )


def _mount_of(directory: int) -> _Mount:
    """The mount that an open directory is on; empty if the kernel hides it."""
    number = _mount_number(directory)
    with Path("/proc/self/mountinfo").open(encoding="utf-8", errors="surrogateescape") as rows:
        for row in rows:
            fields = row.split()
            if fields[0] == number:
                after = fields.index("-") + 1
                return _Mount(fields[after], _unescaped(fields[after + 1]))
    return _Mount("", "")


def _mount_number(directory: int) -> str | None:
    for line in Path(f"/proc/self/fdinfo/{directory}").read_text("ascii").splitlines():
        key, _, value = line.partition(":")
        if key == "mnt_id":
            return value.strip()
    return None


def _unescaped(field: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), field)
