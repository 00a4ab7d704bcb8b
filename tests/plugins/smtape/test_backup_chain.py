"""Images made of real Snapshot copies, restored, and compared exactly."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.plugins.smtape.backup_site import TARGET, BackupSite

from tapekit_trees.btrfs import make_subvolume, mounted_btrfs
from tapekit_trees.comparing import compare_trees
from tapekit_trees.editing import edit_tree
from tapekit_trees.making import make_tree, random_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK = 4096


@pytest.fixture
def site(tmp_path: Path) -> Iterator[BackupSite]:
    site = BackupSite(tmp_path)
    yield site
    site.close()


@pytest.fixture
def on_btrfs(tmp_path: Path) -> Iterator[BackupSite]:
    with mounted_btrfs(tmp_path) as place:
        for name in ("source", "target"):
            make_subvolume(place / name)
        site = BackupSite(place, "btrfs")
        yield site
        site.close()


def same(first: Path, second: Path) -> None:
    assert [str(found) for found in compare_trees(first, second, mtime_granularity_ns=1)] == []


@pytest.mark.requirement("R006")
@pytest.mark.requirement("R285")
def test_a_baseline_comes_back_as_it_was(site: BackupSite) -> None:
    make_tree(site.source, files=60, seed=3, wide=40, deep=5, far=1 << 20)
    site.restore(site.back_up())
    same(site.source, site.target)
    assert site.copies() == site.copies(TARGET)


@pytest.mark.requirement("R284")
def test_a_baseline_has_the_named_copy_and_all_older_ones(site: BackupSite) -> None:
    random_tree(site.source, 1)
    for number in range(3):
        site.take(f"copy{number}")
        edit_tree(site.source, number, edits=15)
    site.restore(site.back_up(SMTAPE_SNAPSHOT_NAME="copy1"))
    assert site.copies(TARGET) == ["copy0", "copy1"]
    for name in ("copy0", "copy1"):
        same(site.copy_place(name), site.copy_place(name, "target"))


@pytest.mark.requirement("R006")
@pytest.mark.parametrize("seed", range(8))
def test_increments_follow_any_edits(site: BackupSite, seed: int) -> None:
    random_tree(site.source, seed, objects=40)
    image = site.back_up()
    site.restore(image)
    for number in range(3):
        done = edit_tree(site.source, 100 * seed + number, edits=25)
        site.take(f"copy{number}")
        image = site.increment(image, f"copy{number}")
        site.restore(image)
        assert compare_trees(site.source, site.target, mtime_granularity_ns=1) == [], done


def test_a_differential_follows_another_one(site: BackupSite) -> None:
    random_tree(site.source, 5, objects=40)
    base = site.back_up()
    site.restore(base)
    for number in range(2):
        edit_tree(site.source, number, edits=20)
        site.take(f"copy{number}")
        site.restore(site.increment(base, f"copy{number}"))
        same(site.source, site.target)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_chains_on_btrfs(on_btrfs: BackupSite, seed: int) -> None:
    site = on_btrfs
    random_tree(site.source, seed, objects=40)
    image = site.back_up()
    site.restore(image)
    for number in range(4):
        edit_tree(site.source, 10 * seed + number, edits=25)
        site.take(f"copy{number}")
        image = site.increment(image, f"copy{number}")
        site.restore(image)
        same(site.source, site.target)
        same(site.copy_place(f"copy{number}"), site.copy_place(f"copy{number}", "target"))


@pytest.mark.requirement("R010", "R290")
def test_shared_blocks_are_sent_once_and_shared_again(on_btrfs: BackupSite) -> None:
    site, size = on_btrfs, 4 << 20
    (site.source / "one").write_bytes(os.urandom(size))
    clone(site.source / "one", site.source / "two")
    image = site.back_up()
    assert len(image.data) < 1.1 * size
    site.restore(image)
    same(site.source, site.target)
    assert used_bytes(site.target) < 1.1 * size
    clone(site.source / "two", site.source / "three")
    site.take("later")
    image = site.increment(image, "later")
    assert len(image.data) < 0.1 * size
    site.restore(image)
    same(site.source, site.target)
    assert used_bytes(site.target) < 1.1 * size


def clone(first: Path, second: Path) -> None:
    subprocess.run(["cp", "--reflink=always", first, second], check=True)


def used_bytes(top: Path) -> int:
    """Bytes of all files, shared ones counted once."""
    told = subprocess.run(
        ["btrfs", "filesystem", "du", "--summarize", "--raw", *sorted(top.iterdir())],
        check=True,
        capture_output=True,
        text=True,
    )
    rows = [line.split() for line in told.stdout.splitlines()[1:]]
    return sum(int(row[1]) for row in rows) + int(rows[0][2])


def test_only_blocks_that_differ_are_sent(site: BackupSite) -> None:
    file = site.source / "large"
    file.write_bytes(os.urandom(256 * BLOCK))
    image = site.back_up()
    site.restore(image)
    with file.open("r+b") as opened:
        opened.seek(100 * BLOCK + 17)
        opened.write(b"changed")
    site.take("later")
    image = site.increment(image, "later")
    assert len(image.data) < 3 * BLOCK
    site.restore(image)
    same(site.source, site.target)


def test_a_link_that_leads_elsewhere_now_is_sent_again(site: BackupSite) -> None:
    link = site.source / "link"
    link.symlink_to("before")
    image = site.back_up()
    site.restore(image)
    link.unlink()
    link.symlink_to("after")
    site.take("later")
    site.restore(site.increment(image, "later"))
    assert (site.target / "link").readlink().name == "after"
