"""The first pass: what is in the tree, and a number for each of it.

Directories are visited depth first, listed in slices sorted by inode, and
written to a spool as they will stand in the stream. Nothing is asked about a
file but what its directory tells: inode number and type. Numbers are given
in the order of the walk, so that files get theirs in the order in which they
will be written. The one rule: memory does not grow with the tree but by a
bit for each inode number, which is what finds hard links.
"""

from __future__ import annotations

import os
import stat
from itertools import islice, repeat
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit_dump.backup_report import readable
from tapekit_dump.descent import Descent
from tapekit_dump.directories import EntryType
from tapekit_dump.directory_record import DirectoryRecord
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.hard_links import UNTRUSTED, HardLinks
from tapekit_dump.headers import Inode
from tapekit_dump.maps import ROOT
from tapekit_dump.plan import Plan, StepKind
from tapekit_dump.spool import Pending, PendingStack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tapekit_dump.backup_attributes import AttributeReader
    from tapekit_dump.backup_report import BackupReport
    from tapekit_dump.backup_stream import CtimeOf
    from tapekit_dump.header_packing import HeaderPacker
    from tapekit_dump.spool import Spool, SpoolRoom

__all__ = ["SLICE", "TreeIndex", "Walk"]

SLICE: Final = 10_000
"""Entries of a directory that are in memory together."""

_LONGEST_FOR_DEBIAN: Final = 254
_HIGHEST: Final = 2**32 - 1
_INODE: Final = os.DirEntry.inode

_TYPES: Final = {
    stat.S_IFIFO: EntryType.FIFO,
    stat.S_IFCHR: EntryType.CHARACTER_DEVICE,
    stat.S_IFBLK: EntryType.BLOCK_DEVICE,
    stat.S_IFSOCK: EntryType.SOCKET,
}
_LOST: Final = Inode(mode=stat.S_IFDIR, links=2, uid=0, gid=0, atime_us=0, mtime_us=0, ctime_s=0)
"""A directory of which nothing is known but that it was there."""


class TreeIndex(NamedTuple):
    """What the first pass leaves for the phases that write."""

    records: Spool
    """All directories, whose record numbers count from 0."""
    plan: Plan
    highest: int
    """The highest number; all from 2 on are in use."""
    directories: int

    def close(self) -> None:
        """Free the spools."""
        self.records.close()
        self.plan.close()


