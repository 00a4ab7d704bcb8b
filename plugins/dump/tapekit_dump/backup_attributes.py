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

from tapekit.marks import Marks
from tapekit_dump.acl_limits import ACES_KEPT, within_limit
from tapekit_dump.attributes import ACLS, encode_sets, with_mode_alone
from tapekit_dump.backup_report import readable
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.posix_acl import ACCESS_ACL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit_dump.backup_report import BackupReport

__all__ = ["SECURITY_LABEL", "AttributeReader", "Locate"]

SECURITY_LABEL: Final = "security.selinux"
"""What NFS calls a security label (RFC 7862)."""

Locate: TypeAlias = Callable[[bytes], bytes]
"""Tells the path of a name in the directory that is being worked on; of the
directory itself, if the name is empty."""

_NO_ATTRIBUTES: Final = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


@final
class AttributeReader:
    """Reads what the objects of one file system carry.

    :param with_labels: whether objects may have security labels.
    """

    def __init__(self, report: BackupReport, *, with_acls: bool, with_labels: bool = True) -> None:
        self._report: Final = report
        self._with_labels: Final = with_labels
        self._with_acls: Final = with_acls
        self._left_out: Final = Marks().void | (frozenset() if with_acls else ACLS - {ACCESS_ACL})
        self.are_supported = True
        """Whether the file system has extended attributes, as far as is known."""

    def of_descriptor(
        self, fd: int, locate: Locate, name: bytes, *, directory: bool = False
    ) -> list[bytes]:
        """The sets of an open file or directory.

        :param locate: tells where ``name`` is, for messages.
        :raises TapekitError: it has a security label, which is not allowed.
        """
        if not self.are_supported:
            return []
        try:
            names = os.listxattr(fd)
        except OSError as error:
            self._failed(error, locate(name))
            return []
        if not names:
            return []
        found = self._values(fd, names, locate, name, follow=True)
        return self._encoded(found, locate(name), directory=directory) if found else []

    def of_name(self, directory: int, locate: Locate, name: bytes) -> list[bytes]:
        """The sets of a name in a directory; a symbolic link is not followed.

        :raises TapekitError: it has a security label, which is not allowed.
        """
        if not self.are_supported:
            return []
        # There is no flistxattrat; the kernel's own link to an open directory
        # leads to that directory, whatever is renamed meanwhile.
        where = b"/proc/self/fd/%d/%s" % (directory, name)
        try:
            names = os.listxattr(where, follow_symlinks=False)
        except OSError as error:
            self._failed(error, locate(name))
            return []
        found = self._values(where, names, locate, name, follow=False)
        return self._encoded(found, locate(name), directory=False) if found else []

    def _values(
        self,
        target: int | bytes,
        attributes: Sequence[str],
        locate: Locate,
        name: bytes,
        *,
        follow: bool,
    ) -> dict[str, bytes]:
        if SECURITY_LABEL in attributes and not self._with_labels:
            raise CATALOGUE.error("nfs-labels-not-recognized")
        found: dict[str, bytes] = {}
        for attribute in attributes:
            if attribute not in self._left_out:
                try:
                    found[attribute] = os.getxattr(target, attribute, follow_symlinks=follow)
                except OSError as error:
                    self._unreadable(attribute, error, locate(name))
        return found

    def _unreadable(self, attribute: str, error: OSError, path: bytes) -> None:
        """One attribute cannot be had; one that is gone by now is nothing."""
        if error.errno != errno.ENODATA:
            self._report.lose(
                CATALOGUE.error(
                    "attribute-unreadable",
                    path=readable(path),
                    name=attribute,
                    reason=error.strerror or error,
                )
            )

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
        if not self._with_acls:
            found = with_mode_alone(found)
        elif not ACLS.isdisjoint(found):
            found, too_long = within_limit(found)
            for name, entries in too_long:
                self._report.lose(
                    CATALOGUE.error(
                        "acl-too-long",
                        path=readable(path),
                        name=name,
                        entries=entries,
                        limit=ACES_KEPT,
                    )
                )
        sets, unfit = encode_sets(found, directory=directory)
        if unfit:
            self._report.lose(
                CATALOGUE.error(
                    "attributes-do-not-fit", path=readable(path), names=", ".join(unfit)
                )
            )
        return sets
