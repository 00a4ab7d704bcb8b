"""What marks of the backup mean where they are restored to.

A qtree stays one only at the top of a volume, a LUN only at the top of a
volume or qtree; WORM files bind on a SnapLock volume alone, and VM-aligned
files are aligned as the destination aligns. Permissions follow the security
styles of both sides. The one rule: objects without marks and NT ACLs pass
through here by one look at their attributes.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final, NamedTuple, final

import msgspec

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import FileResult
from tapekit.marks import (
    AlignMark,
    LunMark,
    Marks,
    OriginMark,
    QtreeMark,
    SecurityStyle,
    SnapLock,
    WormMark,
    decode_mark,
    is_mark,
)
from tapekit_dump.attributes import decode_set, encode_sets
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.maps import ROOT
from tapekit_dump.nt_acl import NT_ACL
from tapekit_dump.recover_selection import join_path
from tapekit_dump.tree_scope import qtree_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tapekit.hookspecs.storage import TreeTraits, WithholdingTree
    from tapekit.marks import Mark
    from tapekit_dump.recover_catalogue import Catalogue, Directory
    from tapekit_dump.recover_findings import Findings
    from tapekit_dump.recover_selection import Path, View

__all__ = [
    "IMMUTABLE",
    "DestinationVolume",
    "Judged",
    "MarkRules",
    "is_lun",
    "marks_of",
    "qtree_line",
    "qtrees_in",
    "require_no_junction",
    "require_writable_qtree",
    "without_luns",
]

IMMUTABLE: Final = 0x10
"""The flag of a file that nobody can change, as dumps and ext have it."""

_MARKED: Final = b"tapekit."
_LUN: Final = b"tapekit.lun"
_NT_ACL: Final = NT_ACL.partition(".")[2].encode()
_VOLUME_DEPTH: Final = 2
_EXECUTE: Final = 0o111
_QTREE_NUMBERS: Final = range(1, 4995)
_QTREE: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class DestinationVolume(NamedTuple):
    """A volume that is restored to."""

    descriptor: int
    """Its directory, open."""
    traits: TreeTraits
    holder: WithholdingTree | None = None
    """What keeps files out of backups, if the storage can."""


class Judged(NamedTuple):
    """What an object gets in its place."""

    mode: int
    flags: int
    """To be added to those that it has."""
    sets: Sequence[bytes]


@final
class MarkRules:
    """Judges the attributes of everything that one restore makes.

    :param volumes: the destination's volumes by ``(vserver, volume)``.
    :param with_qtrees: whether qtrees are restored as such.
    :param now_s: seconds since 1970.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        volumes: Mapping[Path, DestinationVolume],
        findings: Findings,
        now_s: Callable[[], float],
        *,
        with_qtrees: bool,
    ) -> None:
        self._catalogue: Final = catalogue
        self._volumes: Final = volumes
        self._findings: Final = findings
        self._now_s: Final = now_s
        self._with_qtrees: Final = with_qtrees
        self._marks: Final = Marks()
        self._numbers: Final[dict[Path, set[int]]] = {}
        """Numbers of the qtrees that each volume has, as far as was asked."""
        self._source: Final[dict[int, OriginMark | QtreeMark | None]] = {}
        self._has_told_style = False

    # Before anything is made

    def refuses(self, view: View, directory: Directory) -> bool:
        """Whether a directory would be a qtree of the destination that is
        read-only, or where another volume is mounted, which is told.
        """
        if self.is_junction(view, directory.inode, b""):
            where = join_path((*view.volume, *self._parts(view, directory.inode)))
            view.fail(FileResult.FAILED_PERMISSION)
            self._findings.lose(CATALOGUE.error("volume-mounted-there", path=where))
            return True
        if len(view.target) != _VOLUME_DEPTH or directory.parent != view.top:
            return False
        volume = self._volumes[view.volume]
        path = (*view.volume, directory.name)
        try:
            require_writable_qtree(volume, path)
        except TapekitError as error:
            view.fail(FileResult.FAILED_PERMISSION)
            self._findings.lose(error)
            return True
        return False

    def is_junction(self, view: View, directory: int, name: bytes) -> bool:
        """Whether another volume is mounted where a name would be made."""
        junctions = self._volumes[view.volume].traits.junctions
        return bool(junctions) and b"/".join(self._parts(view, directory, name)) in junctions

    # What is made

    def begin(self, view: View, directory: int, name: bytes) -> None:
        """Keep a file out of backups that will have to be judged when it is
        written, if it may be a LUN: before, nothing tells.

        :param directory: as :meth:`judge` takes it.
        """
        holder = self._volumes[view.volume].holder
        parts = () if holder is None else self._parts(view, directory, name)
        if holder is not None and self._is_lun_place(view, directory, parts):
            holder.withhold(b"/".join(parts))

    def written(self, view: View, directory: int, name: bytes, sets: Sequence[bytes]) -> None:
        """Let go of what :meth:`begin` kept, unless it is a LUN: that stays
        out of backups until the restore is over.

        :param sets: what it got.
        """
        holder = self._volumes[view.volume].holder
        if holder is not None and not any(_LUN in blob for blob in sets):
            holder.release(b"/".join(self._parts(view, directory, name)))

    def judge(
        self, view: View, directory: int, name: bytes, mode: int, sets: Sequence[bytes]
    ) -> Judged:
        """What an object gets, be it a directory or anything else.

        :param directory: the number of the directory that it is in, 0 if it
            is the top of the view; of itself, if it is one.
        :param name: its name, empty for a directory.
        :param mode: its type and permissions.
        """
        has_nt_acl = any(_NT_ACL in blob for blob in sets)
        if not has_nt_acl and not any(_MARKED in blob for blob in sets):
            return Judged(mode, 0, sets)
        parts = self._parts(view, directory, name)
        found: dict[str, bytes] = {}
        for blob in sets:
            attributes, problems = decode_set(blob)
            found.update(attributes)
            for problem in problems:
                # What is damaged beside a mark must not keep it from being judged.
                path = join_path((*view.volume, *parts))
                self._findings.warn(CATALOGUE.error("attributes-lost", path=path, reason=problem))
        flags = self._judge_marks(view, directory, parts, mode, found)
        if NT_ACL in found and self._drops_nt_acl(view, directory, name, parts):
            mode = self._default_mode(view, mode)
            del found[NT_ACL]
            self._tell_style(view, parts)
        return Judged(mode, flags, encode_sets(found, directory=False)[0])

    def _judge_marks(
        self, view: View, directory: int, parts: Path, mode: int, found: dict[str, bytes]
    ) -> int:
        """Replace the marks among the attributes of an object by those that
        it gets; gives flags.
        """
        flags = 0
        for name in [name for name in found if is_mark(name)]:
            mark = decode_mark(name, found.pop(name))
            if mark is None:
                path = join_path((*view.volume, *parts))
                self._findings.warn(CATALOGUE.error("mark-not-understood", path=path, name=name))
                continue
            kept = self._kept(mark, view, directory, parts, mode)
            if isinstance(kept, WormMark) and self._binds(view, kept):
                flags = IMMUTABLE
            if kept is not None:
                own_name, value = self._marks.attribute(kept)
                found[own_name] = value
        return flags

    def _kept(self, mark: Mark, view: View, directory: int, parts: Path, mode: int) -> Mark | None:
        """What a mark is at the destination, if anything."""
        if isinstance(mark, QtreeMark):
            is_qtree = self._with_qtrees and stat.S_ISDIR(mode) and len(parts) == 1
            return self._numbered(mark, view, parts[0]) if is_qtree else None
        if not stat.S_ISREG(mode):
            return None
        if isinstance(mark, LunMark):
            if not self._is_lun_place(view, directory, parts):
                return None
            holder = self._volumes[view.volume].holder
            if holder is not None:
                holder.withhold(b"/".join(parts))
            if mark.is_mapped:
                path = join_path((*view.volume, *parts))
                self._findings.note(str(CATALOGUE.error("mapped-lun-restored", path=path)))
            return mark
        if isinstance(mark, AlignMark):
            sectors = self._volumes[view.volume].traits.vm_align_sectors
            return AlignMark(sectors=sectors) if sectors else None
        return mark if isinstance(mark, WormMark) else None

    def _binds(self, view: View, mark: WormMark) -> bool:
        traits = self._volumes[view.volume].traits
        return traits.snaplock is not SnapLock.NONE and mark.retained_until_s > self._now_s()

    def _numbered(self, mark: QtreeMark, view: View, name: bytes) -> QtreeMark | None:
        """A qtree with a number that no other of the volume has: that of the
        qtree that is there already, its own, or the smallest that is free.
        A volume that has no free one gets a directory, which is told.
        """
        top = self._volumes[view.volume].descriptor
        present = self._marks.read_below(top, name, QtreeMark)
        if present is not None:
            return msgspec.structs.replace(mark, id=present.id)
        used = self._numbers.get(view.volume)
        if used is None:
            used = self._numbers[view.volume] = self._numbers_in(top)
        number = mark.id
        if number in used:
            number = next((each for each in _QTREE_NUMBERS if each not in used), 0)
            if not number:
                path = join_path((*view.volume, name))
                self._findings.warn(CATALOGUE.error("qtree-numbers-used-up", path=path))
                return None
        used.add(number)
        return msgspec.structs.replace(mark, id=number)

    def _numbers_in(self, top: int) -> set[int]:
        found = (self._marks.read_below(top, name, QtreeMark) for name in qtree_names(top))
        return {mark.id for mark in found if mark is not None}

    # LUNs

    def _is_lun_place(self, view: View, directory: int, parts: Path) -> bool:
        """Whether a file is at the top of a volume, or of a qtree that is
        there or is being restored.
        """
        if len(parts) == 1:
            return True
        if len(parts) != 2:
            return False
        if self._with_qtrees and isinstance(self._mark_of(directory), QtreeMark):
            return True
        top = self._volumes[view.volume].descriptor
        return self._marks.read_below(top, parts[0], QtreeMark) is not None

    # Security styles

    def _drops_nt_acl(self, view: View, directory: int, name: bytes, parts: Path) -> bool:
        """Whether an object had only NT permissions and comes to where only
        UNIX permissions count.
        """
        source = self._style_of_source(directory)
        if source is not SecurityStyle.NTFS:
            return False
        return self._style_of_destination(view, directory, name, parts) is SecurityStyle.UNIX

    def _style_of_source(self, directory: int) -> SecurityStyle | None:
        """The security style that counted for an object; ``None`` if the
        backup does not tell.
        """
        mark = self._mark_of(self._first_below_root(directory)) or self._mark_of(ROOT)
        return None if mark is None else mark.security_style

    def _style_of_destination(
        self, view: View, directory: int, name: bytes, parts: Path
    ) -> SecurityStyle:
        volume = self._volumes[view.volume]
        if len(parts) > 1 or (parts and not name):
            present = self._marks.read_below(volume.descriptor, parts[0], QtreeMark)
            if present is not None:
                return present.security_style
            if self._with_qtrees and not view.source and len(view.target) == _VOLUME_DEPTH:
                mark = self._mark_of(self._first_below_root(directory))
                if isinstance(mark, QtreeMark):
                    return mark.security_style
        return volume.traits.security_style

    def _default_mode(self, view: View, mode: int) -> int:
        permissions = self._volumes[view.volume].traits.unix_permissions
        if not stat.S_ISDIR(mode):
            permissions &= ~_EXECUTE
        return stat.S_IFMT(mode) | permissions

    def _tell_style(self, view: View, parts: Path) -> None:
        if not self._has_told_style:
            self._has_told_style = True
            path = join_path((*view.volume, *parts))
            self._findings.warn(CATALOGUE.error("permissions-of-style", path=path))

    # Where things are

    def _parts(self, view: View, directory: int, name: bytes = b"") -> Path:
        """The path of an object below the top of the destination's volume."""
        target = view.target[_VOLUME_DEPTH:]
        if not directory:
            return target
        names = [name] if name else []
        directories = self._catalogue.directories
        while directory not in (view.top, ROOT):
            names.append(directories[directory].name)
            directory = directories[directory].parent
        return (*target, *reversed(names))

    def _first_below_root(self, directory: int) -> int:
        """The directory of the backup's root that one is, or is in."""
        directories = self._catalogue.directories
        while directory in directories and directory != ROOT:
            parent = directories[directory].parent
            if parent == ROOT:
                break
            directory = parent
        return directory

    def _mark_of(self, inode: int) -> OriginMark | QtreeMark | None:
        """What a directory of the backup says of the style in it."""
        if inode not in self._source:
            self._source[inode] = self._read_mark(inode)
        return self._source[inode]

    def _read_mark(self, inode: int) -> OriginMark | QtreeMark | None:
        directory = self._catalogue.directories.get(inode)
        origin: OriginMark | None = None
        for mark in () if directory is None else marks_of(self._catalogue, directory):
            if isinstance(mark, QtreeMark):
                return mark
            if isinstance(mark, OriginMark) and inode == ROOT:
                origin = mark
        return origin


