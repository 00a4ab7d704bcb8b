"""The tree of a backup as its directories tell it, before any file comes.

Directories are kept in memory, one small record each; names go to a spool
that gives them back in the order in which files come. Then every directory
is followed up to the root, which shows what is reachable, what is wanted,
and what was made up. The one rule: only a name that is a single harmless
component, in a directory that hangs on the root, ever becomes a place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit_dump.backup_report import readable
from tapekit_dump.directories import EntryFault, EntryType, decode_entries
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.maps import ROOT
from tapekit_dump.recover_spool import BlobSpool, EntrySpool, pack_entry, unpack_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tapekit_dump.directories import DecodedEntry
    from tapekit_dump.maps import NumberSet
    from tapekit_dump.recover_findings import Findings
    from tapekit_dump.recover_selection import Branch, View
    from tapekit_dump.spool import SpoolRoom

__all__ = ["Catalogue", "Directory", "Names", "Place", "merged_views"]

_DOTS: Final = frozenset({b".", b".."})
_MAYBE_DIRECTORY: Final = frozenset({int(EntryType.DIRECTORY), int(EntryType.UNKNOWN)})


@final
class Directory:
    """A directory of the backup."""

    __slots__ = ("attributes", "inode", "name", "parent", "sets", "views")

    def __init__(self, inode: int, attributes: bytes) -> None:
        self.inode = inode
        self.attributes = attributes
        """Packed, since there is one for each directory of the backup."""
        self.parent = 0
        """Inode number of the directory that it is in; 0 while unknown."""
        self.name = b""
        self.sets: tuple[int, ...] = ()
        """Keys of its attribute sets."""
        self.views: tuple[View, ...] | None = None
        """Where it is wanted; ``None`` until it has been followed up."""


class Place(NamedTuple):
    """A name that an object gets."""

    view: View
    directory: int
    """Inode number of the directory in the backup; 0 for that in which the
    view's top stands."""
    name: bytes
    path: tuple[int, bytes]
    """Directory and name in the backup, for messages."""


