"""Streams straight from the dump engine, read by Debian's restore."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from interop_peers import need, program
from tapekit.testing import MemoryServices, MemorySink
from tapekit_dump.plugin import DumpPlugin
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree, random_tree
from tapekit_volumes.plugin import VolumesPlugin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners and devices need root")

HOW = pytest.mark.parametrize("how", [("-r",), ("-x", "-a", "-o")], ids=["-r", "-x"])


@pytest.fixture
def back_up(assembled: Callable[..., Any], tmp_path: Path) -> Callable[[], bytes]:
    """Backs ``tree`` up with the volumes and the dump engine of a stack."""
    (tmp_path / "tree").mkdir()
    table = '[[volumes.volume]]\npath = "/vs1/vol1"\ndirectory = "tree"\n'

    def run() -> bytes:
        engine = assembled(VolumesPlugin, DumpPlugin, tables=table).engines["dump"]
        sink = MemorySink()
        pairs = [("FILESYSTEM", "/vs1/vol1")]
        with closing(engine.prepare_backup(pairs, "a test")) as job:
            job.run(sink, MemoryServices())
        return sink.data

    return run


def restored(stream: bytes, tmp_path: Path, *how: str) -> tuple[Path, str]:
    """Where Debian's restore put everything, and what it complained of."""
    need("restore")
    (tmp_path / "stream").write_bytes(stream)
    target, temporary = tmp_path / "restored", tmp_path / "temporary"
    target.mkdir()
    temporary.mkdir()
    done = subprocess.run(
        [program("restore"), *how, "-T", temporary, "-f", tmp_path / "stream"],
        cwd=target,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    (target / "restoresymtable").unlink(missing_ok=True)
    return target, done.stderr.decode(errors="replace")


def remove_wide_devices(root: Path) -> None:
    """Debian's restore fails on device numbers whose top bit is set."""
    for path in list(root.rglob("*")):
        status = path.lstat()
        if stat.S_IFMT(status.st_mode) in {stat.S_IFCHR, stat.S_IFBLK} and status.st_rdev >> 31:
            times = path.parent.stat()
            path.unlink()
            os.utime(path.parent, ns=(times.st_atime_ns, times.st_mtime_ns))


@HOW
def test_tree_with_everything_comes_back(
    back_up: Callable[[], bytes], tmp_path: Path, how: tuple[str, ...]
) -> None:
    make_tree(tmp_path / "tree", files=100, seed=11)
    target, complaints = restored(back_up(), tmp_path, *how)
    assert complaints == ""
    assert [d for d in compare_trees(tmp_path / "tree", target) if d.path != "."] == []


@HOW
@pytest.mark.parametrize("seed", range(12))
def test_random_trees_come_back(
    back_up: Callable[[], bytes], tmp_path: Path, how: tuple[str, ...], seed: int
) -> None:
    random_tree(tmp_path / "tree", seed, objects=60)
    remove_wide_devices(tmp_path / "tree")
    target, complaints = restored(back_up(), tmp_path, *how)
    assert complaints == ""
    assert [d for d in compare_trees(tmp_path / "tree", target) if d.path != "."] == []


def test_tree_that_changed_meanwhile_is_still_a_stream_that_restore_takes(
    assembled: Callable[..., Any],
    plugin: Callable[..., Any],
    tmp_path: Path,
) -> None:
    tree = tmp_path / "tree"
    for number in range(20):
        (tree / f"d{number % 4}").mkdir(parents=True, exist_ok=True)
        (tree / f"d{number % 4}/f{number}").write_text(f"{number}")

    def change(event: Any) -> None:
        if event.facts.get("phase") == "IV":
            (tree / "d1/f1").unlink()
            (tree / "d2/f2").unlink()
            (tree / "d2/f2").mkdir()
            shutil.rmtree(tree / "d3")

    changer = plugin("changer", tapekit_on_event=lambda self, event: change(event))
    table = '[[volumes.volume]]\npath = "/vs1/vol1"\ndirectory = "tree"\n'
    engine = assembled(VolumesPlugin, DumpPlugin, changer, tables=table).engines["dump"]
    sink = MemorySink()
    with closing(engine.prepare_backup([("FILESYSTEM", "/vs1/vol1")], "a test")) as job:
        job.run(sink, MemoryServices())
    target, complaints = restored(sink.data, tmp_path, "-r")
    assert complaints == ""
    found = {path.name: path.read_text() for path in target.rglob("f*")}
    lost = {"f1", "f2", "f3", "f7", "f11", "f15", "f19"}
    assert found == {f"f{n}": "" if f"f{n}" in lost else f"{n}" for n in range(20)}
