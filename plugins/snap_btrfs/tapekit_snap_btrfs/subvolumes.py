"""Subvolumes of btrfs: looking at them, making snapshots, deleting.

The requests are those of linux/btrfs.h, with its structures as formats; the
kernel checks all that they hold. The one rule: a function here asks the
kernel one thing and passes on what it answers.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from typing import Final, NamedTuple

__all__ = [
    "Subvolume",
    "count_children",
    "delete_subvolume",
    "look_at",
    "make_snapshot",
]

_TOP_INODE: Final = 256
"""The inode number of the top directory of every subvolume."""
_READ_ONLY: Final = 1 << 1
_READ_ONLY_ROOT: Final = 1 << 0

_SNAP_DESTROY: Final = 0x5000940F
_SNAP_CREATE_V2: Final = 0x50009417
_GET_SUBVOL_INFO: Final = 0x81F8943C
_GET_SUBVOL_ROOTREF: Final = 0xD000943D

_VOLUME_ARGUMENTS: Final = struct.Struct("<q4088s")
_SNAPSHOT_ARGUMENTS: Final = struct.Struct("<qQQ32x4040s")
_INFO: Final = struct.Struct("<Q256sQQQQ")
"""The beginning of struct btrfs_ioctl_get_subvol_info_args: tree, name,
parent, directory, generation, flags."""
_INFO_BYTES: Final = 504
_REFERENCES_BYTES: Final = 4096
_REFERENCES_COUNT_AT: Final = 4088

_NOT_BTRFS: Final = frozenset({errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL})


class Subvolume(NamedTuple):
    """What is known of a subvolume."""

    tree: int
    """Its number, larger than those of all made before it."""
    is_read_only: bool


def look_at(directory: int) -> Subvolume | None:
    """The subvolume that an open directory is the top of; ``None`` if it is
    something else.

    :raises OSError: the kernel does not tell.
    """
    if os.fstat(directory).st_ino != _TOP_INODE:
        return None
    answer = bytearray(_INFO_BYTES)
    try:
        fcntl.ioctl(directory, _GET_SUBVOL_INFO, answer)
    except OSError as error:
        if error.errno not in _NOT_BTRFS:
            raise
        return None
    tree, _name, _parent, _directory, _generation, flags = _INFO.unpack_from(answer)
    return Subvolume(tree, bool(flags & _READ_ONLY_ROOT))


def count_children(directory: int) -> int:
    """How many subvolumes lie directly within one, up to 255.

    :raises OSError: the kernel does not tell.
    """
    answer = bytearray(_REFERENCES_BYTES)
    try:
        fcntl.ioctl(directory, _GET_SUBVOL_ROOTREF, answer)
    except OSError as error:
        # There are more than fit the answer, which is full then.
        if error.errno != errno.EOVERFLOW:
            raise
    return answer[_REFERENCES_COUNT_AT]


def make_snapshot(source: int, folder: int, name: str) -> None:
    """Make a read-only snapshot of a subvolume.

    :param source: the subvolume's open top.
    :param folder: an open directory of the same file system.
    :raises OSError: ``EXDEV`` or ``ENOTTY`` for a folder elsewhere,
        ``EEXIST``, or what else the kernel says.
    """
    arguments = _SNAPSHOT_ARGUMENTS.pack(source, 0, _READ_ONLY, os.fsencode(name))
    fcntl.ioctl(folder, _SNAP_CREATE_V2, bytearray(arguments))


def delete_subvolume(folder: int, name: str) -> None:
    """Delete a subvolume by its name in an open directory.

    :raises OSError: ``ENOENT``, ``ENOTDIR`` or ``EINVAL`` if there is none;
        ``EPERM`` if only root may.
    """
    fcntl.ioctl(folder, _SNAP_DESTROY, bytearray(_VOLUME_ARGUMENTS.pack(0, os.fsencode(name))))
