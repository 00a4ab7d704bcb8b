from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from tapekit_trees.comparing import Aspect, compare_trees, data_ranges
from tapekit_trees.making import (
    TreeSummary,
    make_large_files,
    make_small_files,
    make_tree,
    random_tree,
)
from tapekit_trees.objects import ObjectMaker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make these objects")


def walk(top: Path) -> Iterator[tuple[bytes, os.stat_result]]:
    for base, names, files in os.walk(os.fsencode(top)):
        for name in names + files:
            path = base + b"/" + name
            yield path, os.lstat(path)


def counted(top: Path) -> TreeSummary:
    summary = TreeSummary()
    seen: set[int] = set()
    for _, status in walk(top):
        if stat.S_ISDIR(status.st_mode):
            summary.directories += 1
        elif status.st_ino in seen:
            summary.hard_links += 1
        else:
            seen.add(status.st_ino)
            summary.files += stat.S_ISREG(status.st_mode)
            summary.symlinks += stat.S_ISLNK(status.st_mode)
            summary.specials += stat.S_IFMT(status.st_mode) not in {stat.S_IFREG, stat.S_IFLNK}
            summary.bytes += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return summary


def test_summary_counts_what_is_there(tmp_path: Path) -> None:
    summary = make_tree(tmp_path, files=60, wide=20, deep=5)
    summary.left_out.clear()
    assert summary == counted(tmp_path)


def test_tree_has_every_type_and_shape(tmp_path: Path) -> None:
    make_tree(tmp_path, files=10, wide=1500, deep=50)
    found = dict(walk(tmp_path))
    kinds = {stat.S_IFMT(status.st_mode) for status in found.values()}
    assert {stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFSOCK} <= kinds
    assert max(path.count(b"/level-") for path in found) == 50
    assert len(list((tmp_path / "shapes" / "wide").iterdir())) == 1500
    assert not list((tmp_path / "shapes" / "empty directory").iterdir())
    assert max(len(path.rpartition(b"/")[2]) for path in found) == 254
    assert any(b"\n" in path for path in found)
    assert any(b"\xff" in path for path in found)
    links = [status for status in found.values() if stat.S_ISLNK(status.st_mode)]
    assert max(status.st_size for status in links) > 1000


def test_tree_has_holes_everywhere(tmp_path: Path) -> None:
    make_tree(tmp_path, files=0, wide=1, deep=1)
    maps = {}
    for path in (tmp_path / "sparse").iterdir():
        with path.open("rb") as file:
            maps[path.name] = (list(data_ranges(file.fileno())), path.stat().st_size)
    assert maps["only a hole"][0] == []
    assert maps["hole at start"][0][0][0] == 1 << 20
    assert maps["hole at end"][0][-1][1] < maps["hole at end"][1]
    assert len(maps["comb"][0]) == 128


def test_times_reach_from_1970_to_2105_with_microseconds(tmp_path: Path) -> None:
    make_tree(tmp_path, files=0, wide=1, deep=1)
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "times").iterdir()}
    assert times["epoch"] == 0
    assert times["before 2038"] == 2147483647123456000
    assert times["2105"] == 4260211200500000000


@ROOT_ONLY
def test_root_gets_devices_owners_and_attributes(tmp_path: Path) -> None:
    left_out = make_tree(tmp_path, files=0, wide=1, deep=1).left_out
    specials = tmp_path / "specials"
    assert not any("devices" in reason or "owners" in reason for reason in left_out)
    assert (specials / "wide device").stat().st_rdev == os.makedev(300, 70000)
    assert (specials / "big").stat().st_uid == 70_000
    assert stat.S_IMODE((specials / "setuid").stat().st_mode) == 0o4755
    attributes = tmp_path / "attributes"
    if not any("attributes" in reason for reason in left_out):
        assert os.getxattr(attributes / "attributes", "user.binary") == bytes(range(256))
        assert "security.capability" in os.listxattr(attributes / "capability")
        inherited = os.listxattr(attributes / "acl directory" / "inherits")
        assert inherited == ["system.posix_acl_access"]


def test_what_the_machine_refuses_is_left_out_and_reported(tmp_path: Path) -> None:
    with ObjectMaker(tmp_path, 0) as maker:
        name = maker.file(b"file", 1)
        maker.attribute(name, "nonsense.name", b"value")
        maker.attribute(name, "nonsense.other", b"value")
    assert len(maker.summary.left_out) == 1
    assert maker.summary.left_out[0].startswith("attributes nonsense.*: ")


def test_other_failures_are_raised(tmp_path: Path) -> None:
    with ObjectMaker(tmp_path, 0) as maker, pytest.raises(FileNotFoundError):
        maker.attribute(b"missing", "user.a", b"value")


@pytest.mark.parametrize("seed", range(5))
def test_same_seed_makes_the_same_random_tree(tmp_path: Path, seed: int) -> None:
    first = random_tree(tmp_path / "a", seed, objects=40)
    assert first == random_tree(tmp_path / "b", seed, objects=40)
    assert compare_trees(tmp_path / "a", tmp_path / "b", ignore=()) == []


def test_fewer_objects_are_the_beginning_of_the_same_tree(tmp_path: Path) -> None:
    random_tree(tmp_path / "short", 3, objects=10)
    random_tree(tmp_path / "long", 3, objects=30)
    ignore = {Aspect.EXTRA, Aspect.MTIME, Aspect.ATIME, Aspect.LINKS}
    assert compare_trees(tmp_path / "short", tmp_path / "long", ignore=ignore) == []


def test_random_trees_cover_every_kind(tmp_path: Path) -> None:
    total = TreeSummary()
    for seed in range(10):
        summary = random_tree(tmp_path / str(seed), seed)
        total.files += summary.files
        total.directories += summary.directories
        total.symlinks += summary.symlinks
        total.specials += summary.specials
        total.hard_links += summary.hard_links
    assert (
        min(total.files, total.directories, total.symlinks, total.specials, total.hard_links) >= 10
    )


def test_small_files_have_the_promised_sizes(tmp_path: Path) -> None:
    summary = make_small_files(tmp_path, files=3000, directories=30)
    sizes = [status.st_size for _, status in walk(tmp_path) if stat.S_ISREG(status.st_mode)]
    assert (summary.files, summary.directories, summary.bytes) == (3000, 30, sum(sizes))
    assert max(sizes) <= 16 * 1024
    assert 3700 < sum(sizes) / len(sizes) < 4500
    assert all(len(list(place.iterdir())) == 100 for place in tmp_path.iterdir())


def test_large_files_are_whole_and_differ_in_each_mib(tmp_path: Path) -> None:
    summary = make_large_files(tmp_path, count=2, size=(3 << 20) + 5)
    contents = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    assert [len(content) for content in contents] == [(3 << 20) + 5] * 2
    pieces = [
        content[at : at + (1 << 20)] for content in contents for at in range(0, 3 << 20, 1 << 20)
    ]
    assert len(set(pieces)) == 6
    assert summary.bytes == 2 * ((3 << 20) + 5)
