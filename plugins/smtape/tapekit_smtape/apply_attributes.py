"""Owners, modes, times and extended attributes of restored objects.

They are made exactly what the image says: what an object has besides, such as
an access control list that it got from its directory, is taken away. The one
rule is the order: owner, extended attributes, mode, times, since each may
undo the one after it.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["set_attributes", "set_attributes_of_special"]

_NO_ATTRIBUTES: Final = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP})


def set_attributes(
    fd: int,
    mode: int,
    owner: tuple[int, int],
    times: tuple[int, int],
    wanted: Mapping[bytes, bytes],
) -> None:
    """Set the attributes of an open file or directory.

    :param times: of the last access and change, in ns since 1970.
    :raises OSError: one of them cannot be set.
    """
    os.fchown(fd, *owner)
    _set_extended(fd, wanted)
    os.fchmod(fd, stat.S_IMODE(mode))
    os.utime(fd, ns=times)


def set_attributes_of_special(
    fd: int,
    mode: int,
    owner: tuple[int, int],
    times: tuple[int, int],
    wanted: Mapping[bytes, bytes],
) -> None:
    """Set the attributes of an object that was opened with ``O_PATH``.

    :raises OSError: one of them cannot be set.
    """
    # The way through /proc reaches the object itself, whatever has its name.
    itself = f"/proc/self/fd/{fd}"
    os.chown(itself, *owner)
    _set_extended(itself, wanted)
    if not stat.S_ISLNK(mode):
        Path(itself).chmod(stat.S_IMODE(mode))
    os.utime(itself, ns=times)


def _set_extended(target: int | str, wanted: Mapping[bytes, bytes]) -> None:
    try:
        present = {os.fsencode(name) for name in os.listxattr(target)}
    except OSError as error:
        if error.errno not in _NO_ATTRIBUTES or wanted:
            raise
        return
    for name in present:
        if name not in wanted:
            os.removexattr(target, name)
    for name, value in wanted.items():
        if name not in present or os.getxattr(target, name) != value:
            os.setxattr(target, name, value)
