"""A destination made to follow what an incremental dump says of names.

First everything that has lost a name is dealt with: what is gone is removed,
what has another name now goes into a directory aside, by its number. Then,
as the dump's directories are made from the top down, each is taken from
there to its new name; files that the dump has not come last. So no order of
renamings can hurt, not even a swap. The one rule: only names that an earlier
restore has made are touched, and nothing is before the dump's directories
are known to be whole.
"""

from __future__ import annotations

import contextlib
import errno
import os
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit_dump.backup_report import readable
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.maps import ROOT, NumberSet
from tapekit_dump.recover_catalogue import Directory
from tapekit_dump.recover_findings import fatal_error, is_fatal
from tapekit_dump.recover_memory import KnownName
from tapekit_dump.recover_places import Places

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tapekit_dump.recover_findings import Findings
    from tapekit_dump.recover_selection import Path, View

__all__ = ["DumpedNames", "Increment"]

_RESERVED: Final = 10
"""Numbers of ext file systems up to this one are those of nothing with a name."""

_ASIDE: Final = 1
"""The number of the directory aside, which no object has."""

_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_NO_LINK: Final = frozenset({errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP})
"""Errors where an object cannot get a further name, but perhaps another."""
_LIMIT: Final = 128


class DumpedNames(NamedTuple):
    """What the maps and directories of an incremental dump say."""

    used: NumberSet
    dumped: NumberSet
    directories: Mapping[int, Directory]


class _Move(NamedTuple):
    """A name that something aside gets, which the dump itself has not."""

    number: int
    directory: int
    name: bytes
    is_directory: bool


