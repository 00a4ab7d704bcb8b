"""Whether the destination has room for a whole backup, before it is filled.

How long the stream is stands in the environment of the backup, how many
objects it has in its directories. The one rule: a file system that does not
tell how much is free is never the reason to refuse.
"""

from __future__ import annotations

import os
from typing import Final

from tapekit_dump.errors import CATALOGUE

__all__ = ["check_inodes", "check_space"]

_RESERVE: Final = 100 * 1000 * 1000
"""Bytes that a destination needs beside the data."""


def check_space(descriptor: int, path: str, wanted: int) -> None:
    """Refuse a restore of so many bytes if they do not fit.

    :param descriptor: an open directory of the destination.
    :param path: the destination, for the message.
    :raises TapekitError: there is less room.
    """
    status = os.fstatvfs(descriptor)
    free = status.f_bavail * status.f_frsize
    if wanted + _RESERVE > free:
        raise CATALOGUE.error(
            "space-missing", path=path, wanted=wanted, reserve=_RESERVE, free=free
        )


def check_inodes(descriptor: int, path: str, wanted: int) -> None:
    """Refuse a restore of so many objects if they do not fit.

    :raises TapekitError: there are fewer inodes.
    """
    status = os.fstatvfs(descriptor)
    # Some file systems have no fixed number of inodes, and tell 0 of 0.
    if status.f_files and wanted > status.f_favail:
        raise CATALOGUE.error("inodes-missing", path=path, wanted=wanted, free=status.f_favail)
