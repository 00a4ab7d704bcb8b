"""New objects under single names in open directories: the calls themselves.

Whatever has the name before is removed first, unless it is a directory, and
the new object is made only if nothing has the name then. The one rule:
nothing here takes a path; a name and a descriptor are all there is.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tapekit_dump.headers import Header

__all__ = ["SPECIAL_TYPES", "forget_acl", "link", "new_file", "new_special", "write_all"]

SPECIAL_TYPES: Final = frozenset(
    {stat.S_IFLNK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK}
)
"""Types of everything that is neither directory nor regular file."""

_DEVICES: Final = frozenset({stat.S_IFCHR, stat.S_IFBLK})
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_REFERENCE: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_UNTIL_FINISHED: Final = 0o600
_ACCESS_ACL: Final = "system.posix_acl_access"


def new_file(name: bytes, directory: int, mode: int) -> int:
    """Make a regular file and open it for writing.

    :param mode: permission bits, from which the umask is taken.
    :raises OSError: it cannot be made; ``EISDIR`` if a directory is there.
    """
    try:
        return os.open(name, _NEW_FILE, mode, dir_fd=directory)
    except FileExistsError:
        os.unlink(name, dir_fd=directory)
        return os.open(name, _NEW_FILE, mode, dir_fd=directory)


def new_special(name: bytes, directory: int, header: Header, target: bytes) -> int:
    """Make a symbolic link, device, fifo or socket and open it as a mere
    reference (``O_PATH``).

    :raises OSError: it cannot be made; ``EISDIR`` if a directory is there.
    """
    try:
        _make_special(name, directory, header, target)
    except FileExistsError:
        os.unlink(name, dir_fd=directory)
        _make_special(name, directory, header, target)
    return os.open(name, _REFERENCE, dir_fd=directory)


def link(fd: int, name: bytes, directory: int) -> None:
    """Give an open object another name.

    :raises OSError: it cannot be given.
    """
    # By its descriptor: its first name may mean something else by now.
    itself = f"/proc/self/fd/{fd}"
    try:
        os.link(itself, name, dst_dir_fd=directory, follow_symlinks=True)
    except FileExistsError:
        os.unlink(name, dir_fd=directory)
        os.link(itself, name, dst_dir_fd=directory, follow_symlinks=True)


def forget_acl(fd: int) -> None:
    """Remove the ACL that a new file got from its directory."""
    # A default ACL that says no more than a mode leaves none; the way through
    # /proc also takes descriptors that are mere references.
    with contextlib.suppress(OSError):
        os.removexattr(f"/proc/self/fd/{fd}", _ACCESS_ACL)


def write_all(fd: int, data: memoryview | bytes, offset: int) -> None:
    """Write bytes at an offset.

    :raises OSError: not all of them could be written.
    """
    while len(data):
        done = os.pwrite(fd, data, offset)
        data, offset = data[done:], offset + done


def _make_special(name: bytes, directory: int, header: Header, target: bytes) -> None:
    kind = stat.S_IFMT(header.mode)
    if kind == stat.S_IFLNK:
        os.symlink(target, name, dir_fd=directory)
    else:
        device = _device(header) if kind in _DEVICES else 0
        os.mknod(name, kind | _UNTIL_FINISHED, device, dir_fd=directory)


def _device(header: Header) -> int:
    # Debian's dump leaves wide numbers in the second word and 0 in the first.
    number = header.device or header.wide_device
    return os.makedev(number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00)