@final
class Increment:
    """Applies one incremental dump to the names of a destination.

    :param date: of the dump, which names the directory aside.
    :param known: the destination's names, in their order.
    """

    def __init__(
        self,
        date: int,
        known: Iterable[KnownName],
        dump: DumpedNames,
        view: View,
        tops: Mapping[int, tuple[int, Path]],
        findings: Findings,
    ) -> None:
        self._dump: Final = dump
        self._view: Final = view
        self._findings: Final = findings
        self._before: Final = {ROOT: Directory(ROOT, b"")}
        """Directories of the destination, where they are now."""
        aside = self._before[_ASIDE] = Directory(_ASIDE, b"")
        aside.parent, aside.name = ROOT, b".restored-aside-%d" % date
        for number, directory, name, is_directory in known:
            if is_directory:
                here = self._before[number] = Directory(number, b"")
                here.parent, here.name = directory, name
        self._places: Final = Places(self._before, tops, _LIMIT)
        self._aside = -1
        self._removed: Final[dict[int, bytes]] = {}
        """Directories aside that are no longer wanted, and their old names."""
        self._waiting: Final[set[int]] = set()
        """Directories aside that :meth:`bring` takes to their new names."""
        self._lost: Final[set[int]] = set()
        """Directories that were not where they ought to have been."""
        self._moves: Final[list[_Move]] = []
        self._kept: Final[set[int]] = set()
        """Files that could not be put aside and keep the names they had."""

    # Before directories are made

    def apply(
        self,
        known: Iterable[KnownName],
        named: Iterable[tuple[int, int, bytes]],
        *,
        is_next: bool = True,
    ) -> None:
        """Remove what is gone, and put aside what has another name.

        :param named: number, directory and name of all that the dump's
            directories name, in their order.
        :param is_next: whether the destination holds the dump's base and
            nothing that was built on that.
        :raises TapekitError: nothing can be written to the destination.
        """
        self._view.top = ROOT
        self._make_aside()
        met = NumberSet()
        for number, old, new in _side_by_side(known, named):
            if number <= ROOT:
                continue
            met.add(number)
            if old:
                self._settle(number, old, new)
            elif not is_next and self._is_only_in_base(number):
                self._tell_missing(new)
        if not is_next:
            self._tell_unnamed(met)

    def _is_only_in_base(self, number: int) -> bool:
        return number in self._dump.used and number not in self._dump.dumped

    def _tell_unnamed(self, met: NumberSet) -> None:
        """Report what the dump says is in directories that it has not, and
        the destination has not either.
        """
        count = sum(
            number > _RESERVED and number not in met and self._is_only_in_base(number)
            for number in self._dump.used
        )
        if count:
            self._findings.lose(CATALOGUE.error("objects-removed-between", count=count))

    def _tell_missing(self, names: Sequence[tuple[int, bytes]]) -> None:
        """Report what the dump's base had and a dump between them has removed."""
        for directory, name in names:
            path = self._path_of(directory, name)
            self._findings.lose(CATALOGUE.error("removed-between", path=path))

    def _make_aside(self) -> None:
        try:
            top = self._places.descriptor(self._view, ROOT)
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._before[_ASIDE].name, 0o700, dir_fd=top)
            self._aside = os.dup(self._places.descriptor(self._view, _ASIDE))
        except OSError as error:
            raise fatal_error(error, "/") from error

    def _settle(
        self, number: int, old: Sequence[KnownName], new: Sequence[tuple[int, bytes]]
    ) -> None:
        """Deal with the names of one object."""
        is_same = self._is_same(number)
        kept: list[KnownName] = []
        removed: list[KnownName] = []
        for known in old:
            stays = is_same and (
                self.is_untouched(known.directory) or (known.directory, known.name) in new
            )
            (kept if stays else removed).append(known)
        if number in self._before:
            self._settle_directory(number, removed, new, is_same=is_same)
            return
        if is_same and number not in self._dump.dumped:
            added = set(new).difference((each.directory, each.name) for each in kept)
            if added and not self._put_file_aside(number, removed, kept):
                self._kept.add(number)
                return
            self._moves.extend(_Move(number, *place, False) for place in sorted(added))
        for known in removed:
            self._unlink(known)

    def _is_same(self, number: int) -> bool:
        """Whether a number still stands for an object of the same kind."""
        if number not in self._dump.used:
            return False
        was_directory, is_dumped = number in self._before, number in self._dump.dumped
        return not is_dumped or was_directory == (number in self._dump.directories)

    def is_untouched(self, directory: int) -> bool:
        """Whether a directory is not in the dump, and still there."""
        return (
            directory in self._before
            and directory in self._dump.used
            and directory not in self._dump.dumped
        )

    def _settle_directory(
        self,
        number: int,
        removed: Sequence[KnownName],
        new: Sequence[tuple[int, bytes]],
        *,
        is_same: bool,
    ) -> None:
        if not removed:
            return
        if not self._put_aside(number, removed):
            self._lost.add(number)
        elif not is_same:
            self._removed[number] = removed[0].name
        elif number in self._dump.directories:
            self._waiting.add(number)
        else:
            self._moves.extend(_Move(number, *place, True) for place in new[:1])

    def _put_aside(self, number: int, names: Sequence[KnownName]) -> bool:
        """Give a directory its number as its name, aside; whether it has it."""
        goal = b"%d" % number
        for known in names:
            try:
                self._rename_aside(known, goal)
            except OSError as error:
                self._tell(known, error)
            else:
                break
        if not self._is_aside(goal):
            return False
        here = self._before[number]
        here.parent, here.name = _ASIDE, goal
        return True

    def _put_file_aside(
        self, number: int, removed: Sequence[KnownName], kept: Sequence[KnownName]
    ) -> bool:
        """Give a file its number as a further name, aside, or as its name
        where it cannot have one more; whether it has it.
        """
        goal = b"%d" % number
        for known in (*removed, *kept):
            try:
                self._link_aside(known, goal, may_rename=known in removed)
            except OSError as error:
                self._tell(known, error)
            else:
                break
        return self._is_aside(goal)

    def _is_aside(self, goal: bytes) -> bool:
        return os.access(goal, os.F_OK, dir_fd=self._aside, follow_symlinks=False)

    def _link_aside(self, known: KnownName, goal: bytes, *, may_rename: bool) -> None:
        source = self._places.descriptor(self._view, known.directory)
        try:
            os.link(
                known.name, goal, src_dir_fd=source, dst_dir_fd=self._aside, follow_symlinks=False
            )
        except OSError as error:
            if not may_rename or error.errno not in _NO_LINK:
                raise
            self._rename_aside(known, goal)

    def _rename_aside(self, known: KnownName, goal: bytes) -> None:
        source = self._places.descriptor(self._view, known.directory)
        os.rename(known.name, goal, src_dir_fd=source, dst_dir_fd=self._aside)

    def _unlink(self, known: KnownName) -> None:
        try:
            directory = self._places.descriptor(self._view, known.directory)
            os.unlink(known.name, dir_fd=directory)
        except OSError as error:
            self._tell(known, error)

    def _tell(self, known: KnownName, error: OSError) -> None:
        """Report what could not be changed; what is gone already need not be.

        :raises TapekitError: nothing more can be written.
        """
        if error.errno in _GONE or error.errno == errno.EEXIST:
            return
        path = self._path_of(known.directory, known.name)
        if is_fatal(error):
            raise fatal_error(error, path) from error
        self._findings.lose(CATALOGUE.error("name-not-changed", path=path, reason=error.strerror))

    def _path_of(self, directory: int, name: bytes) -> str:
        parts = [name]
        while directory != ROOT and (here := self._before.get(directory)) is not None:
            parts.append(here.name)
            directory = here.parent
        return readable(b"/" + b"/".join(reversed(parts)))

    # While directories are made

    def bring(self, directory: Directory, places: Places) -> None:
        """Take a directory to its new name, if it has one.

        :raises OSError: it cannot be given that name.
        """
        number = directory.inode
        if number not in self._waiting and number not in self._lost:
            return
        above = places.descriptor(self._view, directory.parent)
        if number in self._waiting:
            self._waiting.discard(number)
            self._take_to(number, directory.name, above)
        elif not os.access(directory.name, os.F_OK, dir_fd=above, follow_symlinks=False):
            was = self._before[number]
            path = self._path_of(was.parent, was.name)
            self._findings.lose(CATALOGUE.error("directory-of-base-missing", path=path))

    def _take_to(self, number: int, name: bytes, above: int) -> None:
        goal = b"%d" % number
        try:
            os.rename(goal, name, src_dir_fd=self._aside, dst_dir_fd=above)
        except NotADirectoryError:
            # Something that no backup made has the name.
            os.unlink(name, dir_fd=above)
            os.rename(goal, name, src_dir_fd=self._aside, dst_dir_fd=above)

    # After directories have been made

    def place_rest(self, places: Places) -> None:
        """Give what the dump has only names of those names.

        :raises TapekitError: nothing more can be written.
        """
        linked = set[int]()
        for number, directory, name, is_directory in self._moves:
            try:
                above = places.descriptor(self._view, directory)
                if is_directory:
                    self._take_to(number, name, above)
                else:
                    self._link(number, name, above)
                    linked.add(number)
            except OSError as error:
                if is_fatal(error):
                    raise fatal_error(error, readable(name)) from error
                self._findings.lose(
                    CATALOGUE.error("name-not-changed", path=readable(name), reason=error.strerror)
                )
        for number in linked:
            # It is not there any more if it could only be renamed.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(b"%d" % number, dir_fd=self._aside)
        self._clear_aside()

    def _link(self, number: int, name: bytes, above: int) -> None:
        goal = b"%d" % number
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=above)
        try:
            os.link(goal, name, src_dir_fd=self._aside, dst_dir_fd=above, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            os.rename(goal, name, src_dir_fd=self._aside, dst_dir_fd=above)

    def _clear_aside(self) -> None:
        """Remove directories that are gone; what others put there stays."""
        for goal in sorted(_names_in(self._aside)):
            number = int(goal) if goal.isdecimal() else 0
            try:
                os.rmdir(goal, dir_fd=self._aside)
            except OSError as error:
                old = readable(self._removed.get(number, b"")) or goal
                path = self._path_of(_ASIDE, os.fsencode(goal))
                left = CATALOGUE.error("left-aside", name=old, path=path, reason=error.strerror)
                if number in self._removed:
                    self._findings.warn(left)
                else:
                    self._findings.lose(left)
        top = self._places.descriptor(self._view, ROOT)
        with contextlib.suppress(OSError):
            # It stays if anything is left in it, which has been told.
            os.rmdir(self._before[_ASIDE].name, dir_fd=top)

    # What follows

    def is_known_directory(self, number: int) -> bool:
        """Whether a directory was there before."""
        return number in self._before

    def names_after(
        self, known: Iterable[KnownName], named: Iterable[tuple[int, int, bytes]]
    ) -> Iterator[KnownName]:
        """The destination's names with this dump, in their order."""
        dump = self._dump
        for number, old, new in _side_by_side(known, named):
            names = {(directory, name) for directory, name in new}
            if number in self._kept:
                names = {(each.directory, each.name) for each in old}
            elif self._is_same(number):
                names |= {
                    (each.directory, each.name) for each in old if self.is_untouched(each.directory)
                }
            is_dumped = number in dump.dumped
            is_directory = number in (dump.directories if is_dumped else self._before)
            for directory, name in sorted(names):
                yield KnownName(number, directory, name, is_directory)

    def close(self) -> None:
        """Close what is open."""
        self._places.close()
        fd, self._aside = self._aside, -1
        if fd >= 0:
            os.close(fd)


def _names_in(directory: int) -> list[str]:
    """What is in an open directory now: btrfs lists through a descriptor no
    more than there was when it was opened.
    """
    again = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return os.listdir(again)  # noqa: PTH208 - a descriptor
    finally:
        os.close(again)


def _side_by_side(
    known: Iterable[KnownName], named: Iterable[tuple[int, int, bytes]]
) -> Iterator[tuple[int, Sequence[KnownName], Sequence[tuple[int, bytes]]]]:
    """For each number what was known and what is named now."""
    olds = ((number, list(each)) for number, each in groupby(known, itemgetter(0)))
    news = (
        (number, [(directory, name) for _, directory, name in each])
        for number, each in groupby(named, itemgetter(0))
    )
    old, new = next(olds, None), next(news, None)
    while old is not None or new is not None:
        if new is None or (old is not None and old[0] < new[0]):
            assert old is not None
            yield old[0], old[1], ()
            old = next(olds, None)
        elif old is None or new[0] < old[0]:
            yield new[0], (), new[1]
            new = next(news, None)
        else:
            yield old[0], old[1], new[1]
            old, new = next(olds, None), next(news, None)