def marks_of(catalogue: Catalogue, directory: Directory) -> Iterator[Mark]:
    """The marks that a directory has in the backup."""
    for blob in catalogue.sets_of(directory):
        for name, value in decode_set(blob)[0].items():
            mark = decode_mark(name, value)
            if mark is not None:
                yield mark


def require_writable_qtree(volume: DestinationVolume, target: Path) -> None:
    """Refuse what leads into a qtree that is read-only.

    :param target: ``/vserver/volume/path`` in that volume.
    :raises TapekitError: it does.
    """
    for name in target[_VOLUME_DEPTH : _VOLUME_DEPTH + 1]:
        qtree = Marks().read_below(volume.descriptor, name, QtreeMark)
        if qtree is not None and qtree.is_read_only:
            path = join_path(target[: _VOLUME_DEPTH + 1])
            raise CATALOGUE.error("destination-qtree-read-only", path=path)


def require_no_junction(volume: DestinationVolume, target: Path) -> None:
    """Refuse what leads into another volume.

    :param target: ``/vserver/volume/path`` in that volume.
    :raises TapekitError: it does.
    """
    for end in range(_VOLUME_DEPTH + 1, len(target) + 1):
        if b"/".join(target[_VOLUME_DEPTH:end]) in volume.traits.junctions:
            raise CATALOGUE.error("volume-mounted-there", path=join_path(target[:end]))


