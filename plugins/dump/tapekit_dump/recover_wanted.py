"""What a restore list asks for, counted before anything is made of it.

Directories are followed up to the root as :class:`Catalogue` does it later on,
but nothing is told, noted or made; only if a destination seems too small is
it asked which of the names it has already. The one rule: what is counted
here is never more than what the restore makes.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, final

from tapekit_dump.maps import ROOT
from tapekit_dump.recover_catalogue import Place, merged_views

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tapekit_dump.recover_catalogue import Catalogue
    from tapekit_dump.recover_selection import Branch, Path, View

__all__ = ["Wanted", "status_of"]

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@final
class Wanted:
    """The objects that a restore is going to make.

    :param catalogue: with all directories that were read, and linked.
    :param branch: the tops of all views.
    """

    def __init__(self, catalogue: Catalogue, branch: Branch) -> None:
        self._catalogue: Final = catalogue
        self._found: Final[dict[int, tuple[tuple[View, ...], Branch | None]]] = {
            ROOT: (merged_views((), branch), branch)
        }
        self._tops: Final[dict[int, int]] = {}
        """The inode numbers of views' top directories by the views' numbers."""
        catalogue.link()
        for inode in catalogue.directories:
            below = self._follow(inode)[1]
            for view in () if below is None else below.views:
                self._tops[view.number] = inode

    def objects(self) -> Iterator[Place]:
        """A place of each object but the tops of trees, which are mostly there;
        objects with several names in a tree have one there.

        :raises TapekitError: a spool cannot be read.
        """
        catalogue = self._catalogue
        for directory in catalogue.directories.values():
            path = directory.parent, directory.name
            for view in self._follow(directory.inode)[0]:
                if self._tops.get(view.number) != directory.inode:
                    yield Place(view, *path, path)
        last, families = 0, set[int]()
        for inode, parent, name in catalogue.all_names():
            if inode in catalogue.directories or not _is_dumped(catalogue, inode):
                continue
            if inode != last:
                last, families = inode, set()
            for place in self._places(parent, name):
                if place.view.family not in families:
                    families.add(place.view.family)
                    yield place

    def existing(
        self, tops: Mapping[int, tuple[int, Path]]
    ) -> Iterator[tuple[Place, os.stat_result]]:
        """The objects in whose places there is something already.

        :param tops: see :meth:`Destination.tops`.
        """
        at, fd = (-1, -1), -1
        try:
            for place in self.objects():
                here = place.view.number, place.directory
                if here != at:
                    if fd >= 0:
                        os.close(fd)
                    at, fd = here, self._open(place, tops)
                status = None if fd < 0 else status_of(place.name, fd)
                if status is not None:
                    yield place, status
        finally:
            if fd >= 0:
                os.close(fd)

    def _follow(self, inode: int) -> tuple[tuple[View, ...], Branch | None]:
        """The views that a directory is in, and the tops below it."""
        directories, chain = self._catalogue.directories, dict[int, None]()
        at = inode
        while at not in self._found and at in directories and at not in chain:
            chain[at] = None
            at = directories[at].parent
        found = self._found.get(at, ((), None))
        for below in reversed(chain):
            views, branch = found
            name = directories[below].name
            child = None if branch is None else branch.children.get(name)
            inherited = tuple(view for view in views if view.is_recursive)
            found = (inherited if child is None else merged_views(inherited, child), child)
            self._found[below] = found
        return found

    def _places(self, parent: int, name: bytes) -> Sequence[Place]:
        views, branch = self._follow(parent)
        inherited = tuple(view for view in views if view.is_recursive)
        top = None if branch is None else branch.children.get(name)
        path = parent, name
        if top is None:
            return [Place(view, parent, name, path) for view in inherited]
        return [
            Place(view, 0, view.target[-1], path) if view in top.views else Place(view, *path, path)
            for view in merged_views(inherited, top)
        ]

    def _open(self, place: Place, tops: Mapping[int, tuple[int, Path]]) -> int:
        """The directory of a place in the destination; -1 if it is not there."""
        fd, way = tops[place.view.number]
        names: list[bytes] = []
        inode, top = place.directory, self._tops.get(place.view.number)
        while inode not in (0, top):
            directory = self._catalogue.directories[inode]
            names.append(directory.name)
            inode = directory.parent
        steps = (b".", *(way if inode else way[:-1]), *reversed(names))
        above = -1
        for name in steps:
            try:
                fd = os.open(name, _DIRECTORY, dir_fd=fd)
            except OSError:
                fd = -1
            if above >= 0:
                os.close(above)
            above = fd
            if fd < 0:
                break
        return fd


def _is_dumped(catalogue: Catalogue, inode: int) -> bool:
    """Whether an incremental dump has an object, and not its name alone."""
    return catalogue.dumped is None or inode in catalogue.dumped


def status_of(name: bytes, directory: int) -> os.stat_result | None:
    """The status of a name in an open directory; ``None`` if it is not there."""
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return None
