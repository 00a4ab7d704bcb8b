"""The course of a direct access restore: straight to what is wanted.

The positions of the restore list lead to objects, which are taken in the
order in which they stand in the stream. Directories, if they may be restored
so, are read first, with all that the offset map knows below them; then their
files come in among those that the list names. The one rule: what a position
leads to is made only if it is what the list says.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit.hookspecs.data_engine import FileResult
from tapekit.streams import EndOfStream
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.headers import RECORD_BYTES, HeaderType
from tapekit_dump.maps import ROOT
from tapekit_dump.offset_map import BadMap, MapHead, read_map
from tapekit_dump.recover_catalogue import Place
from tapekit_dump.recover_cursor import Cursor, NotThere, is_directory, is_object
from tapekit_dump.recover_directories import DirectoryMaker
from tapekit_dump.recover_losses import Losses
from tapekit_dump.recover_selection import join_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tapekit.streams import StreamReader
    from tapekit_dump.headers import Header
    from tapekit_dump.offset_map import OffsetMap
    from tapekit_dump.recover_attributes import AttributeSetter
    from tapekit_dump.recover_catalogue import Catalogue
    from tapekit_dump.recover_crew import Hands
    from tapekit_dump.recover_direct_stream import DirectStream
    from tapekit_dump.recover_findings import Findings
    from tapekit_dump.recover_places import Places
    from tapekit_dump.recover_selection import View
    from tapekit_dump.recover_tree import DirectTree
    from tapekit_dump.recover_wishes import Wishes

__all__ = ["DirectCourse", "Means", "WholeStreamNeeded"]


class WholeStreamNeeded(Exception):
    """What is wanted cannot be found but by reading the stream from its
    beginning; nothing has been made yet.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason: Final = reason


class Means(NamedTuple):
    """What a course works with."""

    catalogue: Catalogue
    """Whose ``meet`` is that of the tree."""
    tree: DirectTree
    places: Places
    setter: AttributeSetter
    findings: Findings
    hands: Hands
    enter: Callable[[str], None]
    """Hears of each phase that begins."""
    warn_of_room: Callable[[], None]
    """Called once all directories have been read, before one is made."""
    is_verbose: bool


class _Goal(NamedTuple):
    """Something to restore."""

    position: int
    """Where it stands, or something not far before it."""
    inode: int
    """0 if only the position is known."""
    places: Sequence[Place]
    views: Sequence[View]
    """The entries of the list that name it; none if a directory does."""


