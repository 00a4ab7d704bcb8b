"""Volumes whose files have blocks in common, under any edits."""

from __future__ import annotations

import fcntl
import os
import random
import struct
from typing import TYPE_CHECKING

import pytest
from tests.plugins.smtape.backup_site import BackupSite

from tapekit_trees.btrfs import make_subvolume, mounted_btrfs
from tapekit_trees.comparing import compare_trees

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = 4096
CLONE_RANGE = 0x4020_940D


def clone(one: int, other: int, start: int, length: int, offset: int) -> bool:
    """Share a range of two files; not every one can be: it may be beyond an end."""
    try:
        fcntl.ioctl(other, CLONE_RANGE, struct.pack("=qQQQ", one, start, length, offset))
    except OSError:
        return False
    return True


class Cloner:
    """Edits files of a folder, most of all by sharing blocks among them."""

    def __init__(self, top: Path, seed: int) -> None:
        self.top = top
        self.chance = random.Random(seed)
        self.shared = 0
        self.edits = (
            *(self.write, self.share, self.share, self.share),
            *(self.overwrite, self.cut, self.remove, self.rename),
        )

    def edit(self, count: int) -> None:
        for _ in range(count):
            edit = (
                self.write if len(list(self.top.iterdir())) < 3 else self.chance.choice(self.edits)
            )
            edit()

    def any_name(self) -> Path:
        return self.top / f"file{self.chance.randrange(12)}"

    def any_file(self) -> Path:
        return self.chance.choice(sorted(self.top.iterdir()))

    def some_bytes(self, most: int) -> int:
        return self.chance.randrange(1, most)

    def write(self) -> None:
        size = self.some_bytes(40) * BLOCK + self.chance.choice([0, 0, 17, 4000])
        self.any_name().write_bytes(self.chance.randbytes(size))

    def share(self) -> None:
        source, target = self.any_file(), self.chance.choice([self.any_file(), self.any_name()])
        start, offset = (self.chance.randrange(20) * BLOCK for _ in range(2))
        request = (start, self.some_bytes(20) * BLOCK, offset)
        target.touch()
        with source.open("rb") as one, target.open("r+b") as other:
            if clone(one.fileno(), other.fileno(), *request):
                self.shared += 1

    def overwrite(self) -> None:
        with self.any_file().open("r+b") as file:
            file.seek(self.some_bytes(30 * BLOCK))
            file.write(self.chance.randbytes(self.some_bytes(9000)))

    def cut(self) -> None:
        os.truncate(self.any_file(), self.some_bytes(40 * BLOCK))

    def remove(self) -> None:
        self.any_file().unlink()

    def rename(self) -> None:
        self.any_file().rename(self.any_name())


@pytest.mark.slow
@pytest.mark.requirement("R290")
@pytest.mark.parametrize("seed", range(3))
def test_shared_blocks_follow_any_edits(tmp_path: Path, seed: int) -> None:
    with mounted_btrfs(tmp_path) as place:
        for name in ("source", "target"):
            make_subvolume(place / name)
        site = BackupSite(place, "btrfs")
        cloner = Cloner(site.source, seed)
        cloner.edit(30)
        image = site.back_up()
        site.restore(image)
        for number in range(5):
            cloner.edit(8)
            site.take(f"copy{number}")
            image = site.increment(image, f"copy{number}")
            site.restore(image)
            assert compare_trees(site.source, site.target, mtime_granularity_ns=1) == []
        assert cloner.shared > 5
        site.close()
