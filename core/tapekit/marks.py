"""Marks: what tells a qtree, a LUN or a WORM file from any other object.

A mark is an extended attribute with a JSON value, so that it goes wherever
attributes go: into Snapshot copies and onto tape. It is called
``trusted.tapekit.KIND`` where this process may use that namespace, which
users cannot write to, and ``user.tapekit.KIND`` elsewhere. The one rule: a
mark that cannot be understood is no mark.
"""

from __future__ import annotations

import enum
import os
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, TypeAlias, TypeVar, final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "PREFIXES",
    "AlignMark",
    "LunMark",
    "Mark",
    "Marks",
    "OriginMark",
    "QtreeMark",
    "SecurityStyle",
    "SnapLock",
    "WormMark",
    "decode_mark",
    "encode_mark",
    "is_mark",
]

PREFIXES: Final = ("trusted.tapekit.", "user.tapekit.")
"""How the names of marks begin: where nobody but the system's administrator
can write, and where everybody can write to their own files."""

_LONGEST: Final = 1024
"""Bytes of a mark's value; a longer one is none."""

_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class SecurityStyle(enum.StrEnum):
    """Whose permissions count in a volume or qtree."""

    UNIX = "unix"
    NTFS = "ntfs"
    MIXED = "mixed"


class SnapLock(enum.StrEnum):
    """Whether files of a volume can be made unchangeable for a time."""

    NONE = "none"
    ENTERPRISE = "enterprise"
    """An administrator may let go of a file before its time."""
    COMPLIANCE = "compliance"
    """Nobody may."""


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """One of the marks below."""

    kind: ClassVar[str] = ""
    """The end of the attribute's name."""


class QtreeMark(Mark, frozen=True, kw_only=True):
    """On a directory at the top of a volume: it is a qtree. Elsewhere it
    means nothing.
    """

    kind: ClassVar[str] = "qtree"

    id: Annotated[int, msgspec.Meta(ge=1, le=4994)]
    """Unique in the volume."""
    security_style: SecurityStyle = SecurityStyle.UNIX
    oplocks: bool = True
    is_read_only: bool = False
    """Whether restores must not write into it."""


class LunMark(Mark, frozen=True, kw_only=True):
    """On a file at the top of a volume or of a qtree: it is a LUN. Elsewhere
    it means nothing.
    """

    kind: ClassVar[str] = "lun"

    serial: Annotated[str, msgspec.Meta(max_length=64)]
    os_type: Annotated[str, msgspec.Meta(max_length=32)] = "linux"
    is_online: bool = True
    is_mapped: bool = False
    is_consistent: bool = True
    """Whether a backup may have it."""


class WormMark(Mark, frozen=True, kw_only=True):
    """On a file: it has been committed. On a SnapLock volume it cannot be
    changed; elsewhere the mark is kept and binds nobody.
    """

    kind: ClassVar[str] = "worm"

    retained_until_s: _Count
    """Seconds since 1970."""


class AlignMark(Mark, frozen=True, kw_only=True):
    """On a file: it is laid out for virtual machines (VM alignment)."""

    kind: ClassVar[str] = "vm-align"

    sectors: _Count
    """How far its content is shifted, in sectors of 512 bytes."""


class OriginMark(Mark, frozen=True, kw_only=True):
    """On the root of a backup, in its stream alone: what the volume was."""

    kind: ClassVar[str] = "origin"

    security_style: SecurityStyle = SecurityStyle.UNIX
    """Of the volume, or of the qtree that the root is or is in."""
    snaplock: SnapLock = SnapLock.NONE
    vm_align_sectors: _Count = 0


_MARKS: Final[Mapping[str, type[Mark]]] = {
    each.kind: each for each in (QtreeMark, LunMark, WormMark, AlignMark, OriginMark)
}
_MarkT = TypeVar("_MarkT", bound=Mark)


def is_mark(name: str) -> bool:
    """Whether an attribute of this name is a mark, in either namespace."""
    return name.startswith(PREFIXES)


def encode_mark(mark: Mark) -> bytes:
    """The value of a mark's attribute."""
    return msgspec.json.encode(mark)


def decode_mark(name: str, value: bytes) -> Mark | None:
    """The mark that an attribute is, in either namespace, if any."""
    for prefix in PREFIXES:
        kind = _MARKS.get(name.removeprefix(prefix))
        if kind is not None and len(value) <= _LONGEST:
            try:
                return msgspec.json.decode(value, type=kind)
            except msgspec.DecodeError:
                return None
    return None


@final
class Marks:
    """Reads and sets marks of objects, in the namespace that this process
    may use. Objects are named by descriptor or, below an open directory, by
    its ``/proc/self/fd`` path; a symbolic link is never followed to another.
    """

    def __init__(self, prefix: str | None = None) -> None:
        """:param prefix: one of :data:`PREFIXES`; else it is found out."""
        self.prefix: Final = prefix or _usable_prefix()

    def attribute(self, mark: Mark) -> tuple[str, bytes]:
        """Name and value of a mark's attribute."""
        return self.prefix + mark.kind, encode_mark(mark)

    @property
    def void(self) -> frozenset[str]:
        """Names of attributes of objects that look like marks and are none:
        those that users could have set where they do not count, and what
        only a stream can tell.
        """
        names = {prefix + OriginMark.kind for prefix in PREFIXES}
        if self.prefix != PREFIXES[1]:
            names.update(PREFIXES[1] + kind for kind in _MARKS)
        return frozenset(names)

    def read(self, target: int | bytes, mark: type[_MarkT]) -> _MarkT | None:
        """The mark of an object; ``None`` if it has none that can be read."""
        try:
            value = os.getxattr(
                target, self.prefix + mark.kind, follow_symlinks=isinstance(target, int)
            )
        except OSError:
            # Whatever the reason is, there is no mark that could count.
            return None
        found = decode_mark(self.prefix + mark.kind, value)
        return found if isinstance(found, mark) else None

    def read_below(self, directory: int, name: bytes, mark: type[_MarkT]) -> _MarkT | None:
        """The mark of a name in an open directory."""
        return self.read(b"/proc/self/fd/%d/%s" % (directory, name), mark)

    def write(self, target: int, mark: Mark) -> None:
        """Give an open object a mark; replaces one of its kind.

        :raises OSError: it cannot be given.
        """
        os.setxattr(target, *self.attribute(mark))

    def remove(self, target: int, mark: type[Mark]) -> None:
        """Take a mark from an open object.

        :raises OSError: it has none, or it cannot be taken.
        """
        os.removexattr(target, self.prefix + mark.kind)


def _usable_prefix() -> str:
    """The safer namespace, if this process can use it."""
    # Only trying tells: in a container even root may not be allowed to.
    probe = os.memfd_create("tapekit-marks", os.MFD_CLOEXEC)
    try:
        os.setxattr(probe, f"{PREFIXES[0]}probe", b"")
    except OSError:
        return PREFIXES[1]
    else:
        return PREFIXES[0]
    finally:
        os.close(probe)
