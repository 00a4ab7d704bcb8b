"""Extended attributes of the tree, as sets for the stream.

Files and directories are asked by descriptor; what cannot be opened without
consequences (links, devices, fifos, sockets) is asked by name below the
descriptor of its directory. The one rule: attributes that cannot be read or
carried are named in a warning, and the object itself is backed up.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final, final

from tapekit_dump.attributes import encode_sets
from tapekit_dump.backup_report import readable
from tapekit_dump.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit_dump.backup_report import BackupReport

__all__ = ["AttributeReader"]

_ACLS: Final = frozenset(
    {"system.posix_acl_access", "system.posix_acl_default", "security.NTACL"}
)
_NO_ATTRIBUTES: Final = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


@final
class AttributeReader:
    """Reads what the objects of one file system carry."""

    def __init__(self, report: BackupReport, *, with_acls: bool) -> None:
        self._report: Final = report
        self._left_out: Final = frozenset() if with_acls else _ACLS
        self._supported = True

    def of_descriptor(
        self, fd: int, path: Callable[[], bytes], *, directory: bool = False
    ) -> list[bytes]:
        """The sets of an open file or directory.

        :param path: tells where it is, for messages.
        """
        return self._sets(fd, path, directory=directory, follow=True)

    def of_name(self, directory: int, name: bytes, path: Callable[[], bytes]) -> list[bytes]:
        """The sets of a name in a directory; a symbolic link is not followed."""
        # There is no flistxattrat; the kernel's own link to an open directory
        # leads nowhere else, whatever is renamed meanwhile.
        where = b"/proc/self/fd/%d/%s" % (directory, name)
        return self._sets(where, path, directory=False, follow=False)

    def _sets(
        self, target: int | bytes, path: Callable[[], bytes], *, directory: bool, follow: bool
    ) -> list[bytes]:
        if not self._supported:
            return []
        try:
            names = os.listxattr(target, follow_symlinks=follow)
            if not names:
                return []
            found = {
                name: os.getxattr(target, name, follow_symlinks=follow)
                for name in names
                if name not in self._left_out
            }
        except OSError as error:
            self._failed(error, path)
            return []
        return self._encoded(found, path, directory=directory) if found else []

    def _failed(self, error: OSError, path: Callable[[], bytes]) -> None:
        if error.errno in _NO_ATTRIBUTES:
            self._supported = False
            return
        self._report.lose(
            CATALOGUE.error(
                "attributes-unreadable", path=readable(path()), reason=error.strerror or error
            )
        )

    def _encoded(
        self, found: dict[str, bytes], path: Callable[[], bytes], *, directory: bool
    ) -> list[bytes]:
        sets, unfit = encode_sets(found, directory=directory)
        if unfit:
            self._report.lose(
                CATALOGUE.error(
                    "attributes-do-not-fit", path=readable(path()), names=", ".join(unfit)
                )
            )
        return sets
