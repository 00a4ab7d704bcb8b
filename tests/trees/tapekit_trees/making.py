"""Makes trees of files that hold everything a backup has to bring back.

``make_tree`` fills a directory with a realistic mixture and every special
case by name, ``random_tree`` makes small trees for property tests, and the
last two functions make the benchmark's. The one rule: everything follows
from the arguments, so that a failing tree can be made again.
"""

from __future__ import annotations

import os
import stat
import struct
from typing import TYPE_CHECKING, Final, final

from tapekit_trees.objects import (
    ACCESS_ACL,
    BLOCK,
    DEFAULT_ACL,
    ObjectMaker,
    TreeSummary,
    sample_acl,
)

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TreeSummary", "make_large_files", "make_small_files", "make_tree", "random_tree"]


def _special_names(maker: ObjectMaker, top: bytes) -> None:
    """Names that programs trip over."""
    for name in (
        b"with space",
        b" leading and trailing ",
        b"-rf",
        b"--",
        b"new\nline",
        b"tab\there",
        b"back\\slash",
        b"quote'\"`$(x)",
        b"star*?[a]",
        b"\xff\xfe not UTF-8 \x80",
        b"\x01\x7f",
        "grüße-日本語-😀".encode(),
        "e\u0301".encode(),
        "é".encode(),
        b".hidden",
        b"...",
        b"~",
        b"n" * 254,
        "語".encode() * 84 + b"zz",
    ):
        maker.file(top + b"/" + name, maker.chance.randrange(200))
    maker.directory(top + b"/" + b"d" * 254)
    maker.directory(top + b"/\xfd\xfe")
    maker.file(top + b"/\xfd\xfe/\xfc", 3)


def _sparse_files(maker: ObjectMaker, top: bytes, far: int) -> None:
    """Holes at the start, in the middle, at the end, everywhere, and often."""
    mib = 1 << 20
    maker.file_of(top + b"/hole at start", [(mib, 5000)], mib + 5000)
    maker.file_of(top + b"/hole in middle", [(0, BLOCK), (mib - BLOCK, BLOCK)], mib)
    maker.file_of(top + b"/hole at end", [(0, 3 * BLOCK)], mib + 1)
    maker.file_of(top + b"/only a hole", [], mib + 77)
    maker.file_of(top + b"/small hole", [], 777)
    maker.file_of(top + b"/comb", [(n * BLOCK, BLOCK) for n in range(0, 256, 2)], 256 * BLOCK)
    maker.file_of(top + b"/far", [(0, 10), (far, 10)], far + 10)


def _links(maker: ObjectMaker, top: bytes) -> None:
    """Hard links across directories and symbolic links of each kind."""
    for name in (b"/a", b"/a/b", b"/z"):
        maker.directory(top + name)
    first = maker.file(top + b"/z/first", 5000)
    maker.link(top + b"/a/second", first)
    maker.link(top + b"/a/b/third", first)
    maker.link(top + b"/fourth", first)
    pipe = maker.fifo(top + b"/a/pipe")
    maker.link(top + b"/z/same pipe", pipe)
    maker.symlink(top + b"/dangling", b"no/such/place")
    maker.symlink(top + b"/absolute", b"/etc/passwd")
    maker.symlink(top + b"/to directory", b"a/b")
    maker.symlink(top + b"/upwards", b"../../..")
    maker.symlink(top + b"/self", b"self")
    maker.symlink(top + b"/odd target", b"\xff\n ")
    maker.symlink(top + b"/short", b"x" * 59)
    maker.symlink(top + b"/long", b"long/" * 240 + b"end")
    twice = maker.symlink(top + b"/linked link", b"z/first")
    maker.link(top + b"/a/linked link", twice)