@final
class Catalogue:
    """All directories of a backup and the names in them.

    :param branch: the tops of all views.
    :param room: where names go that have no room in memory.
    :param run_entries: names kept in memory.
    :param meet: hears of each name that may be a directory's: the number of
        the directory that it is in, the name, the number that it stands for.
    """

    def __init__(
        self,
        branch: Branch,
        findings: Findings,
        room: SpoolRoom,
        run_entries: int,
        meet: Callable[[int, bytes, int], None] | None = None,
    ) -> None:
        self._findings: Final = findings
        self._meet: Final = meet
        self._directories: Final[dict[int, Directory]] = {}
        self._entries: Final = EntrySpool(room, run_entries)
        self._candidates: Final = EntrySpool(room, run_entries)
        self._sets: Final = BlobSpool(room)
        self._branches: Final[dict[int, Branch]] = {ROOT: branch}
        self.used: NumberSet | None = None
        """Numbers in use when an incremental dump was made, if it told."""
        self.dumped: NumberSet | None = None
        """Numbers that an incremental dump has, if it told; the directories
        name others too."""
        self._is_linked = False
        self._is_whole: Final = any(view.is_recursive for view in branch.views)

    @property
    def directories(self) -> Mapping[int, Directory]:
        """Directories by inode number."""
        return self._directories

    @property
    def names_count(self) -> int:
        """Names in all directories together."""
        return self._entries.count

    def close(self) -> None:
        """Drop the spools."""
        for spool in (self._entries, self._candidates, self._sets):
            spool.close()

    # Filling

    def add_directory(self, inode: int, attributes: bytes) -> Directory | None:
        """Take a directory in; ``None`` if its number has come before."""
        if inode in self._directories:
            self._findings.lose(CATALOGUE.error("directory-twice", inode=inode))
            return None
        directory = self._directories[inode] = Directory(inode, attributes)
        return directory

    def add_content(
        self,
        directory: Directory,
        content: memoryview | bytes,
        offset: int,
        byte_order: str,
        *,
        old_format: bool,
    ) -> None:
        """Take in a part of a directory's content that begins at ``offset``
        of it, a multiple of 1,024.

        :raises TapekitError: a spool cannot be written.
        """
        parent, keep, keep_candidate = directory.inode, self._entries.add, self._candidates.add
        for entry in decode_entries(content, byte_order, old_format=old_format):
            inode, kind, name, _, fault = entry
            if fault is not None or name in _DOTS:
                if fault is None and not offset:
                    continue
                name = self._mended_name(entry, parent, offset)
                if not name:
                    continue
            packed = pack_entry(inode, parent, name)
            keep(packed)
            if kind in _MAYBE_DIRECTORY:
                keep_candidate(packed)
                if self._meet is not None:
                    self._meet(parent, name, inode)

    def add_name(self, parent: int, name: bytes, inode: int) -> None:
        """Take in a single name, that of a directory.

        :raises TapekitError: a spool cannot be written.
        """
        packed = pack_entry(inode, parent, name)
        self._entries.add(packed)
        self._candidates.add(packed)

    def add_set(self, directory: Directory, blob: bytes) -> None:
        """Keep an attribute set of a directory.

        :raises TapekitError: a spool cannot be written.
        """
        directory.sets += (self._sets.add(blob),)

    def _mended_name(self, entry: DecodedEntry, parent: int, offset: int) -> bytes:
        """A name for an entry with a fault, or nothing if it is refused."""
        if entry.fault is EntryFault.OVERWRITTEN:
            name = b"INODE-%d" % entry.inode
            self._findings.warn(
                CATALOGUE.error(
                    "name-invented", inode=entry.inode, directory=parent, name=readable(name)
                )
            )
            return name
        self._findings.lose(
            CATALOGUE.error(
                "entry-refused",
                name=readable(entry.name),
                inode=entry.inode,
                directory=parent,
                offset=offset + entry.offset,
                reason=(entry.fault or EntryFault.DOT).value,
            )
        )
        return b""

    # Asking

    def sets_of(self, directory: Directory) -> Sequence[bytes]:
        """The attribute sets of a directory."""
        return [self._sets.get(key) for key in directory.sets]

    def path_of(self, inode: int, name: bytes = b"") -> str:
        """The path of a directory, or of a name in it, below the backup's
        root, for messages.
        """
        parts = [name] if name else []
        while inode != ROOT and (directory := self._directories.get(inode)) is not None:
            parts.append(directory.name)
            inode = directory.parent
        return readable(b"/" + b"/".join(reversed(parts)))

    def all_names(self) -> Iterator[tuple[int, int, bytes]]:
        """Number, directory and name of all names, in this order.

        :raises TapekitError: the spool cannot be read.
        """
        return map(unpack_entry, self._entries.in_order())

    def arrange(self) -> Iterator[Directory]:
        """Follow each directory up to the root and give those that are
        wanted, each after its parent has been dealt with.

        Whoever takes a directory may remove views from it; nothing below it
        is then wanted in those.

        :raises TapekitError: there is no root.
        """
        self.link()
        root = self._directories.get(ROOT)
        if root is None:
            raise CATALOGUE.error("no-root-directory", count=len(self._directories))
        root.views = self._widen((), self._branches[ROOT], ROOT)
        if root.views:
            yield root
        for directory in self._directories.values():
            if directory.views is None:
                yield from self._follow(directory)

    def names(self, missing: Callable[[Sequence[Place]], None]) -> Names:
        """The names of everything that is no directory, once
        :meth:`arrange` has come to its end.

        :param missing: hears of those whose objects do not come.
        """
        return Names(self._wanted_names(), missing, is_whole=self._is_whole)

    def link(self) -> None:
        """Find out which directory each directory is in, once all of them
        have come; later calls do nothing.

        :raises TapekitError: a spool cannot be read.
        """
        if self._is_linked:
            return
        self._is_linked = True
        missing = len(self._directories) - (ROOT in self._directories)
        for spool in (self._candidates, self._entries):
            # Types are only hints: if some directory has no name among the
            # entries that look right, all of them are looked through.
            for packed in spool.in_order() if missing else ():
                inode, parent, name = unpack_entry(packed)
                directory = self._directories.get(inode)
                if directory is not None and not directory.parent and inode != ROOT:
                    directory.parent, directory.name = parent, name
                    missing -= 1

    def _follow(self, directory: Directory) -> Iterator[Directory]:
        chain: list[Directory] = []
        above: Directory | None = directory
        while above is not None and above.views is None:
            # An empty tuple stops the climb when it comes here again.
            above.views = ()
            chain.append(above)
            above = self._directories.get(above.parent)
        if above is None or above in chain:
            self._lose_unreachable(chain)
            return
        for below in reversed(chain):
            below.views = self._views_below(above, below)
            above = below
            if below.views:
                yield below

    def _lose_unreachable(self, chain: Sequence[Directory]) -> None:
        for directory in chain if self._is_whole else ():
            self._findings.lose(CATALOGUE.error("directory-unreachable", inode=directory.inode))

    def _views_below(self, above: Directory, below: Directory) -> tuple[View, ...]:
        views = _recursive(above)
        branch = self._branches.get(above.inode)
        child = None if branch is None else branch.children.get(below.name)
        if child is None:
            return views
        self._branches[below.inode] = child
        return self._widen(views, child, below.inode)

    def _widen(self, views: tuple[View, ...], branch: Branch, inode: int) -> tuple[View, ...]:
        """Add the views whose top a directory is."""
        for view in branch.views:
            view.top = inode
        return _joined(views, branch)

    def _wanted_names(self) -> Iterator[tuple[int, list[Place]]]:
        directories, branches = self._directories, self._branches
        last, dumped = 0, self.dumped
        views: tuple[View, ...] = ()
        tops: Mapping[bytes, Branch] = {}
        for packed in self._entries.in_order():
            inode, parent, name = unpack_entry(packed)
            if dumped is not None and inode not in dumped:
                continue
            path = parent, name
            if parent != last:
                above, last = directories.get(parent), parent
                views = _recursive(above)
                tops = branches[parent].children if parent in branches else {}
            if name in tops:
                places = _places_of_tops(views, tops[name], path)
            else:
                places = [Place(view, parent, name, path) for view in views]
            if not places and not self._is_whole:
                continue
            if (known := directories.get(inode)) is None:
                yield inode, places
            elif places and ((known.parent, known.name) != path or inode == ROOT):
                self._findings.lose(
                    CATALOGUE.error("directory-linked-again", path=self.path_of(*path))
                )