class _Place(NamedTuple):
    """The directory that is being listed."""

    item: Pending
    descriptor: int
    record: DirectoryRecord


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
        keep_going: Callable[[], object] | None = None,
    ) -> None:
        """:param keep_going: called before each directory; raises when the
        walk is to end.
        """
        self._root: Final = root
        self._keep_going: Final = keep_going
        self._packer: Final = packer
        self._attributes: Final = attributes
        self._ctime_of: Final = ctime_of
        self._report: Final = report
        self._device: Final = os.fstat(root).st_dev
        self._descent: Final = Descent(root)
        self._records: Final = room.spool()
        self._plan: Final = Plan(room.spool())
        self._pending: Final = PendingStack(room)
        self._links: Final = HardLinks(room)
        self._next = ROOT
        self._directories = 0

    def run(self) -> TreeIndex:
        """Visit everything; the index is the caller's to close.

        :raises TapekitError: the root cannot be read, there are more objects
            than the format has numbers, or a spool failed.
        """
        index = TreeIndex(self._records, self._plan, 0, 0)
        try:
            self._visit_all()
            further_names = self._links.resolve(self._records)
        except BaseException:
            index.close()
            raise
        finally:
            self._descent.close()
            self._pending.close()
            self._links.close()
        self._report.debug(
            f"Numbers {ROOT} to {self._next - 1}; {self._directories} directories,"
            f" {further_names} further names of files"
        )
        return index._replace(highest=self._next - 1, directories=self._directories)

    def _visit_all(self) -> None:
        self._links.remember([os.fstat(self._root).st_ino])
        self._next += 1
        self._pending.push(Pending(0, ROOT, ROOT, b""))
        while self._pending:
            if self._keep_going is not None:
                self._keep_going()
            self._visit(self._pending.pop())

    def _visit(self, item: Pending) -> None:
        """Write the record of one directory, and list it."""
        record = DirectoryRecord(self._records, self._packer, item.number, item.parent)
        self._plan.directory(item.number, item.depth, item.name)
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
            self._list(_Place(item, fd, record))
        else:
            self._report.warn(
                CATALOGUE.error("mount-point-left-out", path=readable(self._descent.path()))
            )
        sets = self._attributes.of_descriptor(fd, self._descent.path, b"", directory=True)
        record.finish(Inode.of(status, self._ctime_of(status)), sets)

    def _lost(self, item: Pending, error: OSError) -> Inode:
        """Report a directory that cannot be opened; gives what is known of it."""
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

    def _list(self, place: _Place) -> None:
        try:
            with os.scandir(place.descriptor) as entries:
                while piece := list(islice(entries, SLICE)):
                    self._take(piece, place)
        except OSError as error:
            self._report.lose(
                CATALOGUE.error(
                    "directory-incomplete",
                    path=readable(self._descent.path()),
                    reason=error.strerror or error,
                )
            )

    def _take(self, piece: list[os.DirEntry[str]], place: _Place) -> None:
        """Number a slice of a directory, files first."""
        regular = [entry for entry in piece if entry.is_file(follow_symlinks=False)]
        self._number_files(StepKind.REGULAR, EntryType.REGULAR, regular, place)
        if len(regular) == len(piece):
            return
        rest = [entry for entry in piece if not entry.is_file(follow_symlinks=False)]
        symlinks = [entry for entry in rest if entry.is_symlink()]
        directories = [entry for entry in rest if entry.is_dir(follow_symlinks=False)]
        self._number_files(StepKind.SYMLINK, EntryType.SYMLINK, symlinks, place)
        if len(symlinks) + len(directories) < len(rest):
            self._number_others(set(rest).difference(symlinks, directories), place)
        self._number_directories(directories, place)

    def _number_directories(self, entries: list[os.DirEntry[str]], place: _Place) -> None:
        if not entries:
            return
        entries.sort(key=_INODE)
        names = self._names(entries)
        numbers = self._numbers(len(names))
        self._links.remember(list(map(_INODE, entries)))
        place.record.add(zip(numbers, repeat(EntryType.DIRECTORY), names))
        depth, parent = place.item.depth + 1, place.item.number
        for number, name in zip(reversed(numbers), reversed(names), strict=True):
            self._pending.push(Pending(depth, number, parent, name))

    def _number_others(self, entries: Iterable[os.DirEntry[str]], place: _Place) -> None:
        """Fifos, sockets and devices: only their status tells which."""
        by_type: dict[EntryType, list[os.DirEntry[str]]] = {}
        for entry in entries:
            try:
                kind = stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode)
            except FileNotFoundError:
                # Gone since the directory was read, so not part of the backup.
                continue
            by_type.setdefault(_TYPES.get(kind, EntryType.UNKNOWN), []).append(entry)
        for entry_type, members in by_type.items():
            self._number_files(StepKind.OTHER, entry_type, members, place)

    def _number_files(
        self,
        kind: StepKind,
        entry_type: EntryType,
        entries: list[os.DirEntry[str]],
        place: _Place,
    ) -> None:
        """Number entries of one type, and plan to write them."""
        if not entries:
            return
        entries.sort(key=_INODE)
        names = self._names(entries)
        inodes = list(map(_INODE, entries))
        repeated = self._links.seen_before(inodes)
        if repeated:
            names, inodes = self._leave_out_links(repeated, entry_type, names, inodes, place)
            if not names:
                return
        numbers = self._numbers(len(names))
        self._links.remember(inodes)
        self._plan.names(kind, numbers.start, names)
        place.record.add(zip(numbers, repeat(entry_type), names))

    def _leave_out_links(
        self,
        repeated: Sequence[int],
        entry_type: EntryType,
        names: list[bytes],
        inodes: list[int],
        place: _Place,
    ) -> tuple[list[bytes], list[int]]:
        """Enter further names of known objects; gives the others."""
        links = set()
        for index in repeated:
            if _is_link(names[index], inodes[index], place.descriptor):
                links.add(index)
            else:
                inodes[index] = UNTRUSTED
        ordered = sorted(links)
        missing = place.record.add((0, entry_type, names[index]) for index in ordered)
        for index, at in zip(ordered, missing, strict=True):
            self._links.add(inodes[index], at)
        kept = [index for index in range(len(names)) if index not in links]
        return [names[index] for index in kept], [inodes[index] for index in kept]

    def _names(self, entries: Sequence[os.DirEntry[str]]) -> list[bytes]:
        """The names as bytes; joined, since encoding one by one is slow."""
        joined = "\0".join([entry.name for entry in entries])
        names = os.fsencode(joined).split(b"\0")
        if max(map(len, names)) > _LONGEST_FOR_DEBIAN:
            longest = max(names, key=len)
            self._report.warn_once(
                CATALOGUE.error("name-of-255-bytes", path=readable(self._descent.path(longest)))
            )
        return names

    def _numbers(self, count: int) -> range:
        """The next numbers, in order.

        :raises TapekitError: the format has no more.
        """
        numbers = range(self._next, self._next + count)
        if numbers.stop > _HIGHEST:
            raise CATALOGUE.error("too-many-objects", limit=_HIGHEST)
        self._next = numbers.stop
        return numbers


def _is_link(name: bytes, inode: int, directory: int) -> bool:
    """Whether a repeated inode number really is one object with several
    names: some file systems give the same one to many.
    """
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return status.st_ino == inode and status.st_nlink > 1