def _specials(maker: ObjectMaker, top: bytes) -> None:
    """Everything that is neither file, directory nor link, and odd modes."""
    maker.fifo(top + b"/fifo")
    maker.socket(top + b"/socket")
    maker.device(top + b"/char device", stat.S_IFCHR, 1, 3)
    maker.device(top + b"/block device", stat.S_IFBLK, 7, 200)
    maker.device(top + b"/wide device", stat.S_IFCHR, 300, 70000)
    maker.file(top + b"/setuid", 10, 0o4755)
    maker.file(top + b"/setgid", 10, 0o2755)
    maker.file(top + b"/sticky", 10, 0o1644)
    if os.geteuid() == 0:
        maker.file(top + b"/no permissions", 10, 0o000)
    else:
        maker.summary.left_out.append("a file without permissions: only root can read it")
    maker.file(top + b"/all permissions", 10, 0o7777)
    maker.directory(top + b"/setgid directory", 0o2775)
    maker.directory(top + b"/sticky directory", 0o1777)
    maker.directory(top + b"/private directory", 0o700)
    for name, uid, gid in ((b"/own", 1000, 100), (b"/big", 70_000, 100_000), (b"/max", -2, -2)):
        maker.owner(maker.file(top + name, 20), uid % 2**32, gid % 2**32)
    maker.owner(maker.symlink(top + b"/owned link", b"own"), 65_534, 65_536)


def _attributes(maker: ObjectMaker, top: bytes) -> None:
    """Extended attributes and ACLs of each sort."""
    name = maker.file(top + b"/attributes", 100)
    maker.attribute(name, "user.text", b"some text")
    maker.attribute(name, "user.empty", b"")
    maker.attribute(name, "user.binary", bytes(range(256)))
    maker.attribute(name, "user.with space", b"\0\n")
    maker.attribute(name, "trusted.tapekit", b"\x00\xff" * 10)
    # CAP_NET_BIND_SERVICE, permitted and effective (linux/capability.h, revision 2).
    capability = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)
    maker.attribute(maker.file(top + b"/capability", 10), "security.capability", capability)
    many = maker.file(top + b"/many", 10)
    for number in range(12):
        maker.attribute(many, f"user.number{number:02}", maker.chance.randbytes(20 * number))
    held = maker.directory(top + b"/directory")
    maker.attribute(held, "user.of-directory", b"d")
    maker.attribute(maker.file(top + b"/acl", 10, 0o750), ACCESS_ACL, sample_acl(1000, 70_000))
    shared = maker.directory(top + b"/acl directory", 0o770)
    maker.attribute(shared, ACCESS_ACL, sample_acl(1001, 100))
    maker.attribute(shared, DEFAULT_ACL, sample_acl(2000, 200))
    maker.file(shared + b"/inherits", 10)
    maker.attribute(maker.symlink(top + b"/link", b"acl"), "trusted.of-link", b"l")


def _times(maker: ObjectMaker, top: bytes) -> None:
    """Times from 1970 to 2105, with microseconds."""
    second = 1_000_000
    for name, moment in (
        (b"/epoch", 0),
        (b"/first second", second + 1),
        (b"/past", 86_400 * second + 999_999),
        (b"/before 2038", (2**31 - 1) * second + 123_456),
        (b"/after 2038", 2**31 * second + 654_321),
        (b"/2105", 4_260_211_200 * second + 500_000),
    ):
        maker.times(maker.file(top + name, 5), moment + 7, moment)
    maker.times(maker.symlink(top + b"/link", b"past"), 10 * second + 1, 20 * second + 2)
    maker.times(maker.directory(top + b"/directory"), 30 * second + 3, 40 * second + 4)


def _shapes(maker: ObjectMaker, top: bytes, wide: int, deep: int) -> None:
    """An empty directory, a wide one and a deep one."""
    maker.directory(top + b"/empty directory")
    crowd = maker.directory(top + b"/wide")
    for number in range(wide):
        maker.file(crowd + b"/entry-%05d" % number, number % 7)
    place = top
    for level in range(deep):
        place = maker.directory(place + b"/level-%02d" % level)
    maker.file(place + b"/bottom", 12)


