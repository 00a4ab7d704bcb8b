"""Copies a tree of a volume that is in use.

Depth first, relative to the descriptors of the directory at work and its
copy: first all that is no directory, then the directories one by one, so
that nothing is remembered of a file once it is copied. Names of one object
meet through a folder of links named after it, not through a table. The one
rule: attributes and change time are taken from before the content was read,
so a later change always looks later.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from typing import TYPE_CHECKING, Final, final

from tapekit.births import birth_time_ns, birth_time_of_open_ns
from tapekit.hookspecs.storage import for_ever
from tapekit_snap_copy.attributes import AttributeNotKept, AttributeSetter
from tapekit_snap_copy.content import ContentCopier
from tapekit_snap_copy.directory_stack import DirectoryStack

if TYPE_CHECKING:
    from tapekit.hookspecs.storage import KeepGoing
    from tapekit_snap_copy.origins import OriginsWriter

__all__ = ["CopyStopped", "TreeCopier", "readable"]

_LOG: Final = logging.getLogger("tapekit.snap_copy")

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
# A fifo that took the file's place must not block the walk.
_READ_FILE: Final = _READ | os.O_NONBLOCK
_READ_DIRECTORY: Final = _READ | os.O_DIRECTORY
_MAKE_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC

_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV})
"""The name is free, or something of another type has taken it."""


class CopyStopped(Exception):
    """An object cannot be copied; its cause is an ``OSError`` or an
    :class:`AttributeNotKept`.
    """

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.place: Final = place
        """The object's path below the root, for messages."""


class _Level:
    """A directory at work: what it was, and which directories are left in it."""

    __slots__ = ("directories", "name", "status")

    def __init__(self, name: str, status: os.stat_result) -> None:
        self.name: Final = name
        self.status: Final = status
        self.directories: list[str] = []


