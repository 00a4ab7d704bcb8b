"""The roots of backups: directories of a volume, reached by descriptors.

A volume's directory is opened only as long as it is the one that the stack
found there, and a path leads neither into another volume that is mounted in
it nor past a symbolic link. The one rule: who opens closes, whatever fails.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit_volumes.descent import open_below, shown
from tapekit_volumes.errors import CATALOGUE
from tapekit_volumes.volume_lock import unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tapekit_volumes.paths import VolumePath
    from tapekit_volumes.table import Volume

__all__ = [
    "TOP",
    "Root",
    "is_special",
    "junctions_below",
    "open_live",
    "open_root",
    "open_top",
    "require_no_junction",
]

TOP: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How the top of a volume or of a copy is opened."""


def open_top(volume: Volume) -> int:
    """Open a volume's directory; the caller closes it.

    :raises TapekitError: it is not there, or no longer what was mounted there.
    """
    try:
        top = os.open(volume.directory, TOP)
    except OSError as error:
        raise unreachable(volume.path, error) from error
    if volume.is_mount_point and not volume.directory.is_mount():
        # What would be read is the empty directory below the mount.
        os.close(top)
        raise CATALOGUE.error("volume-in-transitional-state", volume=volume.path)
    return top


def require_no_junction(volume: Volume, asked: VolumePath) -> None:
    """Refuse what leads into a volume that is mounted in this one.

    :raises TapekitError: it does.
    """
    for depth in range(1, len(asked.parts) + 1):
        mounted = volume.junctions.get(asked.parts[:depth])
        if mounted is not None:
            raise CATALOGUE.error(
                "path-through-junction",
                path=shown(asked.volume, asked.parts),
                junction=shown(asked.volume, asked.parts[:depth]),
                volume=mounted,
            )


def junctions_below(volume: Volume, asked: VolumePath) -> Mapping[bytes, bytes]:
    """Where other volumes are mounted below a path of a volume."""
    depth = len(asked.parts)
    return {
        b"/".join(parts[depth:]): os.fsencode(target)
        for parts, target in volume.junctions.items()
        if parts[:depth] == asked.parts and len(parts) > depth
    }


class Root(NamedTuple):
    """The root of a backup."""

    descriptor: int
    path: VolumePath
    only: bytes | None
    """The one name in it that was asked for; ``None`` for all."""


def open_live(volume: Volume, asked: VolumePath, *, may_be_file: bool = False) -> Root:
    """Open what a path leads to in a volume; the caller closes it.

    :raises TapekitError: it leads to no directory of this volume.
    """
    require_no_junction(volume, asked)
    top = open_top(volume)
    try:
        return open_root(top, asked, may_be_file=may_be_file)
    finally:
        os.close(top)


def open_root(top: int, asked: VolumePath, *, may_be_file: bool) -> Root:
    """Open the directory that a path leads to, or that its regular file is in.

    :raises TapekitError: there is neither.
    """
    if may_be_file and asked.parts:
        above = asked._replace(parts=asked.parts[:-1])
        directory = open_below(top, above.parts, asked.volume)
        if _type_of(asked.parts[-1], directory) == stat.S_IFREG:
            return Root(directory, above, asked.parts[-1])
        os.close(directory)
    return Root(open_below(top, asked.parts, asked.volume), asked, None)


def is_special(volume: Volume, asked: VolumePath) -> bool:
    """Whether a path leads to something that is not a directory.

    :raises TapekitError: one of the directories on the way is none.
    """
    above = open_live(volume, asked._replace(parts=asked.parts[:-1])).descriptor
    try:
        return _type_of(asked.parts[-1], above) not in (0, stat.S_IFDIR)
    finally:
        os.close(above)


def _type_of(name: bytes, directory: int) -> int:
    """The type of what has a name in a directory; 0 if that cannot be told."""
    try:
        return stat.S_IFMT(os.lstat(name, dir_fd=directory).st_mode)
    except OSError:
        # Who opens it as a directory says what is wrong with it.
        return 0
