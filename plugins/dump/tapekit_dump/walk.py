"""The first pass: what is in the tree, and a number for each of it.

Directories are visited depth first, listed in slices, and written to a spool
as they will stand in the stream. How objects get their numbers depends on
whether the dump is full or builds on another; that is the numbering's work.
The one rule: memory does not grow with the tree but by a bit for each
number.
"""

from __future__ import annotations

import errno
import os
import stat
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, final

from tapekit_dump.backup_report import readable
from tapekit_dump.backup_scope import WHOLE
from tapekit_dump.descent import Descent
from tapekit_dump.directory_record import DirectoryRecord
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.headers import Inode
from tapekit_dump.maps import ROOT
from tapekit_dump.spool import Pending, PendingStack
from tapekit_dump.tree_scope import with_origin

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from tapekit.marks import OriginMark
    from tapekit_dump.backup_attributes import AttributeReader
    from tapekit_dump.backup_report import BackupReport
    from tapekit_dump.backup_scope import Choice
    from tapekit_dump.backup_stream import CtimeOf
    from tapekit_dump.header_packing import HeaderPacker
    from tapekit_dump.maps import NumberSet
    from tapekit_dump.plan import Step
    from tapekit_dump.spool import Spool, SpoolRoom

__all__ = ["SLICE", "Numbering", "Place", "Steps", "TreeIndex", "Walk", "names_of"]

SLICE: Final = 10_000
"""Entries of a directory that are in memory together."""

