"""Chains of incremental dumps, restored level by level by Debian's restore."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from loop_device import ext4

from interop_peers import need, program
from running_stack import run_checked
from tapekit.testing import MemoryRanges, MemoryServices, MemorySink
from tapekit_dump.plugin import DumpPlugin
from tapekit_snap_copy.plugin import SnapCopyPlugin
from tapekit_trees.comparing import Aspect, Difference, compare_trees
from tapekit_trees.editing import edit_tree
from tapekit_trees.epochs import VOLUME, EpochStorage
from tapekit_trees.making import random_tree
from tapekit_trees.objects import DEFAULT_ACL
from tapekit_volumes.plugin import VolumesPlugin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from running_stack import Stack

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners and devices need root")


@pytest.fixture
def engine(assembled: Callable[..., Any], plugin: Callable[..., Any], tmp_path: Path) -> Any:
    """An engine over ``tree``, whose changes wait for no second."""
    (tmp_path / "tree").mkdir()
    storage = EpochStorage(tmp_path / "tree")
    directories = plugin("directories", tapekit_provide_storage=lambda self: storage)
    return assembled(DumpPlugin, directories).engines["dump"]


@pytest.fixture
def back_up(engine: Any) -> Callable[[int], bytes]:
    """Backs ``tree`` up at a level."""
    return lambda level: backed_up(engine, level)


def backed_up(engine: Any, level: int) -> bytes:
    """A dump of the volume."""
    sink = MemorySink()
    pairs = [("FILESYSTEM", VOLUME), ("LEVEL", str(level))]
    with closing(engine.prepare_backup(pairs, "a test")) as job:
        job.run(sink, MemoryServices())
    return sink.data


def restore_onto(target: Path, stream: bytes) -> str:
    """What Debian's restore says when it takes the next level."""
    image, temporary = target.with_name("stream"), target.with_name(f"temporary{len(stream)}")
    image.write_bytes(stream)
    temporary.mkdir(exist_ok=True)
    done = subprocess.run(
        [program("restore"), "-r", "-T", temporary, "-f", image],
        cwd=target,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr.decode(errors="replace")


@contextlib.contextmanager
def no_inode_used_again(root: Path) -> Iterator[None]:
    """Keep the inodes of all that is below ``root`` from being given to
    others: Debian's restore then takes the new object for the old one, and
    may trip over it or leave it attributes.
    """
    with contextlib.ExitStack() as opened:
        for path in [root, *root.rglob("*")]:
            fd = os.open(path, os.O_PATH | os.O_NOFOLLOW)
            opened.callback(os.close, fd)
        yield


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("levels", [(0, 1, 2, 3), (0, 2, 5)])
def test_edited_trees_come_back_level_by_level(
    back_up: Callable[[int], bytes], tmp_path: Path, levels: tuple[int, ...], seed: int
) -> None:
    need("restore")
    tree, target = tmp_path / "tree", tmp_path / "restored"
    target.mkdir()
    random_tree(tree, seed, objects=40)
    remove_what_debian_cannot(tree)
    with contextlib.ExitStack() as held:
        for level in levels:
            done = edit_tree(tree, seed * 100 + level) if level else []
            assert restore_onto(target, back_up(level)) == "", done
            assert differences(tree, target) == [], done
            held.enter_context(no_inode_used_again(tree))


def differences(tree: Path, restored: Path) -> list[Difference]:
    """What differs, but for the top, which only a first level restores, and
    holes: those of small files with attributes may be filled with zeros.
    """
    return [
        each
        for each in compare_trees(tree, restored)
        if each.path not in {".", "restoresymtable"} and each.aspect is not Aspect.HOLES
    ]


def remove_what_debian_cannot(root: Path) -> None:
    """Debian's restore fails on device numbers whose top bit is set, and lets
    new files inherit the ACLs of directories that are there.
    """
    for path in [root, *root.rglob("*")]:
        if path.lstat().st_rdev >> 31:
            path.unlink()
        elif not path.is_symlink() and path.is_dir() and DEFAULT_ACL in os.listxattr(path):
            os.removexattr(path, DEFAULT_ACL)


@pytest.mark.parametrize("seed", range(3))
def test_levels_of_snapshot_copies_come_back(
    assembled: Callable[..., Any], tmp_path: Path, seed: int
) -> None:
    need("restore")
    tree, target = tmp_path / "tree", tmp_path / "restored"
    tree.mkdir()
    target.mkdir()
    random_tree(tree, seed, objects=40)
    remove_what_debian_cannot(tree)
    table = '[[volumes.volume]]\npath = "/vs1/vol1"\ndirectory = "tree"\nsnapshots = "copy"\n'
    plugins = (VolumesPlugin, SnapCopyPlugin, DumpPlugin)
    engine = assembled(*plugins, tables=table, clock=time.time).engines["dump"]
    with contextlib.ExitStack() as held:
        for level in range(3):
            done = edit_tree(tree, seed * 100 + level) if level else []
            assert restore_onto(target, backed_up(engine, level)) == "", done
            assert differences(tree, target) == [], done
            held.enter_context(no_inode_used_again(tree))


@pytest.mark.parametrize("seed", range(2))
def test_levels_of_debian_dump_are_restored_one_onto_the_other(
    engine: Any, tmp_path: Path, seed: int
) -> None:
    need("dump", "mkfs.ext4", "losetup")
    dates, image, restored = tmp_path / "dates", tmp_path / "image", tmp_path / "restored"
    dates.touch()
    with ext4(tmp_path) as (device, mounted):
        tree = mounted / "tree"
        random_tree(tree, seed, objects=40)
        for level in (0, 1, 2):
            done = edit_tree(tree, seed * 100 + level) if level else []
            run_checked(["umount", mounted])
            run_checked([program("dump"), f"-{level}", "-u", "-D", dates, "-f", image, device])
            run_checked(["mount", device, mounted])
            pairs = [("FILESYSTEM", "/vs1/restored")]
            with closing(engine.prepare_recover(pairs, (), "a test")) as job:
                job.run(MemoryRanges(image.read_bytes()), MemoryServices())
            differ = [
                each
                for each in compare_trees(tree, restored / "tree", mtime_granularity_ns=10**9)
                if each.aspect not in {Aspect.DEVICE, Aspect.HOLES}
            ]
            assert differ == [], done


@pytest.mark.requirement("R004")
@pytest.mark.requirement("R121")
def test_a_client_backs_up_and_restores_level_by_level(stack: Stack) -> None:
    need("ndmjob")
    tree, back = stack.volume / "tree", stack.volume / "back"
    for level in range(3):
        (tree / f"directory{level}").mkdir(parents=True)
        (tree / f"directory{level}/file").write_text(f"of level {level}")
        if level:
            (tree / f"directory{level - 1}").rename(tree / f"moved{level}")
        stack.ndmjob(
            *("-c", "-B", "dump", "-D", stack.agent(), "-f", "nrst0a"),
            *("-E", "FILESYSTEM=/vs1/vol1/tree", "-E", f"LEVEL={level}"),
        )
        stack.ndmjob(
            *("-x", "-B", "dump", "-D", stack.agent(), "-f", "nrst0a"),
            *("-E", "FILESYSTEM=/vs1/vol1/tree", "-C", "/vs1/vol1/back"),
        )
        assert compare_trees(tree, back) == []
