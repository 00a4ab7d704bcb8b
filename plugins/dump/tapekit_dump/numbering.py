"""Numbers for a full dump: dense, in the order of the walk.

Nothing is asked about a file but what its directory tells: inode number and
type. Files get numbers in the order in which they will be written, so the
plan is written as it comes. The one rule: memory does not grow with the tree
but by a bit for each inode number, which is what finds hard links.
"""

from __future__ import annotations

import os
import stat
from itertools import repeat
from typing import TYPE_CHECKING, Final, final

from tapekit_dump.directories import EntryType
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.hard_links import UNTRUSTED, HardLinks
from tapekit_dump.maps import ROOT
from tapekit_dump.plan import Plan, StepKind
from tapekit_dump.walk import Place, TreeIndex, names_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tapekit_dump.backup_report import BackupReport
    from tapekit_dump.spool import Pending, Spool, SpoolRoom

__all__ = ["SPECIAL_TYPES", "FullNumbering", "next_numbers"]

_HIGHEST: Final = 2**32 - 1
_INODE: Final = os.DirEntry.inode

SPECIAL_TYPES: Final = {
    stat.S_IFIFO: EntryType.FIFO,
    stat.S_IFCHR: EntryType.CHARACTER_DEVICE,
    stat.S_IFBLK: EntryType.BLOCK_DEVICE,
    stat.S_IFSOCK: EntryType.SOCKET,
}
"""What directories call the objects that are never opened."""


@final
class FullNumbering:
    """Numbers everything anew, from 2 on."""

    def __init__(self, room: SpoolRoom, report: BackupReport) -> None:
        self._report: Final = report
        self._plan: Final = Plan(room.spool())
        self._links: Final = HardLinks(room)
        self._doubtful: Final[set[int]] = set()
        self._next = ROOT

    def begin(self) -> None:
        """Number the root; see :class:`tapekit_dump.walk.Numbering`."""
        self._links.remember([UNTRUSTED])
        self._next += 1

    def enter(self, item: Pending) -> None:
        """What is taken next is in this directory."""
        self._plan.directory(item.number, item.depth, item.name)

    def is_in_base(self, number: int) -> bool:  # noqa: ARG002 - there is no base
        """Nothing is."""
        return False

    def finish(self, records: Spool, directories: int) -> TreeIndex:
        """The index of the whole tree."""
        further_names = self._links.resolve(records)
        self._report.debug(
            f"Numbers {ROOT} to {self._next - 1}; {directories} directories,"
            f" {further_names} further names of files"
        )
        return TreeIndex(
            records=records,
            plan=self._plan,
            highest=self._next - 1,
            objects=self._next - ROOT,
            directories=directories,
            inodes=self._links.inodes(),
            doubtful=self._doubtful,
        )

    def close(self) -> None:
        """Free what the index does not have."""
        self._links.close()

    def abandon(self) -> None:
        """Free everything."""
        self._plan.close()
        self._links.inodes().close()
        self._links.close()

    def take(self, piece: list[os.DirEntry[str]], place: Place) -> Sequence[tuple[int, bytes]]:
        """Number a slice of a directory, files first."""
        regular = [entry for entry in piece if entry.is_file(follow_symlinks=False)]
        self._number_files(StepKind.REGULAR, EntryType.REGULAR, regular, place)
        if len(regular) == len(piece):
            return ()
        rest = [entry for entry in piece if not entry.is_file(follow_symlinks=False)]
        symlinks = [entry for entry in rest if entry.is_symlink()]
        directories = [entry for entry in rest if entry.is_dir(follow_symlinks=False)]
        self._number_files(StepKind.SYMLINK, EntryType.SYMLINK, symlinks, place)
        if len(symlinks) + len(directories) < len(rest):
            self._number_others(set(rest).difference(symlinks, directories), place)
        return self._number_directories(directories, place)

    def take_junction(self, name: bytes, place: Place) -> None:
        """Number a name that stands in the dump as a symbolic link."""
        numbers = self._numbers(1)
        self._links.remember([UNTRUSTED])
        self._plan.names(StepKind.SYMLINK, numbers.start, [name])
        place.record.add([(numbers.start, EntryType.SYMLINK, name)])

    def take_withheld(self, entry: os.DirEntry[str], place: Place) -> None:  # noqa: ARG002 - it is not in the dump
        """Leave it out; the next dump has it anew, with all its names."""
        self._doubtful.add(entry.inode())

    def _number_directories(
        self, entries: list[os.DirEntry[str]], place: Place
    ) -> Sequence[tuple[int, bytes]]:
        if not entries:
            return ()
        entries.sort(key=_INODE)
        names = names_of(entries, place, self._report)
        numbers = self._numbers(len(names))
        self._links.remember(list(map(_INODE, entries)))
        place.record.add(zip(numbers, repeat(EntryType.DIRECTORY), names))
        return list(zip(numbers, names, strict=True))

    def _number_others(self, entries: Iterable[os.DirEntry[str]], place: Place) -> None:
        """Fifos, sockets and devices: only their status tells which."""
        by_type: dict[EntryType, list[os.DirEntry[str]]] = {}
        for entry in entries:
            try:
                kind = stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode)
            except FileNotFoundError:
                # Gone since the directory was read, so not part of the backup.
                continue
            by_type.setdefault(SPECIAL_TYPES.get(kind, EntryType.UNKNOWN), []).append(entry)
        # A restarted backup has to give the same numbers again.
        for entry_type, members in sorted(by_type.items()):
            self._number_files(StepKind.OTHER, entry_type, members, place)

    def _number_files(
        self,
        kind: StepKind,
        entry_type: EntryType,
        entries: list[os.DirEntry[str]],
        place: Place,
    ) -> None:
        """Number entries of one type, and plan to write them."""
        if not entries:
            return
        entries.sort(key=_INODE)
        names = names_of(entries, place, self._report)
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
        place: Place,
    ) -> tuple[list[bytes], list[int]]:
        """Enter further names of known objects; gives the others."""
        links = set()
        for index in repeated:
            if _is_link(names[index], inodes[index], place.descriptor):
                links.add(index)
            else:
                self._doubtful.add(inodes[index])
                inodes[index] = UNTRUSTED
        ordered = sorted(links)
        missing = place.record.add((0, entry_type, names[index]) for index in ordered)
        for index, at in zip(ordered, missing, strict=True):
            self._links.add(inodes[index], at)
        kept = [index for index in range(len(names)) if index not in links]
        return [names[index] for index in kept], [inodes[index] for index in kept]

    def _numbers(self, count: int) -> range:
        """The next numbers, in order.

        :raises TapekitError: the format has no more.
        """
        numbers = next_numbers(self._next, count)
        self._next = numbers.stop
        return numbers


def next_numbers(first: int, count: int) -> range:
    """As many numbers from ``first`` on.

    :raises TapekitError: the format has no more.
    """
    numbers = range(first, first + count)
    if numbers.stop > _HIGHEST:
        raise CATALOGUE.error("too-many-objects", limit=_HIGHEST)
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
