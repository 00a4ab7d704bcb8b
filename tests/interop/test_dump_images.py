"""Images of Debian's dump, read without a stack, and ours beside its restore."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from loop_device import ext4

from interop_peers import need, program
from running_stack import run_checked
from tapekit_dump.headers import CHECKSUM, FIELDS, RECORD_BYTES, HeaderType, unpack_header
from tapekit_trees.comparing import Aspect, compare_trees
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from running_stack import Stack

TAPEKIT = Path(sys.executable).with_name("tapekit")
DIRECTORY = 0o040000
TYPE = 0o170000

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices and owners need root")


def tapekit(
    *arguments: object, piped: Sequence[Path] = (), status: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run ``tapekit dump``; files may come in by a pipe, one behind the other."""
    command = [str(TAPEKIT), "dump", *map(str, arguments)]
    if piped:
        command = ["sh", "-c", 'cat "$0"/volume* | "$@"', str(piped[0].parent), *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return done


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """An ext4 file system with a tree in it: its device, and where it is
    mounted, unchanged from now on.
    """
    need("dump", "restore", "mkfs.ext4", "losetup")
    with ext4(tmp_path) as (device, mounted):
        make_tree(mounted / "tree", files=120, seed=7, wide=200, deep=10, far=1 << 20)
        run_checked(["mount", "-o", "remount,ro", mounted])
        yield device, mounted


def differences(first: Path, second: Path) -> list[str]:
    """What differs, but for device numbers that Debian's dump loses."""
    found = compare_trees(first, second, mtime_granularity_ns=10**9)
    return [str(each) for each in found if each.aspect is not Aspect.DEVICE]


@pytest.mark.parametrize("how", [(), ("-z",), ("-j",)], ids=["plain", "zlib", "bzip2"])
def test_an_image_of_debian_dump_is_extracted_and_compared(
    tree: tuple[str, Path], tmp_path: Path, how: tuple[str, ...]
) -> None:
    device, mounted = tree
    image, out = tmp_path / "image", tmp_path / "out"
    run_checked([program("dump"), "-0", *how, "-f", image, device])
    tapekit("extract", image, "-C", out)
    assert differences(mounted, out) == []
    told = tapekit("verify", image, "--against", out).stdout.splitlines()
    assert len(told) == 1
    assert "is complete" in told[0]


def test_names_are_those_that_debian_restore_lists(tree: tuple[str, Path], tmp_path: Path) -> None:
    device, mounted = tree
    image = tmp_path / "image"
    run_checked([program("dump"), "-0", "-f", image, device])
    theirs = run_checked([program("restore"), "-t", "-f", image])
    ours = set(tapekit("list", image).stdout.splitlines())
    names = {str(path.relative_to(mounted)) for path in mounted.rglob("*")}
    plain = {name for name in names if name.isascii() and name.isprintable() and "\\" not in name}
    # Debian's programs lose names of 255 bytes.
    plain = {name for name in plain if max(map(len, name.split("/"))) < 255}
    assert len(plain) > 300
    assert plain <= ours
    assert [name for name in plain if f"\t./{name}\n" not in theirs] == []
    assert len(ours) == len(names) + 1


@pytest.mark.parametrize("how", [(), ("-z",)], ids=["plain", "zlib"])
def test_volumes_come_one_behind_the_other(
    tree: tuple[str, Path], tmp_path: Path, how: tuple[str, ...]
) -> None:
    device, mounted = tree
    volumes, out = tmp_path / "volumes", tmp_path / "out"
    volumes.mkdir()
    run_checked(
        [
            program("dump"),
            "-0",
            *how,
            "-M",
            "-B",
            "600",
            "-b",
            "10",
            "-f",
            volumes / "volume",
            device,
        ]
    )
    made = sorted(volumes.iterdir())
    assert len(made) > 2
    tapekit("extract", "-", "-C", out, piped=made)
    assert differences(mounted, out) == []
    assert "The image ends at byte" in tapekit("verify", made[0], status=1).stderr


def test_the_same_image_of_a_big_endian_machine(tree: tuple[str, Path], tmp_path: Path) -> None:
    device, mounted = tree
    image, out = tmp_path / "image", tmp_path / "out"
    run_checked([program("dump"), "-0", "-f", image, device])
    image.write_bytes(swapped(image.read_bytes()))
    assert "byte order:   big-endian" in tapekit("info", image).stdout
    tapekit("extract", image, "-C", out)
    assert differences(mounted, out) == []


def swapped(data: bytes) -> bytes:
    """A little-endian dump as a big-endian machine would have written it."""
    out, at, is_directory = bytearray(), 0, False
    while at < len(data):
        header = unpack_header(data[at : at + RECORD_BYTES])
        out += swapped_header(data[at : at + RECORD_BYTES])
        end = at + RECORD_BYTES * (1 + header.data_records)
        if header.type != HeaderType.ADDR:
            is_object = header.type == HeaderType.INODE and not header.has_attributes
            is_directory = is_object and header.mode & TYPE == DIRECTORY
        content = data[at + RECORD_BYTES : end]
        out += swapped_entries(content) if is_directory else content
        at = end
    return bytes(out)


def swapped_header(record: bytes) -> bytes:
    out = bytearray(record)
    for field in FIELDS:
        (value,) = struct.unpack_from("<" + field.code, record, field.offset)
        struct.pack_into(">" + field.code, out, field.offset, value)
    struct.pack_into(">I", out, 28, 0)
    total = sum(struct.unpack(">256I", out))
    struct.pack_into(">I", out, 28, (CHECKSUM - total) & 0xFFFF_FFFF)
    return bytes(out)


def swapped_entries(content: bytes) -> bytes:
    out, at = bytearray(content), 0
    while at < len(content):
        inode, length = struct.unpack_from("<IH", content, at)
        struct.pack_into(">IH", out, at, inode, length)
        at += length if length >= 8 else len(content)
    return bytes(out)


def test_our_own_image_goes_from_a_cartridge_by_a_pipe(stack: Stack, tmp_path: Path) -> None:
    need("ndmjob")
    make_tree(stack.volume, files=60, seed=3, wide=50, deep=5, far=1 << 20)
    stack.ndmjob(
        *("-c", "-B", "dump", "-D", stack.agent(), "-f", "nrst0a"),
        *("-E", "FILESYSTEM=/vs1/vol1"),
    )
    image = stack.export("VT0001", 0, tmp_path / "volume0")
    told = tapekit("verify", "-", "--against", stack.volume, piped=[image]).stdout.splitlines()
    assert told == [f"- is complete: {told[0].split()[3]} bytes were read"]