_LONGEST_FOR_DEBIAN: Final = 254
_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""Errors of a directory that was removed or renamed meanwhile."""
_LOST: Final = Inode(mode=stat.S_IFDIR, links=2, uid=0, gid=0, atime_us=0, mtime_us=0, ctime_s=0)
"""A directory of which nothing is known but that it was there."""


class Steps(Protocol):
    """What the second pass has to write, in order; read once."""

    def __iter__(self) -> Iterator[Step]:
        """Raises TapekitError if a spool cannot be read."""
        ...

    def close(self) -> None:
        """Free the spools."""
        ...


class TreeIndex(NamedTuple):
    """What the first pass leaves for the phases that write."""

    records: Spool
    """The directories of this dump, whose record numbers count from 0."""
    plan: Steps
    highest: int
    """The highest number in use."""
    objects: int
    """Objects in this dump."""
    directories: int
    """Directories in the tree."""
    inodes: Spool
    """The inode number of each number from 2 on, eight bytes each; 0 for the
    root, for numbers that are no longer in use, and where it is not to be
    relied on."""
    doubtful: Collection[int] = ()
    """Inode numbers that turned out to be those of several objects."""
    are_of_volume: bool = False
    """Whether the inode numbers are those in the volume, rather than those
    that directories tell."""
    used: NumberSet | None = None
    """The numbers in use; ``None`` if all from 2 to the highest are."""
    dumped: NumberSet | None = None
    """The numbers in this dump; ``None`` as before."""
    hidden: Collection[int] = ()
    """Directories that could not be read, of which this dump knows nothing
    that was in them."""

    def close(self) -> None:
        """Free the spools."""
        self.records.close()
        self.plan.close()
        self.inodes.close()


class Place(NamedTuple):
    """The directory that is being listed."""

    item: Pending
    descriptor: int
    record: DirectoryRecord
    locate: Callable[[bytes], bytes]
    """Tells the path of a name in it."""


class Numbering(Protocol):
    """Gives numbers to what a walk finds, and plans what is to be written."""

    def begin(self) -> None:
        """Number the root."""
        ...

    def enter(self, item: Pending) -> None:
        """What is taken next is in this directory."""
        ...

    def is_in_base(self, number: int) -> bool:
        """Whether the dump that this one builds on may know what is in a
        directory.
        """
        ...

    def take(self, piece: list[os.DirEntry[str]], place: Place) -> Sequence[tuple[int, bytes]]:
        """Number a slice of a directory, and enter it in its record.

        :returns: number and name of the directories in it, to be visited in
            this order.
        :raises TapekitError: there are no more numbers, or a spool failed.
        """
        ...

    def take_junction(self, name: bytes, place: Place) -> None:
        """Number a name that stands in the dump as a symbolic link.

        :raises TapekitError: there are no more numbers, or a spool failed.
        """
        ...

    def take_withheld(self, entry: os.DirEntry[str], place: Place) -> None:
        """Deal with an entry that is not to be in the dump, as if nothing
        had happened to it since the one that this one builds on.

        :raises TapekitError: a spool failed.
        """
        ...

    def finish(self, records: Spool, directories: int) -> TreeIndex:
        """The index; what is in it is the caller's then.

        :raises TapekitError: a spool failed.
        """
        ...

    def close(self) -> None:
        """Free what the index does not have, once it has been made."""
        ...

    def abandon(self) -> None:
        """Free everything, since no index comes about."""
        ...


@final
class Walk:
    """Goes once through the tree below an open directory."""

    def __init__(
        self,
        root: int,
        *,
        room: SpoolRoom,
        packer: HeaderPacker,
        attributes: AttributeReader,
        ctime_of: CtimeOf,
        report: BackupReport,
        numbering: Numbering,
        scope: Choice = WHOLE,
        origin: OriginMark | None = None,
        keep_going: Callable[[], object] | None = None,
        visiting: Callable[[Pending], object] | None = None,
    ) -> None:
        """:param origin: what the root tells of the volume.
        :param keep_going: called before each directory; raises when the
        walk is to end.
        :param visiting: told of each directory, in the order of the records.
        """
        self._visiting: Final = visiting
        self._root: Final = root
        self._keep_going: Final = keep_going
        self._packer: Final = packer
        self._attributes: Final = attributes
        self._ctime_of: Final = ctime_of
        self._report: Final = report
        self._device: Final = os.fstat(root).st_dev
        self._descent: Final = Descent(root)
        self._records: Final = room.spool()
        self._pending: Final = PendingStack(room)
        self._numbering: Final = numbering
        self._scope: Final = scope
        self._origin: Final = origin
        self._directories = 0
        self._hidden: Final[set[int]] = set()

    def run(self) -> TreeIndex:
        """Visit everything; the index is the caller's to close.

        :raises TapekitError: the root cannot be read, or a directory that the
            base has; there are more objects than the format has numbers, or a
            spool failed.
        """
        try:
            self._visit_all()
            index = self._numbering.finish(self._records, self._directories)
            index = index._replace(hidden=self._hidden)
        except BaseException:
            self._records.close()
            self._numbering.abandon()
            raise
        finally:
            self._descent.close()
            self._pending.close()
        self._numbering.close()
        return index

    def _visit_all(self) -> None:
        self._numbering.begin()
        self._pending.push(Pending(0, ROOT, ROOT, b""))
        while self._pending:
            if self._keep_going is not None:
                self._keep_going()
            self._visit(self._pending.pop())

    def _visit(self, item: Pending) -> None:
        """Write the record of one directory, and list it."""
        record = DirectoryRecord(self._records, self._packer, item.number, item.parent)
        self._numbering.enter(item)
        if self._visiting is not None:
            self._visiting(item)
        self._directories += 1
        try:
            self._descent.enter(item.depth, item.name)
            fd = self._descent.here()
            status = os.fstat(fd)
        except OSError as error:
            record.finish(self._lost(item, error), [])
            return
        if self._report.is_verbose:
            self._report.tell(f"Directory {readable(self._descent.path())}")
        if status.st_dev == self._device:
            self._list(Place(item, fd, record, self._descent.path))
        else:
            self._demand(item, OSError(errno.EXDEV, "another file system is mounted there"))
            self._hidden.add(item.number)
            self._report.warn(
                CATALOGUE.error("mount-point-left-out", path=readable(self._descent.path()))
            )
        sets = self._attributes.of_descriptor(fd, self._descent.path, b"", directory=True)
        if self._origin is not None and item.number == ROOT:
            sets = with_origin(sets, self._origin)
        record.finish(Inode.of(status, self._ctime_of(status)), sets)

    def _lost(self, item: Pending, error: OSError) -> Inode:
        """Report a directory that cannot be opened; gives what is known of it."""
        self._demand(item, error)
        self._hidden.add(item.number)
        self._report.lose(
            CATALOGUE.error(
                "directory-unreadable",
                path=readable(self._descent.path()),
                reason=error.strerror or error,
            )
        )
        try:
            status = os.stat(item.name, dir_fd=self._descent.above(), follow_symlinks=False)
        except OSError:
            return _LOST
        return Inode.of(status, self._ctime_of(status)) if stat.S_ISDIR(status.st_mode) else _LOST

    def _demand(self, item: Pending, error: OSError) -> None:
        """Let nothing that the base has be missing: a dump tells what is gone
        by what is not in it.

        :raises TapekitError: the base may have what is in this directory.
        """
        if error.errno not in _GONE and self._numbering.is_in_base(item.number):
            raise CATALOGUE.error(
                "directory-of-base-unreadable",
                path=readable(self._descent.path()),
                reason=error.strerror or error,
            ) from error

    def _list(self, place: Place) -> None:
        is_begun = False
        wanted = self._scope.within(self._descent.path())
        try:
            with os.scandir(place.descriptor) as entries:
                chosen = entries if wanted is None else filter(wanted, entries)
                while piece := list(islice(chosen, SLICE)):
                    is_begun = True
                    self._take(piece, place)
                for name in self._scope.junctions():
                    self._numbering.take_junction(name, place)
                for entry in self._scope.withheld():
                    self._numbering.take_withheld(entry, place)
        except OSError as error:
            self._demand(place.item, error)
            if not is_begun:
                self._hidden.add(place.item.number)
            self._report.lose(
                CATALOGUE.error(
                    "directory-incomplete",
                    path=readable(self._descent.path()),
                    reason=error.strerror or error,
                )
            )

    def _take(self, piece: list[os.DirEntry[str]], place: Place) -> None:
        depth, parent = place.item.depth + 1, place.item.number
        for number, name in reversed(self._numbering.take(piece, place)):
            self._pending.push(Pending(depth, number, parent, name))


def names_of(
    entries: Sequence[os.DirEntry[str]], place: Place, report: BackupReport
) -> list[bytes]:
    """The names of entries as bytes; reports one that others cannot restore."""
    # Joined, since encoding them one by one is slow.
    joined = "\0".join([entry.name for entry in entries])
    names = os.fsencode(joined).split(b"\0")
    if max(map(len, names)) > _LONGEST_FOR_DEBIAN:
        longest = max(names, key=len)
        report.warn_once(CATALOGUE.error("name-of-255-bytes", path=readable(place.locate(longest))))
    return names