def _plain_files(maker: ObjectMaker, top: bytes, count: int) -> None:
    """Files as they lie on real volumes: many small ones, some of megabytes."""
    maker.file(top + b"/empty", 0)
    for size in (1, 511, 512, 513, 1023, 1024, 1025, BLOCK - 1, BLOCK, BLOCK + 1):
        maker.file(top + b"/size-%d" % size, size)
    maker.file(top + b"/medium", 700_001)
    maker.file(top + b"/large", (9 << 20) + 321)
    holder = top
    for number in range(count):
        if number % 50 == 0:
            parent = holder if maker.chance.random() < 0.3 else top
            holder = maker.directory(parent + b"/part-%d" % number)
        size = int(64 * 1024 * maker.chance.random() ** 4)
        name = maker.file(holder + b"/file-%d" % number, size, 0o600 | maker.chance.randrange(64))
        moment = maker.chance.randrange(10**9, 17 * 10**8) * 1_000_000 + number
        maker.times(name, moment, moment)


def make_tree(
    root: Path,
    *,
    files: int = 200,
    seed: int = 0,
    wide: int = 1500,
    deep: int = 50,
    far: int = 64 << 20,
) -> TreeSummary:
    """Fill a directory with a realistic tree in which nothing is missing.

    :param root: made if need be; must be empty.
    :param files: plain files on top of the special cases.
    :param wide: entries of the wide directory.
    :param deep: levels of the deep directory.
    :param far: bytes of the longest hole.
    """
    with ObjectMaker(root, seed) as maker:
        _special_names(maker, maker.directory(b"names"))
        _sparse_files(maker, maker.directory(b"sparse"), far)
        _links(maker, maker.directory(b"links"))
        _specials(maker, maker.directory(b"specials"))
        _attributes(maker, maker.directory(b"attributes"))
        _times(maker, maker.directory(b"times"))
        _shapes(maker, maker.directory(b"shapes"), wide, deep)
        _plain_files(maker, maker.directory(b"plain"), files)
        return maker.summary


_NAME_BYTES: Final = bytes(byte for byte in range(1, 256) if byte != ord("/"))
_DEEPEST_PATH: Final = 2000
"""Bytes of a parent's path: with its name below the kernel's 4,096."""


@final
class _RandomTree:
    """Grows a tree object by object; each step is drawn from the seed."""

    def __init__(self, maker: ObjectMaker) -> None:
        self._maker: Final = maker
        self._chance: Final = maker.chance
        self._directories: Final = [b""]
        self._linkable: Final[list[bytes]] = []

    def grow(self) -> None:
        """Add one object of a random kind, with random attributes."""
        maker, chance, name = self._maker, self._chance, self._new_name()
        match chance.choice(("file", "file", "sparse", "directory", "symlink", "other", "other")):
            case "file":
                size = chance.choice((0, 1, 512, 1024, chance.randrange(40_000)))
                self._linkable.append(maker.file(name, size))
            case "sparse":
                self._linkable.append(self._sparse(name))
            case "directory":
                self._directories.append(maker.directory(name))
            case "symlink":
                target = self._random_bytes(chance.choice((1, 10, 59, 60, 1100)))
                self._linkable.append(maker.symlink(name, target))
            case _:
                self._other(name)
        self._decorate(name)

    def finish(self) -> None:
        """Set the times of directories, which the growing has changed."""
        for name in self._directories:
            self._maker.times(name, self._moment(), self._moment())

    def _other(self, name: bytes) -> None:
        maker = self._maker
        match self._chance.choice(("link", "link", "link", "fifo", "socket", "char", "block")):
            case "link" if self._linkable:
                maker.link(name, self._chance.choice(self._linkable))
            case "socket":
                self._linkable.append(maker.socket(name))
            case "char":
                maker.device(name, stat.S_IFCHR, self._chance.randrange(4096), 5)
            case "block":
                maker.device(name, stat.S_IFBLK, 7, self._chance.randrange(2**20))
            case _:
                self._linkable.append(maker.fifo(name))

    def _sparse(self, name: bytes) -> bytes:
        chance = self._chance
        blocks = chance.randrange(1, 60)
        data = [(block * BLOCK, BLOCK) for block in range(blocks) if chance.random() < 0.5]
        return self._maker.file_of(name, data, blocks * BLOCK + chance.randrange(BLOCK))

    def _decorate(self, name: bytes) -> None:
        maker, chance = self._maker, self._chance
        status = maker.status(name)
        if status is None:
            return
        if chance.random() < 0.3:
            maker.owner(name, chance.choice((0, 1000, 65_536, 2**32 - 2)), chance.randrange(2**17))
        if not stat.S_ISLNK(status.st_mode):
            self._permit(name, status.st_mode)
        maker.times(name, self._moment(), self._moment())

    def _permit(self, name: bytes, mode: int) -> None:
        maker, chance = self._maker, self._chance
        is_directory = stat.S_ISDIR(mode)
        if (is_directory or stat.S_ISREG(mode)) and chance.random() < 0.2:
            maker.attribute(name, f"user.{chance.randrange(5)}", chance.randbytes(50))
        maker.mode(name, chance.randrange(0o10000) | (0o700 if is_directory else 0o400))
        if chance.random() < 0.15:
            maker.attribute(name, ACCESS_ACL, sample_acl(chance.randrange(2**17), 7))
        if is_directory and chance.random() < 0.15:
            maker.attribute(name, DEFAULT_ACL, sample_acl(8, chance.randrange(2**17)))

    def _moment(self) -> int:
        return self._chance.randrange(2**32 * 1_000_000)

    def _new_name(self) -> bytes:
        parent = self._chance.choice(self._directories)
        if len(parent) > _DEEPEST_PATH:
            parent = b""
        while True:
            name = self._random_bytes(self._chance.choice((1, 2, 3, 8, 20, 254)))
            path = parent + b"/" + name if parent else name
            if name not in {b".", b".."} and self._maker.status(path) is None:
                return path

    def _random_bytes(self, length: int) -> bytes:
        letters = self._chance.choice((b"abc", b"ABCxyz019 ._-", _NAME_BYTES))
        return bytes(self._chance.choices(letters, k=length))