def without_luns(
    views: Sequence[View], volumes: Mapping[Path, DestinationVolume], findings: Findings
) -> list[View]:
    """The views of a direct restore but those that would take the name of a
    LUN, which are told.
    """
    kept = []
    for view in views:
        if view.source and is_lun(volumes[view.volume], view.target[_VOLUME_DEPTH:]):
            view.fail(FileResult.FILE_PATH_EXISTS)
            path, file_name = join_path(view.target), os.fsdecode(view.target[-1])
            findings.lose(CATALOGUE.error("restore-of-file-failed", file_name=file_name, path=path))
        else:
            kept.append(view)
    return kept


def is_lun(volume: DestinationVolume, parts: Path) -> bool:
    """Whether there is a LUN: a marked file at the top of a volume or qtree."""
    marks, top = Marks(), volume.descriptor
    if len(parts) == 1:
        return marks.read_below(top, parts[0], LunMark) is not None
    if len(parts) != 2 or marks.read_below(top, parts[0], QtreeMark) is None:
        return False
    try:
        qtree = os.open(parts[0], _QTREE, dir_fd=top)
    except OSError:
        # It is gone by now, and whatever was in it.
        return False
    try:
        return marks.read_below(qtree, parts[1], LunMark) is not None
    finally:
        os.close(qtree)


def qtrees_in(catalogue: Catalogue) -> Iterator[tuple[str, QtreeMark]]:
    """The qtrees of a backup by path: marked directories in its root, or the
    root itself.
    """
    for directory in catalogue.arrange():
        if ROOT in (directory.parent, directory.inode):
            for mark in marks_of(catalogue, directory):
                if isinstance(mark, QtreeMark):
                    yield catalogue.path_of(directory.inode), mark


def qtree_line(path: str, mark: QtreeMark) -> str:
    """What a list says of a qtree."""
    oplocks = "enabled" if mark.oplocks else "disabled"
    status = "read-only" if mark.is_read_only else "normal"
    return (
        f"{mark.id:>10}  {path}  security style {mark.security_style.value},"
        f" oplocks {oplocks}, status {status}"
    )