@final
class DirectCourse:
    """One restore, which runs once."""

    def __init__(
        self, stream: DirectStream, views: Sequence[View], wishes: Wishes, means: Means
    ) -> None:
        self._stream: Final = stream
        self._views: Final = views
        self._wishes: Final = wishes
        self._means: Final = means
        self._catalogue: Final = means.catalogue
        self._tree: Final = means.tree
        self._findings: Final = means.findings
        self._losses: Final = Losses(means.catalogue, means.findings)
        self._cursor: Final = Cursor(
            stream, means.places, means.setter, means.findings, self._losses, means.hands
        )
        self._refused = 0
        self._made = 0

    def run(self) -> None:
        """Restore what is named; what remains undone stands in the findings.

        :raises WholeStreamNeeded: the offset map is needed and not there.
        :raises ConnectionBroken: the stream's other end broke off.
        :raises TapekitError: it cannot go on.
        :raises OSError: the stream cannot be read.
        """
        try:
            self._restore(self._named())
        finally:
            self._cursor.close()
        restored = self._findings.restored
        if self._refused and not restored:
            raise CATALOGUE.error("no-files-were-created")
        self._findings.note(
            f"Restored {restored} files and {self._made} directories directly;"
            f" {self._stream.bytes_read} bytes were read"
        )

    # Files that are named, and nothing else.

    def _restore(self, named: Sequence[_Goal]) -> None:
        has_tree = self._wishes.full_paths
        self._means.enter("restoring files directly")
        for index, goal in enumerate(named):
            header = self._find_named(goal)
            if header is None:
                continue
            if is_directory(header):
                has_tree = self._take_directory(goal) or has_tree
            elif has_tree:
                self._restore_tree(named[index:])
                return
            else:
                self._make(goal)
        if has_tree:
            self._restore_tree(())

    def _named(self) -> list[_Goal]:
        """What the list names, in the order of the stream; what goes along
        with a directory that is named is left to it.
        """
        goals: dict[int, list[View]] = {}
        for view in self._views:
            is_included = any(
                outer.is_recursive and outer.source != view.source for outer in view.outer
            )
            if not view.only_if_new and not (is_included and self._wishes.is_enhanced):
                goals.setdefault(view.position, []).append(view)
        return [
            _Goal(position, max(view.node for view in views), _places(views), views)
            for position, views in sorted(goals.items())
        ]

    def _find_named(self, goal: _Goal) -> Header | None:
        """Go to what is named; ``None`` if it is not there, which is told."""
        try:
            header = self._cursor.go_to(goal.position)
        except NotThere as fault:
            self._misplaced(goal, fault.reason)
            return None
        if not is_object(header):
            self._misplaced(goal, "what stands there is no object")
            return None
        if goal.inode not in (0, header.inode):
            self._misplaced(goal, f"inode {header.inode} stands there, not {goal.inode}")
            return None
        for view in goal.views:
            view.is_found = True
        return header

    def _misplaced(self, goal: _Goal, reason: str) -> None:
        for view in goal.views:
            self._findings.lose(
                CATALOGUE.error(
                    "position-wrong",
                    path=join_path(view.source),
                    position=goal.position,
                    reason=reason,
                )
            )

    def _take_directory(self, goal: _Goal) -> bool:
        """Read a directory that is named, if that is allowed."""
        if self._wishes.is_enhanced:
            self._tree.read_named(goal.views, self._cursor, self._catalogue)
            return True
        for view in goal.views:
            self._refused += 1
            view.fail(FileResult.UNDEFINED_ERROR)
            self._findings.lose(
                CATALOGUE.error("directory-not-direct", path=join_path(view.source))
            )
        return False

    def _make(self, goal: _Goal) -> None:
        self._cursor.make(goal.places)

    # Directories, and files among them.

    def _restore_tree(self, goals: Sequence[_Goal]) -> None:
        """Make the directories that have been read, and all below them,
        together with what else is named.
        """
        catalogue, means = self._catalogue, self._means
        offsets = self._read_tree()
        means.warn_of_room()
        directories = DirectoryMaker(
            catalogue, means.places, means.setter, means.findings, verbose=means.is_verbose
        )
        try:
            means.enter("making directories")
            directories.make_all()
            means.enter("restoring files")
            below = self._goals_below(goals, offsets)
            for goal in heapq.merge(goals, below, key=lambda goal: goal.position):
                self._make_one(goal)
        finally:
            means.enter("finishing directories")
            self._cursor.close()
            directories.finish_all()
            self._made = directories.made

    def _read_tree(self) -> OffsetMap | None:
        """Read what directories are needed; gives the map if that took one."""
        catalogue, tree = self._catalogue, self._tree
        offsets = None
        self._means.enter("reading directories")
        if self._wishes.full_paths or self._wishes.is_recursive:
            offsets = self._load_map()
            ways = [view for view in self._views if view.only_if_new]
            tree.read_ways(ways, self._cursor, catalogue, offsets)
            tree.read_below(self._cursor, catalogue, offsets)
        tree.hang(catalogue)
        return offsets

    def _goals_below(self, goals: Sequence[_Goal], offsets: OffsetMap | None) -> Iterator[_Goal]:
        """What is in the directories, in the order of the stream."""
        separate = {view.number for goal in goals for view in goal.views}
        names = self._catalogue.names(self._losses.missing)
        while (inode := names.next_inode) is not None:
            found = names.take(inode) or ()
            places = [place for place in found if place.view.number not in separate]
            offset = None if offsets is None else offsets.before(inode)
            if places and offset is None:
                self._missing(places)
            elif places and offset is not None:
                yield _Goal(offset, inode, places, ())

    def _make_one(self, goal: _Goal) -> None:
        if not goal.views:
            if self._seek(goal):
                self._make(goal)
            else:
                self._missing(goal.places)
        elif (header := self._find_named(goal)) is not None:
            if is_directory(header):
                self._misplaced(goal, "a directory stands there, behind a file")
            else:
                self._make(goal)

    def _seek(self, goal: _Goal) -> bool:
        """Read on from the goal's position to its object; whether it is there."""
        cursor = self._cursor
        header = cursor.header
        if 0 < cursor.behind < goal.inode and _is_beyond(header, goal):
            return False
        if header is None or not _is_on_the_way(header, cursor.position, goal):
            try:
                header = cursor.go_to(goal.position)
            except NotThere as fault:
                self._findings.lose(
                    CATALOGUE.error(
                        "position-wrong",
                        path=self._losses.path_of(goal.places[0]),
                        position=goal.position,
                        reason=fault.reason,
                    )
                )
                return False
        while header is not None and not _is_beyond(header, goal):
            if is_object(header) and header.inode == goal.inode:
                return True
            cursor.pass_over()
            header = cursor.header
        return False

    def _missing(self, places: Sequence[Place]) -> None:
        """An object is not in the stream; an incremental dump names many
        that it does not have.
        """
        if not self._cursor.base_date:
            self._losses.missing(places)

    def _load_map(self) -> OffsetMap:
        """Read the offset map.

        :raises WholeStreamNeeded: there is none.
        """
        position = self._wishes.map_at
        if not position:
            raise WholeStreamNeeded("OFFSET_MAP_START does not say where it is")
        reader = self._cursor.leave(position)
        self._stream.expect(position + RECORD_BYTES)
        try:
            head = self._map_head(reader)
            head.check(position)
            self._stream.expect(reader.position + head.table_bytes)
            return read_map(reader, head)
        except BadMap as bad:
            raise WholeStreamNeeded(str(bad)) from bad

    def _map_head(self, reader: StreamReader) -> MapHead:
        """The first record of the map.

        :raises BadMap: it is none, or that of another dump.
        """
        try:
            head = MapHead.unpack(bytes(reader.take(RECORD_BYTES)))
        except EndOfStream:
            raise BadMap("the stream ends before it") from None
        if self._cursor.date not in (None, head.date):
            raise BadMap("it belongs to another dump")
        return head


def _places(views: Sequence[View]) -> Sequence[Place]:
    """Where a file goes that a list names itself; once, if it is named twice:
    a second name of it would take the place of the first, which is the same.
    """
    repeated = {outer for view in views for outer in view.outer if outer.source == view.source}
    return [
        Place(view, 0, view.target[-1], (ROOT, b"/".join(view.source)))
        for view in views
        if view not in repeated
    ]


def _is_beyond(header: Header | None, goal: _Goal) -> bool:
    """Whether a goal cannot stand at a header or behind it."""
    if header is None or header.type == HeaderType.END:
        return True
    return is_object(header) and header.inode > goal.inode


def _is_on_the_way(header: Header, position: int, goal: _Goal) -> bool:
    """Whether reading on from a header leads to a goal, and from no farther
    away than the goal's position.
    """
    return (
        position >= goal.position
        and is_object(header)
        and not is_directory(header)
        and header.inode <= goal.inode
    )
