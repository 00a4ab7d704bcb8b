"""Extended attributes of the tree, as sets for the stream.

Files and directories are asked by descriptor; what cannot be opened without
consequences (links, devices, fifos, sockets) is asked by name below the
descriptor of its directory. The one rule: attributes that cannot be read or
carried are named in a warning, and the object itself is backed up.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias, final

from tapekit_dump.attributes import ACLS, encode_sets
from tapekit_dump.backup_report import readable
from tapekit_dump.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit_dump.backup_report import BackupReport

__all__ = ["AttributeReader", "Locate"]

Locate: TypeAlias = Callable[[bytes], bytes]
"""Tells the path of a name in the directory that is being worked on; of the
directory itself, if the name is empty."""

_NO_ATTRIBUTES: Final = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


@final
class AttributeReader:
    """Reads what the objects of one file system carry."""

    def __init__(self, report: BackupReport, *, with_acls: bool) -> None:
        self._report: Final = report
        self._left_out: Final = frozenset() if with_acls else ACLS
        self.are_supported = True
        """Whether the file system has extended attributes, as far as is known."""

    def of_descriptor(
        self, fd: int, locate: Locate, name: bytes, *, directory: bool = False
    ) -> list[bytes]:
        """The sets of an open file or directory.

        :param locate: tells where ``name`` is, for messages.
        """
        if not self.are_supported:
            return []
        try:
            names = os.listxattr(fd)
            found = self._values(fd, names, follow=True) if names else None
        except OSError as error:
            self._failed(error, locate(name))
            return []
        return self._encoded(found, locate(name), directory=directory) if found else []

    def of_name(self, directory: int, locate: Locate, name: bytes) -> list[bytes]:
        """The sets of a name in a directory; a symbolic link is not followed."""
        if not self.are_supported:
            return []
        # There is no flistxattrat; the kernel's own link to an open directory
        # leads to that directory, whatever is renamed meanwhile.
        where = b"/proc/self/fd/%d/%s" % (directory, name)
        try:
            found = self._values(where, os.listxattr(where, follow_symlinks=False), follow=False)
        except OSError as error:
            self._failed(error, locate(name))
            return []
        return self._encoded(found, locate(name), directory=False) if found else []

    def _values(
        self, target: int | bytes, names: Sequence[str], *, follow: bool
    ) -> dict[str, bytes]:
        return {
            name: os.getxattr(target, name, follow_symlinks=follow)
            for name in names
            if name not in self._left_out
        }

    def _failed(self, error: OSError, path: bytes) -> None:
        if error.errno in _NO_ATTRIBUTES:
            self.are_supported = False
            return
        self._report.lose(
            CATALOGUE.error(
                "attributes-unreadable", path=readable(path), reason=error.strerror or error
            )
        )

    def _encoded(self, found: dict[str, bytes], path: bytes, *, directory: bool) -> list[bytes]:
        sets, unfit = encode_sets(found, directory=directory)
        if unfit:
            self._report.lose(
                CATALOGUE.error(
                    "attributes-do-not-fit", path=readable(path), names=", ".join(unfit)
                )
            )
        return sets
