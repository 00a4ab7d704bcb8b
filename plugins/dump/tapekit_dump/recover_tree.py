"""The directories of a direct access restore, read by the offset map.

A restore list names some directories; those in them, and those on the way to
them, are found by their numbers in the map, and read in the order in which
they stand in the stream. The one rule: a directory hangs where its path says
before anything is made of it.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final, final

from tapekit_dump.errors import CATALOGUE
from tapekit_dump.maps import ROOT
from tapekit_dump.recover_attributes import Attributes
from tapekit_dump.recover_cursor import NotThere, is_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tapekit_dump.offset_map import OffsetMap
    from tapekit_dump.recover_catalogue import Catalogue
    from tapekit_dump.recover_cursor import Cursor
    from tapekit_dump.recover_findings import Findings
    from tapekit_dump.recover_selection import Path, View

__all__ = ["DirectTree"]

_HIGHEST: Final = 2**32 - 1
_NOTHING: Final = Attributes(0, 0, 0, 0, 0, 0).pack()


@final
class DirectTree:
    """Fills a catalogue with the directories that a restore list needs."""

    def __init__(self, views: Sequence[View], findings: Findings) -> None:
        self._findings: Final = findings
        self._ways: Final = {name for view in views for name in view.source}
        self._met: Final[dict[tuple[int, bytes], int]] = {}
        self._numbers: Final[dict[Path, int]] = {(): ROOT}
        self._below: Final[list[int]] = []
        self._descends = False

    def meet(self, parent: int, name: bytes, inode: int) -> None:
        """Hear of a name that may be a directory's; see :class:`Catalogue`."""
        if self._descends:
            self._below.append(inode)
        if name in self._ways:
            self._met[parent, name] = inode

    def read_named(self, views: Iterable[View], cursor: Cursor, catalogue: Catalogue) -> None:
        """Read the directory that the cursor stands at, which is the top of
        views.

        :raises TapekitError: a spool cannot be written.
        """
        header = cursor.header
        assert header is not None
        self._descends = False
        for view in views:
            self._numbers[view.source] = header.inode
            self._descends = self._descends or view.is_recursive
        if header.inode not in catalogue.directories:
            cursor.read_directory(catalogue)

    def read_below(self, cursor: Cursor, catalogue: Catalogue, offsets: OffsetMap) -> None:
        """Read all directories in those that go with what is in them.

        :raises TapekitError: a spool cannot be written.
        """
        self._descends = True
        pending: list[tuple[int, int]] = []
        while self._below or pending:
            while self._below:
                inode = self._below.pop()
                offset = offsets.directory(inode)
                # Not in the map: no directory after all, or an incremental
                # dump does not have it.
                if offset is not None and inode not in catalogue.directories:
                    heapq.heappush(pending, (offset, inode))
            if pending:
                self._read_at(*heapq.heappop(pending), cursor, catalogue)

    def read_ways(
        self, views: Iterable[View], cursor: Cursor, catalogue: Catalogue, offsets: OffsetMap
    ) -> None:
        """Read the directories that views are tops of, from the root down.

        :raises TapekitError: a spool cannot be written.
        """
        self._descends = False
        for view in sorted(views, key=lambda view: view.source):
            for depth in range(len(view.source) + 1):
                path = view.source[:depth]
                inode = self._number_of(path)
                offset = None if inode is None else offsets.directory(inode)
                if inode is None or offset is None:
                    break
                self._numbers[path] = inode
                if inode not in catalogue.directories:
                    self._read_at(offset, inode, cursor, catalogue)

    def hang(self, catalogue: Catalogue) -> None:
        """Let each directory be where its path says, below a root; what has
        not been read on the way is there in name only.

        :raises TapekitError: a spool cannot be written.
        """
        if ROOT not in catalogue.directories:
            catalogue.add_directory(ROOT, _NOTHING)
        unused = _HIGHEST
        for path in sorted(self._numbers, key=len):
            for depth in range(1, len(path) + 1):
                above = self._numbers[path[: depth - 1]]
                here, name = path[:depth], path[depth - 1]
                known = self._number_of(here)
                while known is None and unused in catalogue.directories:
                    unused -= 1
                inode = self._numbers[here] = unused if known is None else known
                if inode not in catalogue.directories:
                    catalogue.add_directory(inode, _NOTHING)
                if self._met.get((above, name)) != inode:
                    self._met[above, name] = inode
                    catalogue.add_name(above, name, inode)

    def _number_of(self, path: Path) -> int | None:
        """The number of a directory, as far as its parent has been read."""
        known = self._numbers.get(path)
        if known is None and path[:-1] in self._numbers:
            known = self._met.get((self._numbers[path[:-1]], path[-1]))
        return known

    def _read_at(self, offset: int, inode: int, cursor: Cursor, catalogue: Catalogue) -> None:
        try:
            header = cursor.go_to(offset)
        except NotThere as fault:
            reason = fault.reason
        else:
            if header.inode == inode and is_directory(header):
                cursor.read_directory(catalogue)
                return
            reason = "another object stands there"
        path = f"The directory of inode {inode}"
        self._findings.lose(
            CATALOGUE.error("position-wrong", path=path, position=offset, reason=reason)
        )
