"""Two trees walked side by side: whether one is what the other is.

Every object is looked at by name in both, with its attributes and all of its
extended ones; contents are not read, since who copied them has checked them.
Of the first tree a fingerprint is taken on the way, with inode numbers and
change times. The one rule: what cannot be looked at is a difference or an
error, never passed over.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING, Final, NamedTuple, final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["MountedInside", "TreesDiffer", "walk_trees"]

_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class TreesDiffer(Exception):
    """The first difference between two trees."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"{path}: {what}")
        self.path: Final = path
        self.what: Final = what


class MountedInside(Exception):
    """Another file system is mounted in a tree."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path: Final = path


class _Level(NamedTuple):
    """A directory in both trees, and which directories are left in it."""

    path: bytes
    first: int
    second: int | None
    left: list[bytes]


def walk_trees(first: Path, second: Path | None, keep_going: Callable[[], None]) -> bytes:
    """Walk a tree, and another one beside it.

    :param keep_going: called for each directory; what it raises ends the walk.
    :returns: the fingerprint of the first one.
    :raises TreesDiffer: the second one has not the same objects.
    :raises MountedInside: the first one is on several file systems.
    :raises OSError: one of the two cannot be looked at.
    """
    walk = _Walk(keep_going)
    try:
        return walk.run(os.fsencode(first), None if second is None else os.fsencode(second))
    finally:
        walk.close()


@final
class _Walk:
    """One walk, depth first; holds open the directories on its way."""

    def __init__(self, keep_going: Callable[[], None]) -> None:
        self._keep_going: Final = keep_going
        self._digest: Final = hashlib.sha256()
        self._levels: Final[list[_Level]] = []
        self._device = 0

    def run(self, first: bytes, second: bytes | None) -> bytes:
        top = self._enter(b"", _open(first, None), None if second is None else (second, None))
        status = os.fstat(top.first)
        self._device = status.st_dev
        self._note(b"", status)
        if top.second is not None:
            _require_same(b"", top.first, top.second, b".")
        self._look_at(top)
        while self._levels:
            level = self._levels[-1]
            if level.left:
                self._descend(level, level.left.pop())
            else:
                self._leave()
        return self._digest.digest()

    def close(self) -> None:
        """Close what a walk that was ended has left open."""
        while self._levels:
            self._leave()

    def _descend(self, level: _Level, name: bytes) -> None:
        second = None if level.second is None else (name, level.second)
        path = level.path + name + b"/"
        self._look_at(self._enter(path, _open(name, level.first), second))

    def _enter(self, path: bytes, first: int, second: tuple[bytes, int | None] | None) -> _Level:
        """Have a directory on the way in both trees; takes the first one over."""
        try:
            other = None if second is None else _open(*second)
        except BaseException:
            os.close(first)
            raise
        level = _Level(path, first, other, [])
        self._levels.append(level)
        return level

    def _leave(self) -> None:
        level = self._levels.pop()
        for descriptor in (level.first, level.second):
            if descriptor is not None:
                os.close(descriptor)

    def _look_at(self, level: _Level) -> None:
        """Look at all that is in a directory."""
        self._keep_going()
        names = _names(level.first)
        if level.second is not None:
            _require_same_names(level.path, names, _names(level.second))
        for name in names:
            status = os.lstat(name, dir_fd=level.first)
            is_directory = stat.S_ISDIR(status.st_mode)
            if is_directory and status.st_dev != self._device:
                raise MountedInside(_readable(level.path + name))
            self._note(level.path + name, status)
            if level.second is not None:
                _require_same(level.path, level.first, level.second, name)
            if is_directory:
                level.left.append(name)

    def _note(self, path: bytes, status: os.stat_result) -> None:
        facts = (path, status.st_ino, status.st_ctime_ns, *_attributes(status))
        self._digest.update(repr(facts).encode())


def _attributes(status: os.stat_result) -> tuple[int, ...]:
    """What a copy of an object has too, besides names, content and extended
    attributes. Directories have the sizes that file systems give them.
    """
    mode = status.st_mode
    common = (mode, status.st_uid, status.st_gid, status.st_mtime_ns)
    if stat.S_ISDIR(mode):
        return common
    rdev = status.st_rdev if stat.S_ISBLK(mode) or stat.S_ISCHR(mode) else 0
    return (*common, status.st_nlink, status.st_size, rdev)


def _require_same_names(path: bytes, first: list[bytes], second: list[bytes]) -> None:
    if first != second:
        name = min(set(first) ^ set(second))
        what = "it has not arrived" if name in first else "it should not be there"
        raise TreesDiffer(_readable(path + name), what)


def _require_same(path: bytes, first: int, second: int, name: bytes) -> None:
    """:raises TreesDiffer: an object is not the same in both directories."""
    here, there = os.lstat(name, dir_fd=first), os.lstat(name, dir_fd=second)
    if _attributes(here) != _attributes(there):
        what = "type, owner, permissions, size, links or time of change are others"
        raise TreesDiffer(_readable(path + name), what)
    if stat.S_ISLNK(here.st_mode) and (
        os.readlink(name, dir_fd=first) != os.readlink(name, dir_fd=second)
    ):
        raise TreesDiffer(_readable(path + name), "the symbolic link leads elsewhere")
    if _extended(first, name) != _extended(second, name):
        raise TreesDiffer(_readable(path + name), "extended attributes are others")


def _extended(directory: int, name: bytes) -> dict[str, bytes]:
    path = b"/proc/self/fd/%d/%b" % (directory, name)
    names = os.listxattr(path, follow_symlinks=False)
    return {each: os.getxattr(path, each, follow_symlinks=False) for each in names}


def _open(name: bytes, above: int | None) -> int:
    return os.open(name, _OPEN, dir_fd=above)


def _names(directory: int) -> list[bytes]:
    return sorted(map(os.fsencode, os.listdir(directory)))


def _readable(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace") or "."
