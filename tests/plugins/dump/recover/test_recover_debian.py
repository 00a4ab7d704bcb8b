"""Restores of what Debian's dump has written."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.hookspecs.data_engine import FileResult, LogLevel
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECOND_NS = 10**9

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount file systems"),
    pytest.mark.skipif(shutil.which("dump") is None, reason="Debian's package dump is missing"),
    pytest.mark.skipif(shutil.which("mkfs.ext4") is None, reason="e2fsprogs are missing"),
]


def run(*command: object) -> str:
    words = [str(word) for word in command]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


class Ext4:
    """An ext4 file system in a file, filled, unmounted and dumped."""

    def __init__(self, place: Path) -> None:
        self.image = place / "image"
        self.mounted = place / "mounted"
        self.mounted.mkdir()
        with self.image.open("wb") as file:
            file.truncate(256 << 20)
        run("mkfs.ext4", "-q", "-F", "-b", "4096", "-O", "^has_journal", self.image)

    def fill(self) -> None:
        run("mount", "-o", "loop", self.image, self.mounted)
        try:
            (self.mounted / "lost+found").rmdir()
            make_tree(self.mounted / "tree", wide=400, deep=30, files=80, far=16 << 20)
        finally:
            run("umount", self.mounted)

    def dump(self, *options: object) -> None:
        try:
            device = run("losetup", "--find", "--show", "--read-only", self.image)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no loop devices here: {error.stderr}")
        try:
            run("dump", "-0", *options, device)
        finally:
            run("losetup", "--detach", device)

    def mount(self) -> Path:
        run("mount", "-o", "loop,ro,noatime", self.image, self.mounted)
        return self.mounted

    def unmount(self) -> None:
        if self.mounted.is_mount():
            run("umount", self.mounted)


@pytest.fixture
def ext4(tmp_path: Path) -> Iterator[Ext4]:
    system = Ext4(tmp_path)
    system.fill()
    yield system
    system.unmount()


def expect_same(ext4: Ext4, folder: Path, outcome: Any) -> None:
    assert outcome.error is None
    assert outcome.told(LogLevel.WARNING) == []
    assert compare_trees(ext4.mount(), folder, mtime_granularity_ns=SECOND_NS) == []


def test_a_dump_of_ext4(
    ext4: Ext4, restore: Callable[..., Any], folder: Path, tmp_path: Path
) -> None:
    ext4.dump("-f", tmp_path / "stream")
    expect_same(ext4, folder, restore((tmp_path / "stream").read_bytes()))


def test_a_dump_in_many_volumes(
    ext4: Ext4, restore: Callable[..., Any], folder: Path, tmp_path: Path
) -> None:
    ext4.dump("-M", "-B", 520, "-b", 10, "-f", tmp_path / "volume")
    volumes = sorted(tmp_path.glob("volume[0-9]*"), key=lambda path: int(path.name[6:]))
    assert len(volumes) > 20
    data = b"".join(volume.read_bytes() for volume in volumes)
    expect_same(ext4, folder, restore(data))


def test_a_part_of_a_dump(
    ext4: Ext4,
    restore: Callable[..., Any],
    select: Callable[..., Any],
    folder: Path,
    tmp_path: Path,
) -> None:
    ext4.dump("-f", tmp_path / "stream")
    outcome = restore(
        (tmp_path / "stream").read_bytes(),
        [select("/tree/links", "/vs1/vol1/links"), select("tree/nothing", "/vs1/vol1/none")],
    )
    assert [result for _, result in outcome.results] == [
        FileResult.SUCCESSFUL,
        FileResult.NOT_FOUND,
    ]
    source = ext4.mount() / "tree/links"
    assert compare_trees(source, folder / "links", mtime_granularity_ns=SECOND_NS) == []


def test_a_compressed_dump_is_refused(
    ext4: Ext4, restore: Callable[..., Any], folder: Path, tmp_path: Path
) -> None:
    ext4.dump("-z2", "-f", tmp_path / "stream")
    outcome = restore((tmp_path / "stream").read_bytes())
    assert outcome.error.id == "dump.dump-compressed"