@final
class TreeCopier:
    """One copy of one tree.

    :param source: open directory of the original.
    :param target: open, empty directory of the copy.
    :param links: open, empty directory on the same file system as the copy.
    :param origins: gets a record of every object of the copy.
    :param keep_going: called for each entry; what it raises ends the copy.
    """

    def __init__(
        self,
        source: int,
        target: int,
        links: int,
        origins: OriginsWriter,
        keep_going: KeepGoing = for_ever,
    ) -> None:
        self._source: Final = DirectoryStack(os.dup(source))
        self._target: Final = DirectoryStack(os.dup(target))
        self._links: Final = links
        self._origins: Final = origins
        self._contents: Final = ContentCopier(keep_going)
        self._keep_going: Final = keep_going
        self._attributes: Final = AttributeSetter(self._lost)
        root = os.fstat(source)
        self._device: Final = root.st_dev
        self._levels: Final = [_Level("", root)]
        self._name = ""
        self._losses: Final[dict[str, tuple[int, str]]] = {}

    @property
    def _place(self) -> str:
        """The path of the object at work, below the root."""
        names = [level.name for level in self._levels[1:]]
        path = "/".join([*names, self._name] if self._name else names)
        return readable(path or ".")

    def copy(self) -> None:
        """Copy everything, then tell the log what could not be kept.

        :raises CopyStopped: something cannot be read or made.
        """
        try:
            self._copy_entries()
            while self._levels:
                if self._levels[-1].directories:
                    self._descend(self._levels[-1].directories.pop())
                else:
                    self._ascend()
        except (OSError, AttributeNotKept) as error:
            raise CopyStopped(self._place) from error
        finally:
            self._source.close()
            self._target.close()
        for what, (count, first) in self._losses.items():
            _LOG.warning(
                "%d objects are not copied faithfully for lack of privileges: %s; the first is %s",
                count,
                what,
                first,
            )

    def _descend(self, name: str) -> None:
        """Open a directory, make its copy, and copy all in it but directories."""
        self._name = name
        source = self._open(name, _READ_DIRECTORY)
        if source is None:
            return
        try:
            target = self._make_directory(name)
        except FileExistsError:
            os.close(source)
            self._left_out("it was copied before")
            return
        self._source.enter(source)
        self._target.enter(target)
        self._levels.append(_Level(name, os.fstat(source)))
        self._name = ""
        if self._levels[-1].status.st_dev == self._device:
            self._copy_entries()
        else:
            _LOG.warning("%s: left empty: another file system is mounted here", self._place)

    def _make_directory(self, name: str) -> int:
        os.mkdir(name, 0o700, dir_fd=self._target.top)
        return os.open(name, _READ_DIRECTORY, dir_fd=self._target.top)

    def _ascend(self) -> None:
        """Finish a directory, whose mode and times nothing changes any more."""
        self._name = ""
        status = self._levels[-1].status
        self._attributes.copy_open(self._source.top, self._target.top, status)
        self._note(os.fstat(self._target.top), status, birth_time_of_open_ns(self._source.top))
        if len(self._levels) > 1:
            self._source.leave()
            self._target.leave()
        self._levels.pop()

    def _copy_entries(self) -> None:
        directories = self._levels[-1].directories
        with os.scandir(self._source.top) as entries:
            for entry in entries:
                self._keep_going()
                self._name = entry.name
                if entry.is_dir(follow_symlinks=False):
                    directories.append(entry.name)
                else:
                    self._copy_entry(entry)

    def _copy_entry(self, entry: os.DirEntry[str]) -> None:
        try:
            if entry.is_file(follow_symlinks=False):
                self._copy_file(entry.name)
            else:
                self._copy_special(entry.name)
        except FileExistsError:
            # A name that is removed and made again may be listed twice.
            self._left_out("it was copied before")

    def _copy_file(self, name: str) -> None:
        source = self._open(name, _READ_FILE)
        if source is None:
            return
        try:
            status = os.fstat(source)
            if not stat.S_ISREG(status.st_mode):
                self._left_out("its type changed")
            elif status.st_nlink == 1:
                self._make_file(name, source, status)
            elif not self._linked(name, status):
                self._keep_for_links(name, self._make_file(name, source, status))
        finally:
            os.close(source)

    def _make_file(self, name: str, source: int, status: os.stat_result) -> os.stat_result:
        """Copy an open file; the status that its attributes were taken from."""
        target = os.open(name, _MAKE_FILE, 0o600, dir_fd=self._target.top)
        try:
            status = self._copy_content(source, target, status)
            self._attributes.copy_open(source, target, status)
            self._note(os.fstat(target), status, birth_time_of_open_ns(source))
        finally:
            os.close(target)
        return status

    def _copy_content(self, source: int, target: int, status: os.stat_result) -> os.stat_result:
        """Copy content, again if it changed meanwhile; the status before that."""
        self._contents.copy(source, target, status.st_size)
        after = os.fstat(source)
        if _same(status, after):
            return status
        os.ftruncate(target, 0)
        self._contents.copy(source, target, after.st_size)
        if not _same(after, os.fstat(source)):
            _LOG.warning("%s: went on changing while it was copied", self._place)
        return after

    def _copy_special(self, name: str) -> None:
        """Copy what has no content: links, fifos, sockets, devices."""
        status = _status(name, self._source.top)
        if status is None:
            self._left_out("it vanished")
        elif stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            self._left_out("its type changed")
        elif status.st_nlink == 1:
            self._make_special(name, status)
        elif not self._linked(name, status) and self._make_special(name, status):
            self._keep_for_links(name, status)

    def _make_special(self, name: str, status: os.stat_result) -> bool:
        if stat.S_ISLNK(status.st_mode):
            link = _read_link(name, self._source.top)
            if link is None:
                self._left_out("it vanished")
                return False
            os.symlink(link, name, dir_fd=self._target.top)
        else:
            kind = stat.S_IFMT(status.st_mode)
            try:
                os.mknod(name, kind | 0o600, status.st_rdev, dir_fd=self._target.top)
            except PermissionError:
                self._lost("device left out")
                return False
        self._attributes.copy_named(self._source.top, self._target.top, name, status)
        copy = os.stat(name, dir_fd=self._target.top, follow_symlinks=False)
        # If the name has gone to another object meanwhile, that one is younger,
        # and the next dump has it anew.
        self._note(copy, status, birth_time_ns(os.fsencode(name), self._source.top))
        return True

    def _linked(self, name: str, status: os.stat_result) -> bool:
        """Give an object that has been copied another name, if it has."""
        key = _link_key(status)
        kept = _status(key, self._links)
        if kept is None:
            return False
        links, target = self._links, self._target.top
        if kept.st_nlink < status.st_nlink:
            os.link(key, name, src_dir_fd=links, dst_dir_fd=target, follow_symlinks=False)
        else:
            # The last name: the object may have as many as a file system allows.
            os.rename(key, name, src_dir_fd=links, dst_dir_fd=target)
        return True

    def _keep_for_links(self, name: str, status: os.stat_result) -> None:
        os.link(
            name,
            _link_key(status),
            src_dir_fd=self._target.top,
            dst_dir_fd=self._links,
            follow_symlinks=False,
        )

    def _note(self, copy: os.stat_result, status: os.stat_result, birth_ns: int | None) -> None:
        self._origins.add(copy.st_ino, status.st_ino, status.st_ctime_ns, birth_ns)

    def _open(self, name: str, flags: int) -> int | None:
        """Open an object of the volume; ``None`` if it is no longer there."""
        try:
            return _open_without_trace(name, flags, self._source.top)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            self._left_out("it vanished")
            return None

    def _left_out(self, reason: str) -> None:
        _LOG.info("%s: left out: %s", self._place, reason)

    def _lost(self, what: str) -> None:
        count, first = self._losses.get(what, (0, self._place))
        self._losses[what] = (count + 1, first)


def readable(path: str) -> str:
    """A path for messages: bytes that are not UTF-8 as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _same(before: os.stat_result, after: os.stat_result) -> bool:
    return (
        before.st_ctime_ns == after.st_ctime_ns
        and before.st_mtime_ns == after.st_mtime_ns
        and before.st_size == after.st_size
    )


def _link_key(status: os.stat_result) -> str:
    """What is equal for all names of an object that has not changed. An
    inode number alone may have been given to another object meanwhile.
    """
    return f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"


def _open_without_trace(name: str, flags: int, directory: int) -> int:
    try:
        return os.open(name, flags | os.O_NOATIME, dir_fd=directory)
    except PermissionError as error:
        # Only the owner and root may leave the access time alone.
        if error.errno != errno.EPERM:
            raise
        return os.open(name, flags, dir_fd=directory)


def _status(name: str, directory: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _read_link(name: str, directory: int) -> str | None:
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError as error:
        # Gone, or no longer a symbolic link.
        if error.errno not in {errno.ENOENT, errno.EINVAL}:
            raise
        return None
