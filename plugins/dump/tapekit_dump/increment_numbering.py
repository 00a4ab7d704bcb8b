"""Numbers for an incremental dump: those of its base, and what has changed.

An object that the base numbered keeps its number, anything else gets the
next one. Each object's status tells whether it has changed since the base,
and with it all directories above it are in the dump, so that a restore finds
the way from the root. The one rule: what the base did not number is in the
dump whatever its times say.
"""

from __future__ import annotations

import array
import os
import stat
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, final

from tapekit.hookspecs.storage import Origin
from tapekit_dump.directories import EntryType
from tapekit_dump.hard_links import UNTRUSTED
from tapekit_dump.header_packing import rebase_header
from tapekit_dump.headers import ADDRESS_COUNT, RECORD_BYTES
from tapekit_dump.increment_plan import IncrementPlan
from tapekit_dump.maps import ROOT, NumberSet
from tapekit_dump.numbering import SPECIAL_TYPES, next_numbers
from tapekit_dump.plan import StepKind
from tapekit_dump.walk import Place, TreeIndex, names_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from tapekit_dump.backup_report import BackupReport
    from tapekit_dump.changes import Changes
    from tapekit_dump.known_numbers import KnownNumbers
    from tapekit_dump.spool import Pending, Spool, SpoolRoom

__all__ = ["IncrementNumbering", "OriginOf"]

OriginOf: TypeAlias = Callable[["os.DirEntry[str]", os.stat_result], Origin]
"""Tells what an entry is in the volume."""

_NUMBER: Final = struct.Struct("<20xI1000x")
_PIECE: Final = 1 << 16
_KINDS: Final = {stat.S_IFREG: StepKind.REGULAR, stat.S_IFLNK: StepKind.SYMLINK}
_TYPES: Final = {
    **SPECIAL_TYPES,
    stat.S_IFREG: EntryType.REGULAR,
    stat.S_IFLNK: EntryType.SYMLINK,
    stat.S_IFDIR: EntryType.DIRECTORY,
}


class _Found(NamedTuple):
    """An entry that has been looked at."""

    name: bytes
    number: int
    type: int
    is_changed: bool
    format: int
    """``S_IFMT`` of its mode."""