def random_tree(root: Path, seed: int, *, objects: int = 30) -> TreeSummary:
    """Make a small tree of random objects, the same for the same seed.

    For property tests: draw ``seed`` and ``objects``; fewer objects are the
    beginning of the same tree, so that a failing case can shrink.
    """
    with ObjectMaker(root, seed) as maker:
        tree = _RandomTree(maker)
        for _ in range(objects):
            tree.grow()
        tree.finish()
        return maker.summary


def make_small_files(
    root: Path, *, files: int = 100_000, directories: int = 1000, seed: int = 0
) -> TreeSummary:
    """Make files of 0 to 16 KiB, 4 KiB on average, spread over directories."""
    with ObjectMaker(root, seed) as maker:
        pool = maker.chance.randbytes(1 << 20)
        for number in range(directories):
            name = maker.directory(b"d%05d" % number)
            place = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=maker.top)
            for index in range(number, files, directories):
                # The mean of the cube of a uniform number is a quarter.
                size = int(16_385 * maker.chance.random() ** 3)
                start = maker.chance.randrange(len(pool) - size)
                _write_file(place, b"f%07d" % index, pool[start : start + size])
                maker.summary.files += 1
                maker.summary.bytes += size
            os.close(place)
        return maker.summary


def _write_file(place: int, name: bytes, content: bytes) -> None:
    made = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=place)
    os.write(made, content)
    os.close(made)


def make_large_files(
    root: Path, *, count: int = 4, size: int = 512 << 20, seed: int = 0
) -> TreeSummary:
    """Make files of ``size`` bytes without holes, no two MiB of them alike."""
    with ObjectMaker(root, seed) as maker:
        pool = bytearray(maker.chance.randbytes(1 << 20))
        for number in range(count):
            made = os.open(
                b"large-%d" % number, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=maker.top
            )
            for offset in range(0, size, len(pool)):
                struct.pack_into("<QQ", pool, 0, number, offset)
                os.write(made, memoryview(pool)[: size - offset])
            os.close(made)
            maker.summary.files += 1
            maker.summary.bytes += size
        return maker.summary
