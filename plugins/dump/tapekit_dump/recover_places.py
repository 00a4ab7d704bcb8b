"""Directories of the destination, as descriptors, from its top downwards.

Each directory is opened in the one above it and never through a symbolic
link; the most recent stay open, and the way down to any other is walked
anew. The one rule: nothing is created, opened or removed but by a single
name relative to a descriptor from here, so that nothing in the stream or in
the destination can lead outside.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tapekit_dump.headers import Header
    from tapekit_dump.recover_catalogue import Directory, Place
    from tapekit_dump.recover_marks import MarkRules
    from tapekit_dump.recover_room import FileRoom
    from tapekit_dump.recover_selection import Path, View

__all__ = ["Places"]

_ACCESS_ACL: Final = "system.posix_acl_access"
_DEFAULT_ACL: Final = "system.posix_acl_default"

_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FOUND_ON_THE_WAY: Final = 0o755
_UNTIL_FINISHED: Final = 0o700


@final
class Places:
    """Finds directories of the destination.

    :param directories: the backup's directories by inode number.
    :param tops: for each view's number, an open directory of the destination
        and the way from there to the view's target.
    :param limit: how many directories stay open, at least 4.
    :param room: what looks whether long files fit, if they are looked at.
    """

    def __init__(
        self,
        directories: Mapping[int, Directory],
        tops: Mapping[int, tuple[int, Path]],
        limit: int,
        rules: MarkRules | None = None,
        room: FileRoom | None = None,
    ) -> None:
        self.rules: Final = rules
        """What marks mean here; nothing is known of that without volumes."""
        self._room: Final = room
        self._directories: Final = directories
        self._tops: Final = tops
        self._limit: Final = limit
        self._open: Final[dict[tuple[int, int], int]] = {}
        self._inheriting: Final[set[int]] = set()

    def make(self, view: View, directory: Directory) -> bool:
        """Make a directory that is wanted in a view, unless it is there;
        whether it was not.

        :raises OSError: it cannot be made, or something else is there.
        """
        if directory.inode == view.top:
            fd, is_new = self._descend(view, self._tops[view.number][1])
        else:
            above = self.descriptor(view, directory.parent)
            fd, is_new = self._make_one(above, directory.name, _UNTIL_FINISHED)
        self._keep(view, directory.inode, fd)
        return is_new

    def descriptor(self, view: View, inode: int) -> int:
        """A directory that :meth:`make` made, open until others need its
        place; 0 stands for the directory of the view's own top.

        :raises OSError: it is not there any more.
        """
        key = view.number, inode
        fd = self._open.pop(key, -1)
        if fd >= 0:
            self._open[key] = fd
            return fd
        return self._walk_to(view, inode)

    def judged(
        self, place: Place, header: Header, sets: Sequence[bytes]
    ) -> tuple[Header, Sequence[bytes]]:
        """Header and attribute sets of an object as it gets them in a place."""
        if self.rules is None or not sets:
            return header, sets
        mode, flags, sets = self.rules.judge(
            place.view, place.directory, place.name, header.mode, sets
        )
        return header._replace(mode=mode, inode_flags=header.inode_flags | flags), sets

    def begin_file(self, place: Place, directory: int, size: int) -> None:
        """A file is going to be written piece by piece.

        :param directory: the open directory that it gets into.
        """
        if self._room is not None:
            self._room.look(place, directory, size)
        if self.rules is not None:
            self.rules.begin(place.view, place.directory, place.name)

    def file_written(self, place: Place, sets: Sequence[bytes]) -> None:
        """That file is whole, and has got these attributes."""
        if self.rules is not None:
            self.rules.written(place.view, place.directory, place.name, sets)

    def inherits(self, fd: int) -> bool:
        """Whether new objects in a directory get an ACL of its making."""
        return fd in self._inheriting

    def close(self) -> None:
        """Close everything."""
        while self._open:
            self._leave(self._open.popitem()[1])

    def _walk_to(self, view: View, inode: int) -> int:
        """Open a directory from the nearest one above it that is open."""
        chain: list[int] = []
        fd = -1
        while fd < 0:
            if inode in (0, view.top):
                fd, _ = self._descend(view, self._way_to_top(view, inode))
                self._keep(view, inode, fd)
                break
            chain.append(inode)
            inode = self._directories[inode].parent
            fd = self._open.get((view.number, inode), -1)
        for below in reversed(chain):
            fd = self._enter(fd, self._directories[below].name)
            self._keep(view, below, fd)
        return fd

    def _way_to_top(self, view: View, inode: int) -> Path:
        way = self._tops[view.number][1]
        if inode:
            return way
        if not way:
            # A file cannot take the place of a volume.
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        return way[:-1]

    def _descend(self, view: View, way: Path) -> tuple[int, bool]:
        """Open the directory at the end of a way, making what is missing;
        also whether the last one was.
        """
        fd, is_new = self._enter(self._tops[view.number][0], b"."), False
        for name in way:
            above = fd
            try:
                fd, is_new = self._make_one(above, name, _FOUND_ON_THE_WAY)
            finally:
                self._leave(above)
        return fd, is_new

    def _make_one(self, above: int, name: bytes, mode: int) -> tuple[int, bool]:
        try:
            os.mkdir(name, mode, dir_fd=above)
        except FileExistsError:
            return self._enter(above, name), False
        fd = os.open(name, _OPEN, dir_fd=above)
        if above in self._inheriting:
            _forget_acls(fd)
        return fd, True

    def _enter(self, above: int, name: bytes) -> int:
        """Open a directory that is there."""
        fd = os.open(name, _OPEN, dir_fd=above)
        # Most directories have no such ACL and many file systems none at all.
        with contextlib.suppress(OSError):
            os.getxattr(fd, _DEFAULT_ACL)
            self._inheriting.add(fd)
        return fd

    def _leave(self, fd: int) -> None:
        self._inheriting.discard(fd)
        os.close(fd)

    def _keep(self, view: View, inode: int, fd: int) -> None:
        if len(self._open) >= self._limit:
            self._leave(self._open.pop(next(iter(self._open))))
        self._open[view.number, inode] = fd


def _forget_acls(fd: int) -> None:
    """Remove the ACLs that a new directory got from the one above it."""
    for name in (_DEFAULT_ACL, _ACCESS_ACL):
        # There may be only one of the two.
        with contextlib.suppress(OSError):
            os.removexattr(fd, name)
