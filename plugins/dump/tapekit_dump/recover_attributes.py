"""Owners, modes, times and extended attributes of restored objects.

Three calls on an open file do for nearly all; only if one of them fails is
each attribute set on its own, so that every failure is told by name. The
one rule is the order: owner, extended attributes, mode, times, flags, since
each may undo the one after it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit_dump.attributes import ACLS, decode_set, without_acls
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.nt_streams import stream_length, stream_name
from tapekit_dump.posix_acl import ACCESS_ACL, mode_without
from tapekit_dump.recover_acls import set_acl

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.errors import TapekitError
    from tapekit_dump.headers import Header

__all__ = ["AttributeSetter", "Attributes"]

_PACKED: Final = struct.Struct("<HHIIqq")
_FLAGS: Final = 0x70
"""Immutable, append only, no dump: what a user sets and ext file systems
keep in the same bits as the dump stream."""

_GET_FLAGS: Final = 0x8008_6601
_SET_FLAGS: Final = 0x4008_6602
_FLAG_WORD: Final = struct.Struct("=I4x")
"""The calls are declared for a long and use an int."""

_SET_ID_BITS: Final = stat.S_ISUID | stat.S_ISGID


class Attributes(NamedTuple):
    """What the stream says of an object besides its content."""

    mode: int
    """Type and permission bits as in ``st_mode``."""
    flags: int
    uid: int
    gid: int
    atime_ns: int
    mtime_ns: int

    @classmethod
    def of(cls, header: Header, *, old_format: bool) -> Attributes:
        """From a header; ``old_format`` has user and group in 16 bits."""
        return cls(
            header.mode,
            header.inode_flags & _FLAGS,
            header.low_uid if old_format else header.uid,
            header.low_gid if old_format else header.gid,
            header.atime_s * 1_000_000_000 + header.atime_us * 1000,
            header.mtime_s * 1_000_000_000 + header.mtime_us * 1000,
        )

    @classmethod
    def unpack(cls, packed: bytes) -> Attributes:
        """From the bytes of :meth:`pack`."""
        return cls(*_PACKED.unpack(packed))

    def pack(self) -> bytes:
        """As few bytes, for keeping many."""
        return _PACKED.pack(*self)

    @property
    def permissions(self) -> int:
        """The mode without the type."""
        return self.mode & 0o7777


@final
class AttributeSetter:
    """Sets attributes.

    :param warn: hears of each attribute that could not be set, in words for
        the operator.
    :param with_acls: whether :meth:`wanted` leaves ACLs in.
    """

    def __init__(self, warn: Callable[[TapekitError], None], *, with_acls: bool = True) -> None:
        self._warn: Final = warn
        self._with_acls: Final = with_acls

    def wanted(self, sets: Sequence[bytes]) -> Sequence[bytes]:
        """The sets of an object without what is not to be restored of them."""
        return sets if self._with_acls else without_acls(sets)

    def finish(
        self, fd: int, attributes: Attributes, sets: Sequence[bytes], path: Callable[[], str]
    ) -> None:
        """Set all but the flags of an open file or directory."""
        if not sets:
            try:
                os.fchown(fd, attributes.uid, attributes.gid)
                os.fchmod(fd, attributes.permissions)
                os.utime(fd, ns=(attributes.atime_ns, attributes.mtime_ns))
            except OSError:
                # Once more, each by itself: the failing one is then named.
                self._finish_one_by_one(fd, attributes, sets, path)
            return
        self._finish_one_by_one(fd, attributes, sets, path)

    def finish_special(
        self, fd: int, attributes: Attributes, sets: Sequence[bytes], path: Callable[[], str]
    ) -> None:
        """Set all attributes of a symbolic link, device, fifo or socket that
        was opened with ``O_PATH``.
        """
        # The way through /proc reaches the object itself: nothing that takes
        # its name in the meantime is touched.
        itself = f"/proc/self/fd/{fd}"
        given = self._own(lambda: os.chown(itself, attributes.uid, attributes.gid), path)
        permissions = self._set_extended(itself, attributes.permissions, sets, path)
        if not stat.S_ISLNK(attributes.mode):
            mode = _lawful_mode(permissions, given=given)
            self._try(lambda: Path(itself).chmod(mode), "mode", path)
        times = attributes.atime_ns, attributes.mtime_ns
        self._try(lambda: os.utime(itself, ns=times), "times", path)

    def set_flags(self, fd: int, flags: int, path: Callable[[], str]) -> None:
        """Set the flags of an open file; nothing can be changed afterwards."""
        if flags:
            self._try(lambda: _add_flags(fd, flags), "flags", path)

    def _finish_one_by_one(
        self, fd: int, attributes: Attributes, sets: Sequence[bytes], path: Callable[[], str]
    ) -> None:
        given = self._own(lambda: os.fchown(fd, attributes.uid, attributes.gid), path)
        permissions = self._set_extended(fd, attributes.permissions, sets, path)
        mode = _lawful_mode(permissions, given=given)
        self._try(lambda: os.fchmod(fd, mode), "mode", path)
        times = attributes.atime_ns, attributes.mtime_ns
        self._try(lambda: os.utime(fd, ns=times), "times", path)

    def _own(self, give: Callable[[], None], path: Callable[[], str]) -> bool:
        """Set the owner; whether it is set."""
        try:
            give()
        except OSError as error:
            if error.errno == errno.EPERM:
                self._warn(CATALOGUE.error("owners-not-restored"))
            else:
                self._tell("owner", path, error)
            return False
        return True

    def _set_extended(
        self, target: int | str, permissions: int, sets: Sequence[bytes], path: Callable[[], str]
    ) -> int:
        """Set all attributes; gives the permissions that the object may get."""
        for blob in sets:
            found, problems = decode_set(blob)
            for problem in problems:
                self._warn(CATALOGUE.error("attributes-lost", path=path(), reason=problem))
            for name, value in found.items():
                if name in ACLS:
                    permissions = self._set_acl(target, name, value, permissions, path)
                else:
                    self._set_one(target, name, value, path)
        return permissions

    def _set_acl(
        self, target: int | str, name: str, value: bytes, permissions: int, path: Callable[[], str]
    ) -> int:
        try:
            return set_acl(target, name, value, permissions, path, self._warn)
        except OSError as error:
            self._tell(name, path, error)
        return mode_without(permissions, value) if name == ACCESS_ACL else permissions

    def _set_one(self, target: int | str, name: str, value: bytes, path: Callable[[], str]) -> None:
        stream = stream_name(name)
        if stream is None:
            self._try(lambda: os.setxattr(target, name, value), name, path)
            return
        try:
            os.setxattr(target, name, value)
        except OSError as error:
            self._warn(
                CATALOGUE.error(
                    "nt-stream-not-restored",
                    path=path(),
                    stream=stream,
                    length=stream_length(value),
                    reason=error.strerror,
                )
            )

    def _try(self, change: Callable[[], None], what: str, path: Callable[[], str]) -> None:
        try:
            change()
        except OSError as error:
            self._tell(what, path, error)

    def _tell(self, what: str, path: Callable[[], str], error: OSError) -> None:
        self._warn(
            CATALOGUE.error("attribute-not-restored", what=what, path=path(), reason=error.strerror)
        )


def _lawful_mode(permissions: int, *, given: bool) -> int:
    """The permissions, without set-ID bits if the object could not be given to its
    owner: a program must not run as whoever restores it.
    """
    return permissions if given else permissions & ~_SET_ID_BITS


def _add_flags(fd: int, flags: int) -> None:
    word = bytearray(_FLAG_WORD.size)
    fcntl.ioctl(fd, _GET_FLAGS, word)
    (present,) = _FLAG_WORD.unpack(word)
    fcntl.ioctl(fd, _SET_FLAGS, _FLAG_WORD.pack(present | flags))
