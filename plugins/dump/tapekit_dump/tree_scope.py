"""What of a volume is backed up that is more than a directory.

Files that the volume withholds are left out, places where other volumes are
mounted become symbolic links, and with NON_QUOTA_TREE nothing of what lies
in qtrees is taken. All of it is known before the first directory is read, by
paths; a volume without any of it costs nothing. The one rule: what a backup
leaves out against somebody's expectation is told by its path.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, final

from tapekit.marks import Marks, OriginMark, QtreeMark
from tapekit_dump.attributes import decode_set, encode_sets
from tapekit_dump.backup_report import readable
from tapekit_dump.backup_scope import Scope
from tapekit_dump.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from tapekit.hookspecs.environment import Environment
    from tapekit.hookspecs.storage import BackupTree, TreeTraits
    from tapekit_dump.backup_report import BackupReport
    from tapekit_dump.backup_scope import Choice, Wanted

__all__ = ["TreeScope", "origin_of", "qtree_names", "scope_of", "uses_ctime", "with_origin"]

_PLAIN: Final = OriginMark()


@final
class TreeScope:
    """Implements :class:`tapekit_dump.backup_scope.Choice`.

    :param chosen: what is taken besides.
    :param emptied: directories of which nothing is taken but themselves.
    """

    def __init__(
        self,
        chosen: Choice,
        traits: TreeTraits,
        report: BackupReport,
        emptied: Collection[bytes] = (),
    ) -> None:
        self._chosen: Final = chosen
        self._report: Final = report
        self._emptied: Final = frozenset(emptied)
        self._left_out: Final = traits.left_out
        self._links: Final = traits.junctions
        self._special: Final = _by_directory((*traits.left_out, *traits.junctions))
        self._met: Final[list[bytes]] = []
        self._withheld: Final[list[os.DirEntry[str]]] = []

    def within(self, directory: bytes) -> Wanted | None:
        """What chooses entries of a directory; ``None`` if all are wanted."""
        self._met.clear()
        self._withheld.clear()
        if directory in self._emptied:
            return lambda _: False
        chosen = self._chosen.within(directory)
        special = self._special.get(directory)
        if special is None:
            return chosen

        def wanted(entry: os.DirEntry[str]) -> bool:
            if chosen is not None and not chosen(entry):
                return False
            name = os.fsencode(entry.name)
            return name not in special or self._keeps(directory, name, entry)

        return wanted

    def junctions(self) -> Sequence[bytes]:
        """Names in the directory asked for last at which other volumes are
        mounted, once all of its entries have been chosen from.
        """
        return tuple(self._met)

    def withheld(self) -> Sequence[os.DirEntry[str]]:
        """Entries of that directory that no backup may have for now."""
        return tuple(self._withheld)

    def _keeps(self, directory: bytes, name: bytes, entry: os.DirEntry[str]) -> bool:
        """Whether a name that something is known of is taken as it is."""
        path = _below(directory, name)
        if path in self._links:
            self._met.append(name)
            return False
        if entry.is_dir(follow_symlinks=False):
            return True
        self._report.lose(
            CATALOGUE.error("file-withheld", path=readable(path), reason=self._left_out[path])
        )
        self._withheld.append(entry)
        return False


def scope_of(
    chosen: Choice, environment: Environment, tree: BackupTree, level: int, report: BackupReport
) -> Choice:
    """What a backup takes of an open tree. A file that was asked for by its
    path is taken whatever EXCLUDE says.

    :param level: the one that was asked for.
    """
    emptied: Sequence[bytes] = ()
    if environment.switch("NON_QUOTA_TREE"):
        if environment.text("EXCLUDE"):
            report.warn(CATALOGUE.error("exclude-cancelled"))
        hindrance = _hindrance(environment, tree, level)
        if hindrance is None:
            emptied = qtree_names(tree.descriptor)
        else:
            report.warn(CATALOGUE.error("non-quota-tree-without-effect", reason=hindrance))
    traits = tree.traits
    if traits.only is not None:
        chosen = Scope(None, (os.fsdecode(traits.only),))
    if emptied or traits.left_out or traits.junctions:
        return TreeScope(chosen, traits, report, emptied)
    return chosen


def uses_ctime(environment: Environment, tree: BackupTree, report: BackupReport) -> bool:
    """Whether change times count: a file that was moved from one qtree into
    another has a new change time, and nothing else tells of it.
    """
    if not environment.switch("IGNORE_CTIME"):
        return True
    if tree.subpath or not qtree_names(tree.descriptor):
        return False
    report.warn(CATALOGUE.error("ignore-ctime-with-qtrees"))
    return True


def qtree_names(top: int) -> list[bytes]:
    """The names of the qtrees in the open directory of a volume.

    :raises OSError: it cannot be read.
    """
    marks = Marks()
    with os.scandir(top) as entries:
        names = [os.fsencode(each.name) for each in entries if each.is_dir(follow_symlinks=False)]
    return [name for name in names if marks.read_below(top, name, QtreeMark) is not None]


def origin_of(traits: TreeTraits) -> OriginMark | None:
    """What the stream tells of the volume; ``None`` if there is nothing to tell."""
    mark = OriginMark(
        security_style=traits.security_style,
        snaplock=traits.snaplock,
        vm_align_sectors=traits.vm_align_sectors,
    )
    return None if mark == _PLAIN else mark


def with_origin(sets: Sequence[bytes], mark: OriginMark) -> list[bytes]:
    """The attribute sets of the root with what the volume was."""
    found: dict[str, bytes] = {}
    for blob in sets:
        found.update(decode_set(blob)[0])
    name, value = Marks().attribute(mark)
    return encode_sets({**found, name: value}, directory=True)[0]


def _hindrance(environment: Environment, tree: BackupTree, level: int) -> str | None:
    """Why NON_QUOTA_TREE does nothing, if it does not."""
    if level:
        return f"the level is {level}"
    if tree.subpath:
        return "FILESYSTEM is not a whole volume"
    if environment.text("MULTI_SUBTREE_NAMES"):
        return "MULTI_SUBTREE_NAMES is set"
    return None


def _by_directory(paths: Sequence[bytes]) -> Mapping[bytes, Collection[bytes]]:
    """The names of paths by the directories that they are in."""
    names: dict[bytes, set[bytes]] = {}
    for path in paths:
        directory, _, name = path.rpartition(b"/")
        names.setdefault(directory, set()).add(name)
    return names


def _below(directory: bytes, name: bytes) -> bytes:
    return directory + b"/" + name if directory else name
