"""Backups of a volume on btrfs, through a whole stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from session_stack import new_site, serving
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import BackupPlan, RecoverPlan, TapeAt, back_up, recover
from tapekit_trees.btrfs import make_subvolume, mounted_btrfs
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from session_stack import ServedStack
    from tapekit_ndmp_v4.client import BackupResult

RECORD_BYTES = 10240


def with_btrfs(text: str) -> str:
    text = text.replace('"snap_copy"', '"snap_btrfs"')
    text = text.replace('snapshots = "copy"', 'snapshots = "btrfs"')
    return f'{text}\n[[volumes.volume]]\npath = "/vs1/back"\ndirectory = "volumes/vs1/back"\n'


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    with mounted_btrfs(tmp_path) as place:
        yield place


async def dump(stack: ServedStack, device: str, level: int) -> BackupResult:
    plan = BackupPlan(
        tape=TapeAt(device),
        environment=(("FILESYSTEM", "/vs1/vol1"), ("LEVEL", str(level)), ("UPDATE", "Y")),
        record_size=RECORD_BYTES,
    )
    async with stack.client() as client:
        return await back_up(client, plan)


async def restore(stack: ServedStack, backup: BackupResult) -> None:
    plan = RecoverPlan(
        parts=backup.parts,
        environment=backup.environment,
        names=(m.Name(original_path="", destination_path="/vs1/back"),),
        record_size=RECORD_BYTES,
    )
    async with stack.client() as client:
        await recover(client, plan)


@pytest.mark.slow
async def test_levels_from_snapshots_of_btrfs_come_back_equal(place: Path, tmp_path: Path) -> None:
    directory = place / "site"
    (directory / "volumes" / "vs1" / "back").mkdir(parents=True)
    kernel = new_site(directory, with_btrfs)
    async with serving(directory, kernel) as stack:
        back = stack.volume.with_name("back")
        stack.volume.rmdir()
        make_subvolume(stack.volume)
        make_tree(stack.volume, files=60, seed=3, wide=40, deep=5, far=1 << 20)
        full = await dump(stack, "nrst0a", 0)
        (stack.volume / "moved").mkdir()
        for child in sorted(stack.volume.iterdir())[::2]:
            if child.name != "moved":
                child.rename(stack.volume / "moved" / child.name)
        (stack.volume / "new").write_bytes(b"since the full backup")
        increment = await dump(stack, "nrst1a", 1)
        assert kernel.snapshot_methods["btrfs"].names(stack.volume.with_suffix(".snapshots")) == ()
        for backup in (full, increment):
            await restore(stack, backup)
        found = compare_trees(stack.volume, back)
        assert [str(each) for each in found if each.path != "."] == []
