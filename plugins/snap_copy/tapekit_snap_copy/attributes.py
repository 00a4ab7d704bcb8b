"""Gives a copied object the owner, attributes, mode and times of the original.

The order matters: a change of owner takes setuid bits and capabilities away,
and an access control list sets mode bits, so the owner comes first and mode
and times come last. The one rule: what lacks a privilege is reported as
lost, and anything else that cannot be kept is an error.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AttributeNotKept", "AttributeSetter"]


_REMOVED: Final = frozenset({errno.ENODATA, errno.ENOENT})
"""The attribute, or its object, has gone since it was listed."""

_NONE: Final = frozenset({errno.ENOTSUP, errno.ENOENT})
"""The file system has no attributes, or the object has gone."""


class AttributeNotKept(Exception):
    """The target's file system does not take an extended attribute."""

    def __init__(self, attribute: str, error: OSError) -> None:
        super().__init__(attribute, error)
        self.attribute: Final = attribute
        self.error: Final = error


@final
class AttributeSetter:
    """Copies attributes; what the process may not set goes to ``lost``.

    :param lost: told in words what the object at work has lost.
    """

    def __init__(self, lost: Callable[[str], None]) -> None:
        self._lost: Final = lost
        self._own: Final = (os.geteuid(), os.getegid())

    def copy_open(self, source: int, target: int, status: os.stat_result) -> None:
        """Set the attributes of an open file or directory.

        :raises AttributeNotKept: the file system refuses one of them.
        """
        if (status.st_uid, status.st_gid) != self._own:
            self._permitted("owner", lambda: os.chown(target, status.st_uid, status.st_gid))
        self._copy_extended(source, target, follow_symlinks=True)
        os.fchmod(target, stat.S_IMODE(status.st_mode))
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))

    def copy_named(self, source: int, target: int, name: str, status: os.stat_result) -> None:
        """Set the attributes of an object that is not to be opened.

        :param source: the open directory of the original; the copy has the
            same name in ``target``.
        :raises AttributeNotKept: the file system refuses one of them.
        """
        if (status.st_uid, status.st_gid) != self._own:
            self._permitted(
                "owner",
                lambda: os.chown(
                    name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False
                ),
            )
        # There are no calls for extended attributes relative to a descriptor.
        self._copy_extended(
            f"/proc/self/fd/{source}/{name}",
            f"/proc/self/fd/{target}/{name}",
            follow_symlinks=False,
        )
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=target)
        times = (status.st_atime_ns, status.st_mtime_ns)
        os.utime(name, ns=times, dir_fd=target, follow_symlinks=False)

    def _copy_extended(
        self, source: int | str, target: int | str, *, follow_symlinks: bool
    ) -> None:
        for attribute in _names(source, follow_symlinks=follow_symlinks):
            try:
                value = os.getxattr(source, attribute, follow_symlinks=follow_symlinks)
            except OSError as error:
                if error.errno not in _REMOVED:
                    raise
                continue
            try:
                os.setxattr(target, attribute, value, follow_symlinks=follow_symlinks)
            except PermissionError:
                self._lost(f"attribute {attribute}")
            except OSError as error:
                raise AttributeNotKept(attribute, error) from error

    def _permitted(self, what: str, change: Callable[[], None]) -> None:
        try:
            change()
        except PermissionError:
            self._lost(what)


def _names(source: int | str, *, follow_symlinks: bool) -> list[str]:
    """The attributes, access control lists last: they may forbid the rest."""
    try:
        names = os.listxattr(source, follow_symlinks=follow_symlinks)
    except OSError as error:
        if error.errno not in _NONE:
            raise
        return []
    return sorted(names, key=_is_access) if len(names) > 1 else names


def _is_access(attribute: str) -> bool:
    return attribute.startswith("system.")
