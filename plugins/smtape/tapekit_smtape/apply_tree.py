"""The objects of a volume that an image is restored to, by their numbers at
the source.

New objects are made in their place, names are entered and taken away, and
what loses its last name goes to a folder in the volume, from which another
name may take it; what is still there when a Snapshot copy is complete is
removed. So each step says how something shall be, and may be done twice. The
one rule: every step is taken from the descriptor of a directory of the
volume, by a single name, and follows no link.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit_smtape.apply_map import MapDamaged, Name, signed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tapekit.hookspecs.storage import KeepGoing
    from tapekit_smtape.apply_map import ObjectMap

__all__ = ["NewObject", "NoSuchObject", "VolumeTree"]

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_DIRECTORIES: Final = 256
_OPEN_FILES: Final = 64
_PRIVATE: Final = 0o600

_ABOVE: Final = -1
_HOLD: Final = 0
"""Numbers that no object has: what is above the root, and the folder of
objects without a name."""
_HOLD_NAME: Final = b".tapekit-smtape-"


class NoSuchObject(Exception):
    """The image speaks of an object that the volume does not have."""


class NewObject(NamedTuple):
    """An object to be made."""

    number: int
    mode: int
    """Type and permissions as in ``st_mode``."""
    device: int = 0
    """What a device node stands for, as in ``st_rdev``."""
    target: bytes = b""
    """Of a symbolic link."""


@final
class VolumeTree:
    """The tree of one volume; for one thread.

    :param token: a name part that no object of an image has.
    """

    def __init__(self, root: Path, objects: ObjectMap, token: str, keep_going: KeepGoing) -> None:
        self._root: Final = os.open(root, _DIRECTORY)
        self._objects: Final = objects
        self._keep_going: Final = keep_going
        self._hold_name: Final = _HOLD_NAME + token.encode()
        self._junk = 0
        self._directories: Final[OrderedDict[int, int]] = OrderedDict()
        self._files: Final[OrderedDict[int, int]] = OrderedDict()
        self._root_number = objects.at(Name(_ABOVE, b""))

    @property
    def root_number(self) -> int | None:
        """What the volume's directory is at the source."""
        return self._root_number

    def flush(self) -> None:
        """Have the file system write everything to its disk; blocking.

        :raises OSError: it could not.
        """
        if ctypes.CDLL(None, use_errno=True).syncfs(self._root):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def close(self) -> None:
        """Close what is open; later calls do nothing."""
        self._close_all()
        with contextlib.suppress(OSError):
            os.close(self._root)

    def _close_all(self) -> None:
        for kept in (self._directories, self._files):
            while kept:
                os.close(kept.popitem()[1])

    # Beginning and end of a Snapshot copy.

    def empty(self, root_number: int) -> None:
        """Remove everything, and let the directory be the source's root."""
        self._root_number = root_number
        self._objects.add_object(root_number, signed(os.fstat(self._root).st_ino))
        self._objects.add_name(Name(_ABOVE, b""), root_number)
        self._make_hold()
        hold = self.directory(_HOLD)
        for name in _names(self._root):
            if name != self._hold_name:
                self._junk_below(self._root, name, hold)
        self._purge(hold)

    def begin(self) -> None:
        """Make ready for the changes of a Snapshot copy."""
        self._make_hold()

    def drop_nameless(self) -> None:
        """Forget the objects that have no name, and what only they lead to,
        which :meth:`end` removes.
        """
        going = list(self._objects.entries(_HOLD).values())
        while going:
            number = going.pop()
            for name, below in self._objects.entries(number).items():
                self._objects.remove_name(Name(number, name))
                if self._objects.name_of(below) is None:
                    going.append(below)
            self._forget_open(number)
            self._objects.remove_object(number)

    def end(self) -> None:
        """Remove what has no name, after the table was committed."""
        hold = self.directory(_HOLD)
        self._purge(hold)
        os.close(self._directories.pop(_HOLD))
        os.rmdir(self._hold_name, dir_fd=self._root)
        self._objects.remove_object(_HOLD)

    # Objects.

    def make(self, wanted: NewObject, place: Name | None) -> int:
        """Make an object, in place of whatever has its number or its name.

        :param place: a name for it; it needs none yet.
        :returns: an open descriptor: of a file for reading and writing, of
            anything that is not to be opened with ``O_PATH``. The caller
            closes it.
        :raises NoSuchObject: there is no such directory.
        """
        if place is None:
            place = Name(_HOLD, b"%d" % wanted.number)
        directory = self.directory(place.parent)
        try:
            fd = _make(directory, place.name, wanted)
        except FileExistsError:
            self.take_away(place)
            fd = _make(directory, place.name, wanted)
        self._objects.add_object(wanted.number, signed(os.fstat(fd).st_ino))
        self._objects.add_name(place, wanted.number)
        return fd

    def replace(self, number: int) -> None:
        """Let go of an object whose number another one is going to have."""
        if self._objects.here(number) is None:
            return
        if number in {self._root_number, _HOLD}:
            raise NoSuchObject("the root cannot be replaced")
        for name in self._objects.entries(number):
            # They are not what the new object of this number has in it.
            self.take_away(Name(number, name))
        self._forget_open(number)
        while (place := self._objects.name_of(number)) is not None:
            hold = self.directory(_HOLD)
            self._junk_below(self.directory(place.parent), place.name, hold)
            self._objects.remove_name(place)
        self._objects.remove_object(number)

    def directory(self, number: int) -> int:
        """Open descriptor of a directory, kept by this object.

        :raises NoSuchObject: there is no such directory.
        """
        kept = self._directories.get(number)
        if kept is not None:
            self._directories.move_to_end(number)
            return kept
        if number == self._root_number:
            return self._root
        way: list[tuple[int, bytes]] = []
        while number not in self._directories and number != self._root_number:
            place = self._objects.name_of(number)
            if place is None or place.parent == _ABOVE:
                raise NoSuchObject(f"object {number} is no directory of the volume")
            way.append((number, place.name))
            number = place.parent
        fd = self._directories.get(number, self._root)
        for number, name in reversed(way):
            try:
                fd = os.open(name, _DIRECTORY, dir_fd=fd)
            except NotADirectoryError as error:
                raise NoSuchObject(f"object {number} is no directory of the volume") from error
            self._keep(self._directories, number, fd, _OPEN_DIRECTORIES)
        return fd

    def file(self, number: int) -> int:
        """Open descriptor of a file, for reading and writing, kept by this object.

        :raises NoSuchObject: there is no such file.
        """
        kept = self._files.get(number)
        if kept is not None:
            self._files.move_to_end(number)
            return kept
        fd = self._open(number, os.O_RDWR)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise NoSuchObject(f"object {number} is no file")
        self._keep(self._files, number, fd, _OPEN_FILES)
        return fd

    def itself(self, number: int) -> int:
        """Open an object for its attributes alone; the caller closes it.

        :raises NoSuchObject: there is none.
        """
        if number == self._root_number:
            return os.dup(self._root)
        return self._open(number, os.O_PATH)

    def forget_files(self) -> None:
        """Close the files that are kept open."""
        while self._files:
            os.close(self._files.popitem()[1])

    def _open(self, number: int, flags: int) -> int:
        place = self._objects.name_of(number)
        here = self._objects.here(number)
        if place is None or place.parent == _ABOVE:
            raise NoSuchObject(f"object {number} is not in the volume")
        # A pipe is not waited for, and a device is not touched.
        flags |= os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        parent = self.directory(place.parent)
        looked = os.stat(place.name, dir_fd=parent, follow_symlinks=False)
        if signed(looked.st_ino) != here:
            raise MapDamaged(f"object {number} is another one than it was")
        if not flags & os.O_PATH and not stat.S_ISREG(looked.st_mode):
            raise NoSuchObject(f"object {number} is no file")
        return os.open(place.name, flags, dir_fd=parent)

    # Names.

    def enter(self, place: Name, number: int) -> None:
        """Let a name stand for an object that is there.

        :raises NoSuchObject: there is no such object or directory.
        """
        before = self._objects.at(place)
        if before == number:
            return
        if before is not None:
            self.take_away(place)
        current = self._objects.name_of(number)
        if current is None or current.parent == _ABOVE or number == _HOLD:
            raise NoSuchObject(f"object {number} is not in the volume")
        source, target = self.directory(current.parent), self.directory(place.parent)
        if current.parent != _HOLD and not self._is_directory(source, current.name):
            os.link(
                current.name,
                place.name,
                src_dir_fd=source,
                dst_dir_fd=target,
                follow_symlinks=False,
            )
        else:
            os.rename(current.name, place.name, src_dir_fd=source, dst_dir_fd=target)
            self._objects.remove_name(current)
        self._objects.add_name(place, number)

    def take_away(self, place: Name) -> None:
        """Remove a name; an object that has no other one is kept until the
        end, for a name that it gets. Nothing happens without such a name.

        :raises NoSuchObject: there is no such directory.
        """
        number = self._objects.at(place)
        if number is None:
            return
        if number == _HOLD or place.parent == _ABOVE:
            raise NoSuchObject("the name is not one of the image's")
        parent, held = self.directory(place.parent), Name(_HOLD, b"%d" % number)
        self._objects.remove_name(place)
        if self._objects.name_of(number) is not None:
            os.unlink(place.name, dir_fd=parent)
            return
        os.rename(place.name, held.name, src_dir_fd=parent, dst_dir_fd=self.directory(_HOLD))
        self._objects.add_name(held, number)

    def _is_directory(self, parent: int, name: bytes) -> bool:
        return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)

    # After a crash.

    def find_again(self) -> None:
        """Learn the names anew from the volume, whose objects the table knows
        by their numbers here, and remove what it does not know.

        :raises MapDamaged: an object that it knows is not there.
        """
        root_number = self._root_number
        if root_number is None:
            raise MapDamaged("it has no root")
        self._close_all()
        self._objects.clear_names()
        self._objects.add_name(Name(_ABOVE, b""), root_number)
        self._make_hold()
        hold, waiting = self.directory(_HOLD), [root_number]
        while True:
            while waiting:
                self._look_through(waiting.pop(), hold, waiting)
            junk = [name for name in _names(hold) if not name.isdigit()]
            if not junk:
                break
            for name in junk:
                self._sort_out(hold, name, waiting)
        for number in self._objects.nameless():
            raise MapDamaged(f"object {number} has gone")

    def _look_through(self, parent: int, hold: int, waiting: list[int]) -> None:
        """Learn the names in a directory, and take out what is not known."""
        fd = self.directory(parent)
        for name, status, number in self._known(fd):
            if number is None:
                self._junk_below(fd, name, hold)
            elif number != _HOLD:
                self._objects.add_name(Name(parent, name), number)
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(number)

    def _sort_out(self, hold: int, name: bytes, waiting: list[int]) -> None:
        """Keep what is known below what is not, and remove the rest."""
        status = os.stat(name, dir_fd=hold, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(name, dir_fd=hold)
            return
        fd = os.open(name, _DIRECTORY, dir_fd=hold)
        try:
            for below, inner, number in self._known(fd):
                if number is None:
                    self._junk_below(fd, below, hold)
                    continue
                held = Name(_HOLD, b"%d" % number)
                os.rename(below, held.name, src_dir_fd=fd, dst_dir_fd=hold)
                with contextlib.suppress(FileNotFoundError):
                    # Nothing is renamed to another name of the same object.
                    os.unlink(below, dir_fd=fd)
                self._objects.add_name(held, number)
                if stat.S_ISDIR(inner.st_mode):
                    waiting.append(number)
        finally:
            os.close(fd)
        os.rmdir(name, dir_fd=hold)

    def _known(self, fd: int) -> Iterator[tuple[bytes, os.stat_result, int | None]]:
        self._keep_going()
        found = [(name, os.stat(name, dir_fd=fd, follow_symlinks=False)) for name in _names(fd)]
        known = self._objects.known_here(signed(status.st_ino) for _, status in found)
        for name, status in found:
            yield name, status, known.get(signed(status.st_ino))

    # The folder of objects without a name.

    def _make_hold(self) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkdir(self._hold_name, 0o700, dir_fd=self._root)
        assert self._root_number is not None
        fd = os.open(self._hold_name, _DIRECTORY, dir_fd=self._root)
        self._objects.add_object(_HOLD, signed(os.fstat(fd).st_ino))
        self._objects.add_name(Name(self._root_number, self._hold_name), _HOLD)
        self._keep(self._directories, _HOLD, fd, _OPEN_DIRECTORIES)

    def _junk_below(self, parent: int, name: bytes, hold: int) -> bytes:
        """Take something out of the tree that is to be removed."""
        self._junk += 1
        junk = b"junk-%d" % self._junk
        os.rename(name, junk, src_dir_fd=parent, dst_dir_fd=hold)
        return junk

    def _purge(self, hold: int) -> None:
        """Remove all that is in the folder; directories empty into it."""
        while names := _names(hold):
            for name in names:
                self._keep_going()
                self._remove(hold, name)

    def _remove(self, hold: int, name: bytes) -> None:
        try:
            os.unlink(name, dir_fd=hold)
        except (IsADirectoryError, PermissionError):
            fd = os.open(name, _DIRECTORY, dir_fd=hold)
            try:
                with os.scandir(fd) as entries:
                    found = [
                        (os.fsencode(e.name), e.is_dir(follow_symlinks=False)) for e in entries
                    ]
                for below, is_directory in found:
                    if is_directory:
                        self._junk_below(fd, below, hold)
                    else:
                        os.unlink(below, dir_fd=fd)
            finally:
                os.close(fd)
            os.rmdir(name, dir_fd=hold)

    # Descriptors.

    def _keep(self, kept: OrderedDict[int, int], number: int, fd: int, most: int) -> None:
        old = kept.pop(number, None)
        if old is not None:
            os.close(old)
        kept[number] = fd
        if len(kept) > most:
            oldest = next(each for each in kept if each != _HOLD)
            os.close(kept.pop(oldest))

    def _forget_open(self, number: int) -> None:
        for kept in (self._directories, self._files):
            if number in kept:
                os.close(kept.pop(number))


def _make(directory: int, name: bytes, wanted: NewObject) -> int:
    kind = stat.S_IFMT(wanted.mode)
    if kind == stat.S_IFREG:
        return os.open(name, _NEW, _PRIVATE, dir_fd=directory)
    if kind == stat.S_IFDIR:
        os.mkdir(name, 0o700, dir_fd=directory)
        return os.open(name, _DIRECTORY, dir_fd=directory)
    if kind == stat.S_IFLNK:
        os.symlink(wanted.target, name, dir_fd=directory)
    else:
        os.mknod(name, kind | _PRIVATE, wanted.device, dir_fd=directory)
    return os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)


def _names(fd: int) -> list[bytes]:
    # btrfs shows what there was when the directory was last gone back to.
    os.lseek(fd, 0, os.SEEK_SET)
    return [os.fsencode(name) for name in os.listdir(fd)]
