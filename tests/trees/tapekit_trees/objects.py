"""Makes single objects of every kind, and counts them.

Everything is made relative to the descriptor of one root, so a tree's own
place and odd names do not matter. The one rule: what a machine cannot hold
is left out and reported in ``left_out``, and any other failure is raised.
"""

from __future__ import annotations

import errno
import os
import random
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

__all__ = ["ACCESS_ACL", "BLOCK", "DEFAULT_ACL", "ObjectMaker", "TreeSummary", "acl", "sample_acl"]

BLOCK: Final = 4096
ACCESS_ACL: Final = "system.posix_acl_access"
DEFAULT_ACL: Final = "system.posix_acl_default"

_NOT_HERE: Final = frozenset(
    {errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}
)
"""What a machine answers that cannot hold an object, rather than fails."""

_NO_ID: Final = 0xFFFFFFFF


@dataclass
class TreeSummary:
    """What a tree holds; the root itself is not counted."""

    files: int = 0
    directories: int = 0
    symlinks: int = 0
    specials: int = 0
    """Fifos, sockets and devices."""
    hard_links: int = 0
    """Names beyond the first of an object."""
    bytes: int = 0
    """Sum of the sizes of the files, holes included, each file once."""
    left_out: list[str] = field(default_factory=list)
    """What this machine does not allow, with the reason, each once."""


def acl(entries: Sequence[tuple[int, int, int]]) -> bytes:
    """A POSIX ACL as ``system.posix_acl_*`` holds it (version 2, little-endian).

    :param entries: ``(tag, permissions, id)``, in the order of the tags.
    """
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def sample_acl(user: int, group: int) -> bytes:
    """An ACL that gives a user and a group of their own something."""
    owner, named_user, owning_group, named_group, mask, other = 1, 2, 4, 8, 16, 32
    return acl(
        [
            (owner, 7, _NO_ID),
            (named_user, 6, user),
            (owning_group, 5, _NO_ID),
            (named_group, 4, group),
            (mask, 7, _NO_ID),
            (other, 0, _NO_ID),
        ]
    )


@final
class ObjectMaker:
    """Makes objects below one root; names are bytes relative to it.

    Each method that makes something returns its name.
    """

    def __init__(self, root: Path, seed: int) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.top: Final = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        self.chance: Final = random.Random(seed)
        self.summary: Final = TreeSummary()
        self._pool: Final = self.chance.randbytes(256 * 1024)

    def __enter__(self) -> ObjectMaker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self.top)

    def status(self, name: bytes) -> os.stat_result | None:
        """The object's status, or ``None`` if there is none."""
        try:
            return os.stat(name, dir_fd=self.top, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def directory(self, name: bytes, mode: int = 0o755) -> bytes:
        os.mkdir(name, dir_fd=self.top)
        os.chmod(name, mode, dir_fd=self.top)
        self.summary.directories += 1
        return name

    def file(self, name: bytes, size: int, mode: int = 0o644) -> bytes:
        return self.file_of(name, [(0, size)], size, mode)

    def file_of(
        self, name: bytes, data: Sequence[tuple[int, int]], size: int, mode: int = 0o644
    ) -> bytes:
        """A file with data at each ``(offset, length)``, and holes elsewhere."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(name, flags, dir_fd=self.top), "wb") as made:
            os.ftruncate(made.fileno(), size)
            for offset, length in data:
                made.seek(offset)
                made.writelines(self._content(length))
            os.fchmod(made.fileno(), mode)
        self.summary.files += 1
        self.summary.bytes += size
        return name

    def symlink(self, name: bytes, target: bytes) -> bytes:
        os.symlink(target, name, dir_fd=self.top)
        self.summary.symlinks += 1
        return name

    def link(self, name: bytes, existing: bytes) -> bytes:
        os.link(existing, name, src_dir_fd=self.top, dst_dir_fd=self.top, follow_symlinks=False)
        self.summary.hard_links += 1
        return name

    def fifo(self, name: bytes, mode: int = 0o640) -> bytes:
        os.mkfifo(name, dir_fd=self.top)
        os.chmod(name, mode, dir_fd=self.top)
        self.summary.specials += 1
        return name

    def socket(self, name: bytes) -> bytes:
        # A socket's address may not exceed 107 bytes, so it is made under a
        # short name and moved.
        short = b"s"
        while self.status(short) is not None:
            short += b"s"
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(f"/proc/self/fd/{self.top}/".encode() + short)
        os.rename(short, name, src_dir_fd=self.top, dst_dir_fd=self.top)
        self.summary.specials += 1
        return name

    def device(self, name: bytes, kind: int, major: int, minor: int) -> bytes:
        """A device node of ``kind`` (``stat.S_IFCHR``, ``stat.S_IFBLK``)."""

        def make() -> None:
            os.mknod(name, kind | 0o660, os.makedev(major, minor), dir_fd=self.top)
            self.summary.specials += 1

        self._attempt("devices", make)
        return name

    def owner(self, name: bytes, uid: int, gid: int) -> bytes:
        self._attempt(
            "other owners",
            lambda: os.chown(name, uid, gid, dir_fd=self.top, follow_symlinks=False),
        )
        return name

    def mode(self, name: bytes, mode: int) -> bytes:
        os.chmod(name, mode, dir_fd=self.top)
        return name

    def attribute(self, name: bytes, attribute: str, value: bytes) -> bytes:
        path = f"/proc/self/fd/{self.top}/".encode() + name
        self._attempt(
            f"attributes {attribute.partition('.')[0]}.*",
            lambda: os.setxattr(path, attribute, value, follow_symlinks=False),
        )
        return name

    def times(self, name: bytes, atime_us: int, mtime_us: int) -> bytes:
        """Set the times, in microseconds since 1970."""
        os.utime(
            name or b".",
            ns=(atime_us * 1000, mtime_us * 1000),
            dir_fd=self.top,
            follow_symlinks=False,
        )
        return name

    def _content(self, size: int) -> Iterator[bytes]:
        """Pieces of content that is cheap to make and differs between files."""
        while size > 0:
            start = self.chance.randrange(len(self._pool) - BLOCK)
            piece = self._pool[start : start + size]
            size -= len(piece)
            yield piece

    def _attempt(self, what: str, make: Callable[[], None]) -> None:
        try:
            make()
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
            reason = f"{what}: {os.strerror(error.errno)}"
            if reason not in self.summary.left_out:
                self.summary.left_out.append(reason)
