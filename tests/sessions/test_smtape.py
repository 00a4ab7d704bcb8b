"""Images of volumes through whole sessions: to tape and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from session_stack import new_site, serving
from tapekit.errors import TapekitError
from tapekit.hookspecs.volume_images import VolumeState
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import (
    BackupPlan,
    RecoverPlan,
    TapeAt,
    back_up,
    recover,
)
from tapekit_trees.btrfs import make_subvolume, mounted_btrfs
from tapekit_trees.comparing import compare_trees
from tapekit_trees.editing import edit_tree
from tapekit_trees.making import make_tree
from tapekit_volumes.storage import VolumeStorage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from session_stack import ServedStack
    from tapekit_ndmp_v4.client import BackupResult

SOURCE, TARGET = "/vs1/vol1", "/vs1/back"
RECORD_BYTES = 65536


def with_target(text: str, method: str = "copy") -> str:
    if method != "copy":
        text = text.replace('"snap_copy"', f'"snap_{method}"')
        text = text.replace('snapshots = "copy"', f'snapshots = "{method}"')
    if '"smtape"' not in text:
        text = text.replace('    "dump",\n', '    "dump",\n    "smtape",\n')
    return (
        f'{text}\n[[volumes.volume]]\npath = "{TARGET}"\ndirectory = "volumes/vs1/back"\n'
        f'type = "dp"\nsnapshots = "{method}"\n'
    )


def storage_of(stack: ServedStack) -> VolumeStorage:
    storage = stack.kernel.storage
    assert isinstance(storage, VolumeStorage)
    return storage


def restrict(stack: ServedStack) -> None:
    storage = storage_of(stack)
    storage.states.change(storage.volume(TARGET), VolumeState.RESTRICTED)


async def image(stack: ServedStack, device: str, **variables: str) -> BackupResult:
    plan = BackupPlan(
        tape=TapeAt(device),
        environment=(("FILESYSTEM", SOURCE), *variables.items()),
        butype="smtape",
        record_size=RECORD_BYTES,
    )
    async with stack.client() as client:
        return await back_up(client, plan)


async def restore(stack: ServedStack, backup: BackupResult, **variables: str) -> None:
    await trio.to_thread.run_sync(restrict, stack)
    plan = RecoverPlan(
        parts=backup.parts,
        environment=(*backup.environment, *variables.items()),
        names=(m.Name(original_path="/", destination_path=TARGET),),
        butype="smtape",
        record_size=RECORD_BYTES,
    )
    async with stack.client() as client:
        await recover(client, plan)


def take(stack: ServedStack, name: str) -> None:
    storage_of(stack).create_snapshot(SOURCE, name, "the backup application")


async def increment(
    stack: ServedStack, before: BackupResult, name: str, device: str
) -> BackupResult:
    await trio.to_thread.run_sync(take, stack, name)
    known = dict(before.environment)
    return await image(
        stack,
        device,
        BASE_DATE=known["DUMP_DATE"],
        SMTAPE_BACKUP_SET_ID=known["SMTAPE_BACKUP_SET_ID"],
        SMTAPE_SNAPSHOT_NAME=name,
    )


async def chain(stack: ServedStack) -> None:
    """A baseline and two increments, each restored and compared."""
    source, back = stack.volume, stack.volume.with_name("back")
    take(stack, "first")
    base = await image(stack, "nrst0a", SMTAPE_SNAPSHOT_NAME="first")
    await restore(stack, base)
    same(source, back)
    before = base
    for number, device in enumerate(("nrst1a", "nrst0a")):
        edit_tree(source, number, edits=30)
        before = await increment(stack, before, f"copy{number}", device)
        await restore(stack, before)
        same(source, back)
    names = [copy.name for copy in storage_of(stack).snapshot_copies(TARGET)]
    assert names == ["first", "copy0", "copy1"]
    assert storage_of(stack).volume_facts(TARGET).state is VolumeState.ONLINE


def same(first: Path, second: Path) -> None:
    assert [str(each) for each in compare_trees(first, second, mtime_granularity_ns=1)] == []


async def test_a_baseline_and_increments_come_back_equal(tmp_path: Path) -> None:
    (tmp_path / "volumes" / "vs1" / "back").mkdir(parents=True)
    async with serving(tmp_path, new_site(tmp_path, with_target)) as stack:
        make_tree(stack.volume, files=60, seed=3, wide=40, deep=5, far=1 << 20)
        await chain(stack)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    with mounted_btrfs(tmp_path) as place:
        yield place


@pytest.mark.slow
async def test_a_chain_on_btrfs_comes_back_equal(place: Path) -> None:
    directory = place / "site"
    (directory / "volumes" / "vs1").mkdir(parents=True)
    make_subvolume(directory / "volumes" / "vs1" / "back")
    make_subvolume(directory / "volumes" / "vs1" / "vol1")
    kernel = new_site(directory, lambda text: with_target(text, "btrfs"))
    async with serving(directory, kernel) as stack:
        make_tree(stack.volume, files=60, seed=3, wide=40, deep=5, far=1 << 20)
        await chain(stack)


async def test_a_volume_that_serves_data_is_not_restored_to(tmp_path: Path) -> None:
    (tmp_path / "volumes" / "vs1" / "back").mkdir(parents=True)
    async with serving(tmp_path, new_site(tmp_path, with_target)) as stack:
        (stack.volume / "file").write_bytes(b"content")
        base = await image(stack, "nrst0a")
        plan = RecoverPlan(
            parts=base.parts,
            environment=base.environment,
            names=(m.Name(original_path="/", destination_path=TARGET),),
            butype="smtape",
            record_size=RECORD_BYTES,
        )
        async with stack.client() as client:
            with pytest.raises(TapekitError):
                await recover(client, plan)
        await restore(stack, base, SMTAPE_BREAK_MIRROR="Y")
        facts = storage_of(stack).volume_facts(TARGET)
        assert (facts.state.value, facts.type.value) == ("online", "rw")
        assert (stack.volume.with_name("back") / "file").read_bytes() == b"content"
