"""Compares two trees in everything that a backup has to bring back.

Both trees are walked side by side by descriptors, so odd names and deep
directories do not matter; content is compared in pieces and only where
there is data. The one rule: a difference is reported with its path and both
values, and the walk goes on, so that one run tells the whole damage.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import os
import stat
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from tapekit_trees.objects import ACCESS_ACL, BLOCK, DEFAULT_ACL

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

__all__ = ["Aspect", "Difference", "compare_trees", "data_ranges"]

_PIECE: Final = 1 << 20
_MICROSECOND: Final = 1000


class Aspect(enum.Enum):
    """What two trees can differ in."""

    MISSING = "missing from the second tree"
    EXTRA = "only in the second tree"
    TYPE = "type"
    CONTENT = "content"
    MODE = "mode"
    OWNER = "owner and group"
    MTIME = "modification time in ns"
    ATIME = "access time in ns"
    TARGET = "target of the link"
    LINKS = "names of the same object"
    HOLES = "hole at offset and length"
    DEVICE = "device number"
    ATTRIBUTE = "extended attribute"
    ACL = "access control list"


@dataclass(frozen=True)
class Difference:
    """One difference: where, in what, and both values as text."""

    path: str
    """Relative to the roots, ``.`` for the roots themselves; bytes that are
    not UTF-8 as escapes."""
    aspect: Aspect
    first: str = ""
    second: str = ""

    def __str__(self) -> str:
        if not self.first and not self.second:
            return f"{self.path}: {self.aspect.value}"
        return f"{self.path}: {self.aspect.value}: {self.first} became {self.second}"


def compare_trees(
    first: Path,
    second: Path,
    *,
    ignore: Collection[Aspect] = (Aspect.ATIME,),
    mtime_granularity_ns: int = _MICROSECOND,
    hole_granularity: int = BLOCK,
) -> list[Difference]:
    """Everything in which ``second`` differs from ``first``.

    :param ignore: aspects that may differ; access times unless told otherwise.
    :param mtime_granularity_ns: times are compared after rounding down to this.
    :param hole_granularity: each whole aligned piece of this many bytes that
        is a hole in the first tree must be one in the second.
    """
    comparison = _Comparison(mtime_granularity_ns, hole_granularity)
    tops = [os.open(root, os.O_RDONLY | os.O_DIRECTORY) for root in (first, second)]
    try:
        comparison.objects(b".", b".", tops[0], tops[1])
    finally:
        for top in tops:
            os.close(top)
    comparison.links()
    return [found for found in comparison.found if found.aspect not in ignore]


@final
class _Comparison:
    """One walk over two trees."""

    def __init__(self, mtime_granularity_ns: int, hole_granularity: int) -> None:
        self.found: Final[list[Difference]] = []
        self._time_step: Final = mtime_granularity_ns
        self._hole_step: Final = hole_granularity
        self._names: Final = (_NamesByObject(), _NamesByObject())
        self._compared: Final[set[tuple[int, int, int, int]]] = set()

    def objects(self, path: bytes, name: bytes, first: int, second: int) -> None:
        """Compare the objects of one name in two open directories."""
        one = os.stat(name, dir_fd=first, follow_symlinks=False)
        two = os.stat(name, dir_fd=second, follow_symlinks=False)
        if stat.S_IFMT(one.st_mode) != stat.S_IFMT(two.st_mode):
            self._differ(path, Aspect.TYPE, stat.filemode(one.st_mode), stat.filemode(two.st_mode))
            return
        if not stat.S_ISDIR(one.st_mode) and self._met(path, one, two):
            return
        self._status(path, one, two)
        self._attributes(path, _attributes(first, name), _attributes(second, name))
        if stat.S_ISDIR(one.st_mode):
            with _opened(name, first) as one_fd, _opened(name, second) as two_fd:
                self._entries(path, one_fd, two_fd)
            return
        if stat.S_ISREG(one.st_mode):
            with _opened(name, first) as one_fd, _opened(name, second) as two_fd:
                self._files(path, one_fd, two_fd)
        elif stat.S_ISLNK(one.st_mode):
            targets = [os.readlink(name, dir_fd=top) for top in (first, second)]
            self._differ(path, Aspect.TARGET, targets[0], targets[1])
        else:
            self._differ(path, Aspect.DEVICE, one.st_rdev, two.st_rdev)

    def links(self) -> None:
        """Compare which names share an object; after the walk."""
        first, second = self._names
        for path in sorted(first.shared() | second.shared()):
            self._differ(path, Aspect.LINKS, first.partners(path), second.partners(path))

    def _met(self, path: bytes, one: os.stat_result, two: os.stat_result) -> bool:
        """Note two names, and tell whether their objects have been compared:
        each pair is read and reported once, however many names it has.
        """
        self._names[0].add(path, one)
        self._names[1].add(path, two)
        pair = (one.st_dev, one.st_ino, two.st_dev, two.st_ino)
        met = pair in self._compared
        if one.st_nlink > 1 and two.st_nlink > 1:
            self._compared.add(pair)
        return met

    def _entries(self, path: bytes, first: int, second: int) -> None:
        names = {os.fsencode(name) for name in os.listdir(first)}
        others = {os.fsencode(name) for name in os.listdir(second)}
        for name in sorted(names | others):
            inner = name if path == b"." else path + b"/" + name
            if name not in others:
                self._tell(inner, Aspect.MISSING)
            elif name not in names:
                self._tell(inner, Aspect.EXTRA)
            else:
                self.objects(inner, name, first, second)

    def _status(self, path: bytes, one: os.stat_result, two: os.stat_result) -> None:
        modes = [oct(stat.S_IMODE(status.st_mode)) for status in (one, two)]
        self._differ(path, Aspect.MODE, modes[0], modes[1])
        owners = [(status.st_uid, status.st_gid) for status in (one, two)]
        self._differ(path, Aspect.OWNER, owners[0], owners[1])
        step = self._time_step
        if one.st_mtime_ns // step != two.st_mtime_ns // step:
            self._differ(path, Aspect.MTIME, one.st_mtime_ns, two.st_mtime_ns)
        if one.st_atime_ns // step != two.st_atime_ns // step:
            self._differ(path, Aspect.ATIME, one.st_atime_ns, two.st_atime_ns)

    def _attributes(self, path: bytes, one: dict[str, bytes], two: dict[str, bytes]) -> None:
        for name in sorted(one.keys() | two.keys()):
            values = [held[name].hex() if name in held else "absent" for held in (one, two)]
            if values[0] != values[1]:
                aspect = Aspect.ACL if name in {ACCESS_ACL, DEFAULT_ACL} else Aspect.ATTRIBUTE
                self._differ(path, aspect, f"{name}={values[0]}", f"{name}={values[1]}")

    def _files(self, path: bytes, one: int, two: int) -> None:
        sizes = [os.fstat(fd).st_size for fd in (one, two)]
        if sizes[0] != sizes[1]:
            self._differ(path, Aspect.CONTENT, f"{sizes[0]} bytes", f"{sizes[1]} bytes")
            return
        place = _first_unequal(one, two)
        if place is not None:
            values = [os.pread(fd, 16, place).hex() for fd in (one, two)]
            at = f" at byte {place}"
            self._differ(path, Aspect.CONTENT, values[0] + at, values[1] + at)
        hole = _filled_hole(one, two, self._hole_step)
        if hole is not None:
            self._differ(path, Aspect.HOLES, f"{hole[0]}+{hole[1]}", "data")

    def _differ(self, path: bytes, aspect: Aspect, first: object, second: object) -> None:
        if first != second:
            self._tell(path, aspect, _readable(first), _readable(second))

    def _tell(self, path: bytes, aspect: Aspect, first: str = "", second: str = "") -> None:
        self.found.append(Difference(_readable(path), aspect, first, second))


@final
class _NamesByObject:
    """Which paths of one tree are names of the same object."""

    def __init__(self) -> None:
        self._objects: Final[dict[tuple[int, int], list[bytes]]] = defaultdict(list)
        self._of_path: Final[dict[bytes, list[bytes]]] = {}

    def add(self, path: bytes, status: os.stat_result) -> None:
        """Note a path; objects with a single name need none."""
        if status.st_nlink > 1:
            paths = self._objects[status.st_dev, status.st_ino]
            paths.append(path)
            self._of_path[path] = paths

    def shared(self) -> set[bytes]:
        """The paths that share their object with another one."""
        return {path for path, paths in self._of_path.items() if len(paths) > 1}

    def partners(self, path: bytes) -> str:
        """All names of the object, in order; the path alone if it has no other."""
        paths = self._of_path.get(path, [path])
        return ", ".join(_readable(partner) for partner in sorted(paths))


@contextlib.contextmanager
def _opened(name: bytes, directory: int) -> Iterator[int]:
    flags = os.O_RDONLY | os.O_NOFOLLOW
    try:
        fd = os.open(name, flags | os.O_NOATIME, dir_fd=directory)
    except PermissionError:
        # Only an object's owner and root may read it without a trace.
        fd = os.open(name, flags, dir_fd=directory)
    try:
        yield fd
    finally:
        os.close(fd)


def _attributes(directory: int, name: bytes) -> dict[str, bytes]:
    path = f"/proc/self/fd/{directory}/".encode() + name
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return {}
    return {each: os.getxattr(path, each, follow_symlinks=False) for each in names}


def data_ranges(fd: int) -> Iterator[tuple[int, int]]:
    """The parts of a file that are not holes, as ``(start, stop)``."""
    stop = 0
    while True:
        try:
            start = os.lseek(fd, stop, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return
        stop = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, stop


def _hole_ranges(fd: int) -> Iterator[tuple[int, int]]:
    last = 0
    for start, stop in data_ranges(fd):
        if start > last:
            yield last, start
        last = stop
    size = os.fstat(fd).st_size
    if size > last:
        yield last, size


def _first_unequal(one: int, two: int) -> int | None:
    """Offset of the first byte that differs; holes are zeros."""
    places = [
        _first_unequal_in(one, two, start, stop)
        for fd in (one, two)
        for start, stop in data_ranges(fd)
    ]
    return min((place for place in places if place is not None), default=None)


def _first_unequal_in(one: int, two: int, start: int, stop: int) -> int | None:
    for offset in range(start, stop, _PIECE):
        length = min(_PIECE, stop - offset)
        left, right = os.pread(one, length, offset), os.pread(two, length, offset)
        if left != right:
            pairs = enumerate(zip(left, right, strict=False))
            return offset + next((n for n, (a, b) in pairs if a != b), min(len(left), len(right)))
    return None


def _filled_hole(one: int, two: int, step: int) -> tuple[int, int] | None:
    """The first hole of ``one``, cut to whole pieces, that has data in ``two``."""
    size = os.fstat(one).st_size
    for begin, end in _hole_ranges(one):
        start = -(-begin // step) * step
        stop = end if end == size else end // step * step
        if start < stop and _next_data(two, start) < stop:
            return start, stop - start
    return None


def _next_data(fd: int, start: int) -> int:
    """Where data begins at or after ``start``; the file's end if there is none."""
    try:
        return os.lseek(fd, start, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return os.fstat(fd).st_size


def _readable(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace").replace("\n", "\\n")
    return str(value)
