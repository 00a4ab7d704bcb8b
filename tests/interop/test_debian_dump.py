"""Debian's dump and restore read what tapekit writes, and the reverse."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
from loop_device import ext4

from interop_peers import need, program
from running_stack import run_checked
from tapekit_trees.comparing import Aspect, compare_trees
from tapekit_trees.making import make_tree, random_tree

if TYPE_CHECKING:
    from pathlib import Path

    from running_stack import Stack

COMPLAINTS = ("expected next file", "not found on tape", "checksum", "missing", "unknown", "error")
"""Debian's restore exits with 0 whatever it loses; its words tell."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="owners and devices need root")


def backed_up(stack: Stack, image: Path) -> Path:
    """Back the volume up with NDMJOB, and take the image off the cartridge."""
    stack.ndmjob(
        *("-c", "-B", "dump", "-D", stack.agent(), "-f", "nrst0a"),
        *("-E", "FILESYSTEM=/vs1/vol1"),
    )
    return stack.export("VT0001", 0, image)


def restored(image: Path, target: Path, *how: str) -> Path:
    """Run Debian's restore in a fresh directory; it must not complain."""
    target.mkdir()
    temporary = target.with_name(target.name + ".tmp")
    temporary.mkdir()
    said = run_checked([program("restore"), *how, "-T", temporary, "-f", image], cwd=target)
    assert not [
        line for line in said.splitlines() if any(word in line.lower() for word in COMPLAINTS)
    ], said
    (target / "restoresymtable").unlink(missing_ok=True)
    return target


def differences(first: Path, second: Path) -> list[str]:
    """What differs, but for what the format or Debian's restore cannot carry:
    directories that keep only one set of attributes, and 255-byte names.
    """
    return [str(each) for each in compare_trees(first, second) if each.path != "."]


@needs_root
@pytest.mark.parametrize("how", [("-r",), ("-x", "-a", "-o")], ids=["-r", "-x"])
def test_debian_restore_brings_the_tree_back(
    stack: Stack, tmp_path: Path, how: tuple[str, ...]
) -> None:
    need("ndmjob", "restore")
    make_tree(stack.volume, files=150, seed=11, wide=300, deep=20, far=4 << 20)
    image = backed_up(stack, tmp_path / "image")
    target = restored(image, tmp_path / "target", *how)
    assert differences(stack.volume, target) == []


@needs_root
def test_debian_restore_lists_every_name(stack: Stack, tmp_path: Path) -> None:
    need("ndmjob", "restore")
    for number in range(300):
        path = stack.volume / f"d{number % 7}" / f"file {number}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(str(number))
    image = backed_up(stack, tmp_path / "image")
    listed = run_checked([program("restore"), "-t", "-f", image])
    for path in stack.volume.rglob("*"):
        assert f"./{path.relative_to(stack.volume)}\n" in listed


@needs_root
@pytest.mark.parametrize("seed", range(6))
def test_debian_restore_brings_random_trees_back(stack: Stack, tmp_path: Path, seed: int) -> None:
    need("ndmjob", "restore")
    random_tree(stack.volume, seed, objects=120)
    remove_wide_devices(stack.volume)
    image = backed_up(stack, tmp_path / "image")
    target = restored(image, tmp_path / "target", "-r")
    assert differences(stack.volume, target) == []


def remove_wide_devices(root: Path) -> None:
    """Debian's restore passes device numbers through a signed integer and
    fails for minor numbers from 2 ** 19 on.
    """
    for path in root.rglob("*"):
        status = path.lstat()
        is_device = stat.S_ISBLK(status.st_mode) or stat.S_ISCHR(status.st_mode)
        if is_device and os.minor(status.st_rdev) >= 1 << 19:
            path.unlink()


@needs_root
def test_an_image_of_debian_dump_is_restored_by_tapekit(stack: Stack, tmp_path: Path) -> None:
    need("ndmjob", "dump", "mkfs.ext4", "losetup")
    with ext4(tmp_path) as (device, mounted):
        make_tree(mounted / "tree", files=120, seed=7, wide=200, deep=10, far=1 << 20)
        run_checked(["umount", mounted])
        image = tmp_path / "image"
        run_checked([program("dump"), "-0", "-b", "10", "-f", image, device])
        run_checked(["mount", device, mounted])
        write_to_tape(stack, image)
        stack.ndmjob(
            *("-x", "-B", "dump", "-D", stack.agent(), "-f", "nrst0a", "-b", "20"),
            *("-E", "FILESYSTEM=/vs1/vol1", "-C", "/vs1/vol1/back"),
        )
        lost_by_dump = {Aspect.DEVICE}
        differ = [
            str(each)
            for each in compare_trees(
                mounted / "tree", stack.volume / "back" / "tree", mtime_granularity_ns=10**9
            )
            if each.aspect not in lost_by_dump
        ]
        assert differ == []


def write_to_tape(stack: Stack, image: Path) -> None:
    """Put the bytes of an image on the tape in drive 0, in records of 10 KiB."""
    import time

    import trio

    from tapekit_ndmp_v4 import messages as m
    from tapekit_ndmp_v4.client import NdmpClient
    from tapekit_ndmp_v4.numbers import AuthType, MtioOp, TapeOpenMode

    data = image.read_bytes()

    async def write() -> None:
        async with NdmpClient.connect("127.0.0.1", stack.port, clock=time.time) as client:
            await client.open()
            await client.authenticate(AuthType.MD5, "ndmp", stack.password.encode())
            await client.call(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR))
            await client.call(m.TapeMtioRequest(tape_op=MtioOp.REW, count=1))
            for offset in range(0, len(data), 10240):
                part = data[offset : offset + 10240].ljust(10240, b"\0")
                await client.call(m.TapeWriteRequest(data_out=part))
            await client.call(m.TapeMtioRequest(tape_op=MtioOp.EOF, count=1))
            await client.call(m.TapeCloseRequest())

    trio.run(write)
