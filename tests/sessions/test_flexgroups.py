"""FlexGroup volumes: one name space over two disks, backed up by files."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
import trio
from tests.sessions.test_data_copies import order, run
from tests.sessions.test_restarts import ASKED, RECORD, interrupted, session, with_snapext

from session_stack import ServedStack, new_site, serving
from tapekit.errors import TapekitError
from tapekit.hookspecs.volume_images import VolumeStyle
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import BackupPlan, RecoverPlan, TapeAt, back_up, recover
from tapekit_ndmpcopy.places import Place
from tapekit_snapext import messages as s
from tapekit_trees.btrfs import make_subvolume, mounted_btrfs
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

GROUP = "/vs1/vol1"
OTHER = "/vs1/vol2"


def grouped(text: str) -> str:
    """A FlexGroup volume, and a FlexVol volume beside it."""
    text = text.replace('"snap_copy"', '"snap_btrfs"')
    text = text.replace('snapshots = "copy"', 'snapshots = "btrfs"\nstyle = "flexgroup"')
    other = f'[[volumes.volume]]\npath = "{OTHER}"\ndirectory = "volumes/vs1/vol2"\n'
    return f"{with_snapext(text)}\n{other}"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    with mounted_btrfs(tmp_path, members=2) as place:
        yield place


@pytest.fixture
async def stack(place: Path) -> AsyncIterator[ServedStack]:
    directory = place / "site"
    other = directory / "volumes" / "vs1" / "vol2"
    other.mkdir(parents=True)
    async with serving(directory, new_site(directory, grouped)) as served:
        served.volume.rmdir()
        make_subvolume(served.volume)
        yield served


def fill(volume: Path) -> None:
    make_tree(volume / "tree", files=60, seed=3, wide=20, deep=4, far=1 << 20)
    chance = random.Random(2)
    for folder in ("one", "two"):
        (volume / folder).mkdir()
        for index in range(30):
            (volume / folder / f"small{index}").write_bytes(chance.randbytes(200_000))


def other_of(stack: ServedStack) -> Path:
    return stack.volume.with_name("vol2")


def differences(first: Path, second: Path) -> list[str]:
    return [str(each) for each in compare_trees(first, second) if each.path != "."]


async def restored(stack: ServedStack, *variables: tuple[str, str]) -> None:
    """Back the group up with these variables, and restore that elsewhere."""
    environment = (("FILESYSTEM", GROUP), *variables)
    async with stack.client() as client:
        backup = await back_up(
            client,
            BackupPlan(tape=TapeAt("nrst0a"), environment=environment, record_size=RECORD),
        )
    plan = RecoverPlan(
        parts=backup.parts,
        environment=backup.environment,
        names=(m.Name(original_path="", destination_path=OTHER),),
        record_size=RECORD,
    )
    async with stack.client() as client:
        await recover(client, plan)


def names_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.requirement("R105")
async def test_a_flexvol_volume_is_copied_to_a_flexgroup_volume_and_back(
    stack: ServedStack,
) -> None:
    assert stack.kernel.storage.volume_facts(GROUP).style is VolumeStyle.FLEXGROUP
    fill(other_of(stack))
    await run(order(stack, stack, source=at(stack, OTHER), to=f"{GROUP}/copy"))
    assert differences(other_of(stack), stack.volume / "copy") == []
    await run(order(stack, stack, source=at(stack, f"{GROUP}/copy"), to=f"{OTHER}/back"))
    assert differences(stack.volume / "copy", other_of(stack) / "back") == []


def at(stack: ServedStack, path: str) -> Place:
    return Place(host="127.0.0.1", port=stack.port, path=path)


@pytest.mark.slow
@pytest.mark.requirement("R212")
async def test_names_are_left_out_of_a_flexgroup_volume(stack: ServedStack) -> None:
    fill(stack.volume)
    await restored(stack, ("EXCLUDE", "small1*"))
    left_out = {name for name in names_in(stack.volume) if "/small1" in name}
    assert len(left_out) == 22
    assert names_in(other_of(stack)) == names_in(stack.volume) - left_out


@pytest.mark.slow
@pytest.mark.requirement("R212")
async def test_several_subtrees_of_a_flexgroup_volume_are_backed_up(stack: ServedStack) -> None:
    fill(stack.volume)
    await restored(stack, ("DMP_NAME", "group"), ("MULTI_SUBTREE_NAMES", f"one\ntree\n{GROUP}"))
    assert sorted(path.name for path in other_of(stack).iterdir()) == ["one", "tree"]
    for folder in ("one", "tree"):
        assert differences(stack.volume / folder, other_of(stack) / folder) == []


@pytest.mark.slow
@pytest.mark.requirement("R212")
async def test_a_backup_of_a_flexgroup_volume_is_restarted(stack: ServedStack) -> None:
    fill(stack.volume)
    for number in range(60):
        (stack.volume / f"large{number}").write_bytes(bytes([number]) * 200_000)
    window = 8 << 20
    context = await interrupted(stack, window)
    again = (("RESTART_CONTEXT", context), ("RESTART_OFFSET", str(window)))
    async with session(stack) as client:
        plan = BackupPlan(tape=TapeAt("nrst1a"), environment=(*ASKED, *again), record_size=RECORD)
        result = await back_up(client, plan)
    environment = dict(result.environment)
    assert environment["RESTART_POSITION"] == str(window)
    assert window + result.bytes_moved >= int(environment["ACL_START"])


@pytest.mark.slow
@pytest.mark.requirement("R212")
async def test_a_file_of_a_flexgroup_volume_comes_back_from_a_snapshot_copy(
    stack: ServedStack,
) -> None:
    fill(stack.volume)
    stack.kernel.storage.create_snapshot(GROUP, "monday", "an administrator")
    original = (stack.volume / "one" / "small0").read_bytes()
    (stack.volume / "one" / "small0").unlink()
    source = f"{GROUP}/.snapshot/monday/one/small0"
    async with session(stack) as client:
        recovery = s.SnapRecoverRequest(source=source, destination=f"{GROUP}/one/small0")
        await client.call(recovery)
        with trio.fail_after(60):
            post = await client.wait_for(s.NotifySnapRecoverEndPost)
    assert post == s.NotifySnapRecoverEndPost(error=0, source=source)
    assert (stack.volume / "one" / "small0").read_bytes() == original


async def test_a_flexgroup_volume_takes_no_image(stack: ServedStack) -> None:
    with pytest.raises(TapekitError, match="is a FlexGroup volume, which takes no images"):
        stack.kernel.storage.open_image(GROUP, "session 1")
