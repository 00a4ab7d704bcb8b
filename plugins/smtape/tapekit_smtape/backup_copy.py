"""Writes what a Snapshot copy is, or what has changed since the one before.

A baseline's first copy is written in one walk. Any other copy is walked
twice: once to learn what it has, and once to write what the copy before does
not have. Of a file that has changed only the blocks that differ are written,
and blocks that another file of the image has are written as shares of that
one. The one rule: what is not written is, without a doubt, in the copy
before or in the stream already.
"""

from __future__ import annotations

import errno
import os
import stat
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, final

from tapekit_smtape.backup_content import ContentSender
from tapekit_smtape.backup_index import Signature
from tapekit_smtape.format_records import Attribute, CopyBegin, CopyEnd, Entry, Gone, Object

if TYPE_CHECKING:
    from tapekit_smtape.backup_chunks import ChunkWriter
    from tapekit_smtape.backup_index import CopyIndex
    from tapekit_smtape.backup_walk import CopyWalk, Visit

__all__ = ["CopySender"]

_NO_ATTRIBUTES: Final = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
_OPENED: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@final
class CopySender:
    """Writes one Snapshot copy after the other; for one thread.

    :param shares: whether the file system's files can have blocks in common.
    """

    def __init__(self, writer: ChunkWriter, index: CopyIndex, *, shares: bool) -> None:
        self._writer: Final = writer
        self._index: Final = index
        self._shares: Final = shares
        self._objects = 0
        self._has_attributes = True

    def learn(self, walk: CopyWalk) -> None:
        """Note what a copy has, as the one before the next."""
        for visit in walk.visits():
            self._note(visit)
            self._note_places(walk, visit)
        self._index.step()

    def send_all(self, walk: CopyWalk, position: int, *, note: bool) -> None:
        """Write all of a copy, the image's first.

        :param note: whether another copy comes, which is compared with it.
        """
        self._begin(position)
        content = ContentSender(self._writer, walk, self._index, shares=self._shares)
        for visit in walk.visits():
            if note:
                self._note(visit)
            if self._is_further_name(visit):
                self._writer.record(Entry(visit.parent, visit.number, visit.name))
                continue
            self._send_new(visit, content)
        if note:
            self._index.step()
        self._end()

    def send_changes(self, walk: CopyWalk, before: CopyWalk, position: int) -> None:
        """Write what a copy has that the one before, which the index knows,
        does not have.
        """
        for visit in walk.visits():
            self._note(visit)
        self._begin(position)
        self._index.forget_places()
        for parent, name in self._index.gone():
            self._writer.record(Gone(parent, name))
        content = ContentSender(self._writer, walk, self._index, shares=self._shares)
        root = before.root_number
        for visit in walk.visits():
            self._send_change(visit, content, before, root)
        self._index.step()
        self._end()

    def _begin(self, position: int) -> None:
        self._objects = 0
        self._writer.record(CopyBegin(position))

    def _end(self) -> None:
        self._writer.record(CopyEnd(self._objects))

    def _note(self, visit: Visit) -> None:
        self._index.add_object(visit.number, _signature(visit))
        if visit.name:
            self._index.add_name(visit.parent, visit.name, visit.number)

    def _note_places(self, walk: CopyWalk, visit: Visit) -> None:
        """Files that come may share blocks with those that are there."""
        if self._shares and stat.S_ISREG(visit.status.st_mode) and visit.status.st_size:
            fd = os.open(visit.name, _OPENED, dir_fd=visit.directory)
            try:
                ContentSender(self._writer, walk, self._index, shares=True).note(visit, fd)
            finally:
                os.close(fd)

    def _is_further_name(self, visit: Visit) -> bool:
        status = visit.status
        return (
            status.st_nlink > 1
            and not stat.S_ISDIR(status.st_mode)
            and not self._index.first_time(visit.number)
        )

    def _send_change(
        self, visit: Visit, content: ContentSender, before: CopyWalk, root: int
    ) -> None:
        index, writer = self._index, self._writer
        was, now = index.before(visit.number), _signature(visit)
        is_new = now.is_another(was)
        if not self._is_further_name(visit):
            if is_new:
                self._send_new(visit, content)
                return
            # What a restore does to the top's names changes its times.
            if not visit.name or not index.is_as_before(was, now):
                path = index.path_before(visit.number, root)
                self._send_changed(visit, content, before, path)
        if visit.name and (is_new or index.meant_before(visit.parent, visit.name) != visit.number):
            writer.record(Entry(visit.parent, visit.number, visit.name))

    def _send_new(self, visit: Visit, content: ContentSender) -> None:
        with _Opened(visit) as fd:
            self._send_object(visit, fd, is_new=True)
            if stat.S_ISREG(visit.status.st_mode) and visit.status.st_size:
                content.send(visit, fd)

    def _send_changed(
        self, visit: Visit, content: ContentSender, before: CopyWalk, path: bytes
    ) -> None:
        with _Opened(visit) as fd:
            self._send_object(visit, fd, is_new=False)
            if not stat.S_ISREG(visit.status.st_mode) or not visit.status.st_size:
                return
            old = before.open(path)
            try:
                content.send_changes(visit, fd, old)
            finally:
                os.close(old)

    def _send_object(self, visit: Visit, fd: int, *, is_new: bool) -> None:
        status = visit.status
        is_link = stat.S_ISLNK(status.st_mode)
        target = os.readlink(visit.name, dir_fd=visit.directory) if is_link and is_new else b""
        self._objects += 1
        self._writer.record(
            Object(
                is_new=is_new,
                number=visit.number,
                mode=status.st_mode,
                uid=status.st_uid,
                gid=status.st_gid,
                device=status.st_rdev,
                size=status.st_size if stat.S_ISREG(status.st_mode) else 0,
                atime_ns=status.st_atime_ns,
                mtime_ns=status.st_mtime_ns,
                parent=visit.parent if is_new else 0,
                name=visit.name if is_new else b"",
                target=target,
            )
        )
        if self._has_attributes:
            self._send_attributes(_place(visit, fd))

    def _send_attributes(self, place: int | bytes) -> None:
        is_link_itself = isinstance(place, bytes)
        try:
            names = os.listxattr(place, follow_symlinks=not is_link_itself)
        except OSError as error:
            if error.errno not in _NO_ATTRIBUTES:
                raise
            self._has_attributes = False
            return
        for name in names:
            value = os.getxattr(place, name, follow_symlinks=not is_link_itself)
            self._writer.record(Attribute(os.fsencode(name), value))


@final
class _Opened:
    """A file or a directory, open; of anything else the descriptor is -1."""

    def __init__(self, visit: Visit) -> None:
        self._visit: Final = visit
        self._fd = -1

    def __enter__(self) -> int:
        visit = self._visit
        if stat.S_ISREG(visit.status.st_mode) or stat.S_ISDIR(visit.status.st_mode):
            self._fd = os.open(visit.name or b".", _OPENED, dir_fd=visit.directory)
        return self._fd

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)


def _place(visit: Visit, fd: int) -> int | bytes:
    """How the attributes of an object are asked for: what cannot be opened
    without consequences goes by its name.
    """
    return fd if fd >= 0 else b"/proc/self/fd/%d/%s" % (visit.directory, visit.name)


def _signature(visit: Visit) -> Signature:
    status = visit.status
    size = status.st_size
    if stat.S_ISLNK(status.st_mode):
        target = os.readlink(visit.name, dir_fd=visit.directory)
        size = int.from_bytes(blake2b(target, digest_size=7).digest(), "big")
    elif not stat.S_ISREG(status.st_mode):
        size = status.st_rdev
    return Signature(status.st_mode, visit.ctime_ns, status.st_mtime_ns, size)