@final
class IncrementNumbering:
    """Implements :class:`tapekit_dump.walk.Numbering`.

    :param hidden: numbers of directories of which the base knows nothing that
        was in them.
    :param is_copy: whether objects have other inode numbers in the volume.
    :param all_directories: whether the dump has directories that have not
        changed too.
    """

    def __init__(
        self,
        room: SpoolRoom,
        report: BackupReport,
        known: KnownNumbers,
        origin_of: OriginOf,
        changes: Changes,
        *,
        hidden: Collection[int] = (),
        is_copy: bool = False,
        all_directories: bool = False,
    ) -> None:
        self._all_directories: Final = all_directories
        self._hidden: Final = frozenset(hidden)
        self._is_copy: Final = is_copy
        self._report: Final = report
        self._known: Final = known
        self._origin_of: Final = origin_of
        self._changes: Final = changes
        self._room: Final = room
        self._plan: Final = IncrementPlan(room)
        self._used: Final = NumberSet()
        self._dumped: Final = NumberSet()
        self._new_inodes: Final = array.array("Q")
        self._new_links: Final[dict[int, int]] = {}
        """Numbers of new files with several names, by inode number: the one
        thing in memory that grows with what is new."""
        self._doubtful: Final[set[int]] = set()
        self._way: Final[list[int]] = []
        """The numbers of the directories down to the one that is listed."""

    def begin(self) -> None:
        """The root is in every dump."""
        self._used.add(ROOT)
        self._dumped.add(ROOT)

    def enter(self, item: Pending) -> None:
        """What is taken next is in this directory."""
        del self._way[item.depth :]
        self._way.append(item.number)
        if self._all_directories:
            self._dumped.add(item.number)
        self._plan.enter(item.depth, item.name)

    def is_in_base(self, number: int) -> bool:
        """Whether the base may know what is in a directory."""
        return number <= self._known.highest and number not in self._hidden

    def take(self, piece: list[os.DirEntry[str]], place: Place) -> Sequence[tuple[int, bytes]]:
        """Number a slice of a directory, and plan what has changed."""
        piece.sort(key=os.DirEntry.inode)
        found = list(self._look_at(piece, place))
        place.record.add((each.number, each.type, each.name) for each in found)
        if any(each.is_changed for each in found):
            self._mark_way()
        for each in found:
            if each.is_changed and each.number not in self._dumped:
                self._dumped.add(each.number)
                if each.format != stat.S_IFDIR:
                    kind = _KINDS.get(each.format, StepKind.OTHER)
                    self._plan.add(each.number, kind, each.name)
        return [(each.number, each.name) for each in found if each.format == stat.S_IFDIR]

    def take_junction(self, name: bytes, place: Place) -> None:
        """Number a name that stands in the dump as a symbolic link: as a new
        one in each dump, since nothing tells whether it has changed.
        """
        number = self._next_number(UNTRUSTED)
        self._used.add(number)
        place.record.add([(number, EntryType.SYMLINK, name)])
        self._mark_way()
        self._dumped.add(number)
        self._plan.add(number, StepKind.SYMLINK, name)

    def take_withheld(self, entry: os.DirEntry[str], place: Place) -> None:
        """Name what the base has, without its being in the dump: a restore
        leaves it as it is, and the next dump has it anew, with all its names.
        """
        name = os.fsencode(entry.name)
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            # Gone since the directory was read, so not part of the backup.
            return
        inode, ctime_ns = self._origin_of(entry, status)
        self._doubtful.add(inode)
        number = self._known.find(inode)
        if not number or self._changes.is_another(place.descriptor, name, ctime_ns):
            return
        if number not in self._used or _has_links(status):
            self._used.add(number)
            kind = _TYPES.get(stat.S_IFMT(status.st_mode), EntryType.UNKNOWN)
            place.record.add([(number, kind, name)])

    def finish(self, records: Spool, directories: int) -> TreeIndex:
        """The index of what is in the dump."""
        highest = self._known.highest + len(self._new_inodes)
        inodes = self._room.spool()
        chosen = self._room.spool()
        try:
            self._list_inodes(inodes)
            self._choose(records, chosen)
        except BaseException:
            inodes.close()
            chosen.close()
            raise
        records.close()
        self._report.debug(
            f"Numbers {ROOT} to {highest}; {len(self._new_inodes)} of them are new;"
            f" {directories} directories"
        )
        return TreeIndex(
            records=chosen,
            plan=self._plan,
            highest=highest,
            objects=len(self._dumped),
            directories=directories,
            inodes=inodes,
            doubtful=self._doubtful,
            are_of_volume=True,
            used=self._used,
            dumped=self._dumped,
        )

    def close(self) -> None:
        """Free what the index does not have."""
        self._known.close()

    def abandon(self) -> None:
        """Free everything."""
        self._plan.close()
        self.close()

    def _look_at(self, piece: Sequence[os.DirEntry[str]], place: Place) -> Iterator[_Found]:
        names = names_of(piece, place, self._report)
        device = os.fstat(place.descriptor).st_dev
        for entry, name in zip(piece, names, strict=True):
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                # Gone since the directory was read, so not part of the backup.
                continue
            except OSError:
                if self._is_copy or not entry.is_dir(follow_symlinks=False):
                    raise
                yield self._unseen(entry.inode(), name)
                continue
            form = stat.S_IFMT(status.st_mode)
            if form == stat.S_IFDIR and status.st_dev != device and not self._is_copy:
                # What is mounted there has another's times and inode number.
                yield self._unseen(entry.inode(), name)
                continue
            inode, ctime_ns = self._origin_of(entry, status)
            number = self._known_number(inode, status, name, place, ctime_ns)
            if number > self._known.highest:
                # A further name of what is new: the base's directory has not got it.
                is_changed = True
            elif number:
                is_changed = self._changes.is_changed(place.descriptor, name, status, ctime_ns)
            else:
                number, is_changed = self._new_number(inode, status), True
            self._used.add(number)
            yield _Found(name, number, _TYPES.get(form, EntryType.UNKNOWN), is_changed, form)

    def _unseen(self, inode: int, name: bytes) -> _Found:
        """A directory of which no more than its name can be told, such as a
        mount point; the visit to it reports that.
        """
        number, is_new = self._known.find(inode), False
        if not number or number in self._used:
            number, is_new = self._next_number(inode), True
        self._used.add(number)
        return _Found(name, number, EntryType.DIRECTORY, is_new, stat.S_IFDIR)

    def _known_number(
        self, inode: int, status: os.stat_result, name: bytes, place: Place, ctime_ns: int
    ) -> int:
        """The number that an object has already, or 0."""
        number = self._known.find(inode)
        if number and number in self._used and not _has_links(status):
            # Two objects have this inode number: neither can be told by it.
            self._doubtful.add(inode)
            return 0
        if not number or self._changes.is_another(place.descriptor, name, ctime_ns):
            return self._new_links.get(inode, 0) if _has_links(status) else 0
        return number

    def _new_number(self, inode: int, status: os.stat_result) -> int:
        """A number for an object that the base does not have.

        :raises TapekitError: there are no more.
        """
        number = self._next_number(inode)
        if _has_links(status):
            self._new_links[inode] = number
        return number

    def _next_number(self, inode: int) -> int:
        (number,) = next_numbers(self._known.highest + len(self._new_inodes) + 1, 1)
        self._new_inodes.append(inode)
        return number

    def _mark_way(self) -> None:
        """The directories down to here are in the dump."""
        for number in reversed(self._way):
            if number in self._dumped:
                break
            self._dumped.add(number)

    def _list_inodes(self, inodes: Spool) -> None:
        """All inode numbers from number 2 on, without those that are gone."""
        number = ROOT
        for page in self._known.pages():
            for index in range(len(page)):
                if number + index not in self._used:
                    page[index] = UNTRUSTED
            number += len(page)
            inodes.append(page.tobytes())
        inodes.append(self._new_inodes.tobytes())

    def _choose(self, records: Spool, chosen: Spool) -> None:
        """Take over the directories that are in the dump."""
        at = 0
        while at < records.length:
            header = records.read(at, RECORD_BYTES)
            length = RECORD_BYTES * (1 + ADDRESS_COUNT.unpack(header)[0])
            if _NUMBER.unpack(header)[0] in self._dumped:
                rebase_header(header, 0, (chosen.length - at) // RECORD_BYTES)
                chosen.append(header)
                for offset in range(RECORD_BYTES, length, _PIECE):
                    chosen.append(records.read(at + offset, min(_PIECE, length - offset)))
            at += length


def _has_links(status: os.stat_result) -> bool:
    """Whether an object may have further names."""
    return status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode)