def _recursive(directory: Directory | None) -> tuple[View, ...]:
    """The views that what is in a directory belongs to."""
    views = () if directory is None else directory.views or ()
    return tuple(view for view in views if view.is_recursive)


def _joined(views: tuple[View, ...], branch: Branch) -> tuple[View, ...]:
    """The views of a place that is the top of more, which are found so."""
    for view in branch.views:
        view.is_found = True
    return merged_views(views, branch)


def merged_views(views: tuple[View, ...], branch: Branch) -> tuple[View, ...]:
    """The views of a place that is in some and the top of more."""
    replaced = {outer for view in branch.views for outer in view.outer}
    return (*(view for view in (*views, *branch.views) if view not in replaced),)


def _places_of_tops(
    views: tuple[View, ...], branch: Branch, path: tuple[int, bytes]
) -> list[Place]:
    """The places of something that is named by a restore list itself."""
    return [
        Place(view, 0, view.target[-1], path) if view in branch.views else Place(view, *path, path)
        for view in _joined(views, branch)
    ]


@final
class Names:
    """Gives the places of objects in the order in which objects come."""

    def __init__(
        self,
        wanted: Iterator[tuple[int, list[Place]]],
        missing: Callable[[Sequence[Place]], None],
        *,
        is_whole: bool,
    ) -> None:
        self._wanted: Final = wanted
        self._missing: Final = missing
        self._is_whole: Final = is_whole
        self._next = next(wanted, None)

    @property
    def is_exhausted(self) -> bool:
        """Whether the rest of the stream has nothing that is wanted; of a
        whole backup it has its end.
        """
        return self._next is None and not self._is_whole

    @property
    def next_inode(self) -> int | None:
        """The number of the next object that is wanted."""
        return None if self._next is None else self._next[0]

    def take(self, inode: int) -> list[Place] | None:
        """All places of an object, ``None`` if it ought to have one and no
        directory names it. Objects before it that have not come are told as
        losses.
        """
        places: list[Place] | None = None if self._is_whole else []
        while self._next is not None and self._next[0] <= inode:
            number, found = self._next
            if number != inode:
                self._missing(found)
            else:
                places = found if places is None else places + found
            self._next = next(self._wanted, None)
        return places

    def lose_rest(self) -> None:
        """Tell everything that has not come as a loss."""
        while self._next is not None:
            self._missing(self._next[1])
            self._next = next(self._wanted, None)
