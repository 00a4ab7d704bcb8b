"""The base of an incremental dump: found before it, and left for the next.

A dump is a base if its date is remembered and all its numbers are there.
When a dump is complete, its own numbers are kept, by the inode numbers that
objects have in the volume, since a Snapshot copy has others. The one rule: an
object that is not in a dump as it is has no number for the next one, which
then has it anew.
"""

from __future__ import annotations

import array
import os
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit.hookspecs.storage import Origin
from tapekit_dump.changes import Changes
from tapekit_dump.dates import Dump
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.hard_links import UNTRUSTED
from tapekit_dump.increment_numbering import IncrementNumbering
from tapekit_dump.known_numbers import KnownNumbers
from tapekit_dump.maps import ROOT
from tapekit_dump.number_pages import NUMBERS_PER_PAGE, BadPage, pack_page

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from tapekit.hookspecs.storage import BackupTree, TreeTraits
    from tapekit_dump.backup_report import BackupReport
    from tapekit_dump.chain import ChainStep
    from tapekit_dump.dates import DumpDates
    from tapekit_dump.spool import SpoolRoom
    from tapekit_dump.walk import TreeIndex

__all__ = ["IncrementBase", "Numbered", "find_base", "known_numbers", "numbered"]

_WIDTH: Final = 8
_PAGE_BYTES: Final = _WIDTH * NUMBERS_PER_PAGE
_NO_TIMES: Final = {"st_atime_ns": 0, "st_mtime_ns": 0, "st_ctime_ns": 0}


class Numbered(NamedTuple):
    """A dump, with its numbers for the store."""

    dump: Dump
    pages: Iterator[bytes]
    """To be taken once; doing so raises TapekitError if a temporary file fails."""


@final
class IncrementBase:
    """An earlier dump that a new one builds on."""

    def __init__(self, dump: Dump, known: KnownNumbers, room: SpoolRoom) -> None:
        self.dump: Final = dump
        self._known: Final = known
        self._room: Final = room

    def close(self) -> None:
        """Free what is known of it; later calls do nothing."""
        self._known.close()

    def numbering(
        self, tree: BackupTree, report: BackupReport, *, ignore_ctime: bool, limits: str = ""
    ) -> IncrementNumbering:
        """The numbering of the new dump, which takes this base along.

        :param limits: see :func:`tapekit_dump.backup_scope.limits_of`.
        """
        changes = Changes(
            self.dump.taken_at_s,
            ignore_ctime=ignore_ctime,
            birth_ns=tree.birth_ns,
        )

        def origin_of(entry: os.DirEntry[str], status: os.stat_result) -> Origin:
            if tree.snapshot_name is None:
                # Not the status's own number: that is another's on a mount point.
                return Origin(entry.inode(), status.st_ctime_ns)
            return tree.origin(status)

        return IncrementNumbering(
            self._room,
            report,
            self._known,
            origin_of,
            changes,
            hidden=self.dump.hidden,
            is_copy=tree.snapshot_name is not None,
            # Names come and go with what is left out, and no time tells of it.
            # What is not known to be the same may be another.
            all_directories=limits != self.dump.limits,
        )


def find_base(
    step: ChainStep,
    path: str,
    dates: DumpDates,
    room: SpoolRoom,
    report: BackupReport,
    *,
    traits: TreeTraits,
) -> IncrementBase | None:
    """What a backup builds on; ``None`` if it is a full one, be it because
    there is nothing to build on.

    :param traits: those of the volume now.
    :raises TapekitError: the state store or a temporary file failed.
    """
    if not step.level:
        return None
    dump = step.base(path, dates)
    if dump is None:
        report.warn(CATALOGUE.error("no-base", path=_shown(path), level=step.level))
        return None
    if dump.type_changes != traits.type_changes:
        report.warn(CATALOGUE.error("volume-type-changed", path=_shown(path), date=dump.date))
        return None
    try:
        known = known_numbers(path, dump, dates, room, traits)
    except BadPage as bad:
        report.warn(CATALOGUE.error("base-damaged", path=_shown(path), date=dump.date, reason=bad))
        return None
    if dump.moves != traits.moves:
        report.say(str(CATALOGUE.error("volume-moved", path=_shown(path), date=dump.date)))
    if dump.limits is None:
        report.say(str(CATALOGUE.error("base-limits-unknown", path=_shown(path), date=dump.date)))
    return IncrementBase(dump, known, room)


def known_numbers(
    path: str, dump: Dump, dates: DumpDates, room: SpoolRoom, traits: TreeTraits
) -> KnownNumbers:
    """The numbers of a dump, for a volume as it is now: after a move inode
    numbers are those of other objects.

    :raises BadPage: one of the pages is missing or damaged.
    :raises TapekitError: the state store or a temporary file failed.
    """
    tells = dump.moves == traits.moves
    return KnownNumbers(dates.pages_of(path, dump), room, tells_objects=tells)


def numbered(
    index: TreeIndex,
    tree: BackupTree,
    lost: Collection[int],
    *,
    date: int,
    level: int,
    limits: str = "",
) -> Numbered:
    """What a complete dump leaves for those that build on it.

    :param lost: numbers of objects that are not in it as they are.
    :raises TapekitError: a temporary file failed.
    """
    for number in lost:
        index.inodes.patch(_WIDTH * (number - ROOT), bytes(_WIDTH))
    pages = -(-index.inodes.length // _PAGE_BYTES)
    dump = Dump(
        date=date,
        level=level,
        taken_at_s=tree.taken_at_s,
        pages=pages,
        hidden=tuple(sorted(index.hidden)),
        limits=limits,
        type_changes=tree.traits.type_changes,
        moves=tree.traits.moves,
    )
    return Numbered(dump, _pages(index, tree))


def _pages(index: TreeIndex, tree: BackupTree) -> Iterator[bytes]:
    """The numbers of a dump, for the store."""
    for offset in range(0, index.inodes.length, _PAGE_BYTES):
        inodes = array.array("Q")
        inodes.frombytes(index.inodes.read(offset, _PAGE_BYTES))
        if index.doubtful:
            doubtful = frozenset(index.doubtful)
            inodes = array.array("Q", (0 if each in doubtful else each for each in inodes))
        if tree.snapshot_name is not None and not index.are_of_volume:
            inodes = array.array("Q", _in_volume(inodes, tree))
        yield pack_page(inodes)


def _in_volume(inodes: array.array[int], tree: BackupTree) -> Iterator[int]:
    """The inode numbers that objects of a Snapshot copy have in the volume."""
    device = os.fstat(tree.descriptor).st_dev
    for inode in inodes:
        if inode == UNTRUSTED:
            yield UNTRUSTED
        else:
            # Who an object is depends on nothing else of its status.
            status = os.stat_result((0, inode, device, 0, 0, 0, 0, 0, 0, 0), _NO_TIMES)
            yield tree.origin(status).inode


def _shown(path: str) -> str:
    """A path without the name of a backup of several subtrees."""
    return path.partition("\n")[0]
