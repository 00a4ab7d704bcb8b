"""Relationships between volumes of a stack that serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from mirror_stack import (
    COPY,
    SOURCE,
    copies,
    initialized,
    mirror,
    mirror_stack,
    relationship,
    storage_of,
    take,
    typed,
    with_copy,
)
from session_stack import new_site, serving
from tapekit.errors import TapekitError
from tapekit.hookspecs.volume_images import VolumeState, VolumeType
from tapekit_snapmirror.relationships import MirrorState, TransferStatus
from tapekit_trees.btrfs import make_subvolume, mounted_btrfs
from tapekit_trees.comparing import compare_trees
from tapekit_trees.editing import edit_tree
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from session_stack import ServedStack


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ServedStack]:
    async with mirror_stack(tmp_path / "site") as served:
        (served.volume / "file").write_bytes(b"first")
        yield served


def copy_of(stack: ServedStack) -> Path:
    return stack.volume.with_name("copy")


def same(first: Path, second: Path) -> None:
    assert [str(each) for each in compare_trees(first, second, mtime_granularity_ns=1)] == []


async def life(stack: ServedStack) -> None:
    """A mirror that is initialized and updated, broken off and resynchronized."""
    source, copy = stack.volume, copy_of(stack)
    make_tree(source, files=40, seed=5, wide=20, deep=4, far=1 << 20)
    take(stack, "daily")
    await initialized(stack)
    same(source, copy)
    assert copies(stack, COPY) == copies(stack, SOURCE) == ["daily", "snapmirror 1"]
    baseline = (await relationship(stack)).last
    assert baseline is not None
    for number in (2, 3):
        edit_tree(source, number, edits=20)
        await mirror(stack, "update", COPY, "--wait")
        same(source, copy)
        assert copies(stack, COPY) == copies(stack, SOURCE) == ["daily", f"snapmirror {number}"]
    await mirror(stack, "break", COPY)
    assert storage_of(stack).volume_facts(COPY).type is VolumeType.RW
    (copy / "only here").write_bytes(b"thrown away by the resync")
    await mirror(stack, "resync", COPY, "--wait")
    same(source, copy)
    facts = storage_of(stack).volume_facts(COPY)
    assert (facts.type, facts.state) == (VolumeType.DP, VolumeState.ONLINE)
    now = await relationship(stack)
    assert (now.state, now.status) == (MirrorState.SNAPMIRRORED, TransferStatus.IDLE)


async def test_a_mirror_is_what_its_source_was_at_the_last_transfer(stack: ServedStack) -> None:
    await life(stack)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    with mounted_btrfs(tmp_path) as place:
        yield place


@pytest.mark.slow
async def test_a_mirror_on_btrfs(place: Path) -> None:
    directory = place / "site"
    (directory / "volumes" / "vs1").mkdir(parents=True)
    for name in ("back", "copy", "vol1"):
        make_subvolume(directory / "volumes" / "vs1" / name)
    kernel = new_site(directory, lambda text: with_copy(text, "btrfs"))
    async with serving(directory, kernel) as stack:
        await life(stack)


async def test_show_tells_how_the_last_transfer_ended(stack: ServedStack) -> None:
    assert await mirror(stack, "show", "--json") == "[]\n"
    await initialized(stack)
    (row,) = msgspec.json.decode(await mirror(stack, "show", "--json"))
    assert (row["source"], row["destination"], row["kind"]) == (SOURCE, COPY, "mirror")
    assert (row["state"], row["status"]) == ("snapmirrored", "idle")
    assert row["last"]["step"] == "initialize"
    assert row["last"]["bytes"] > 0
    assert row["last"]["error"] is None
    heading, line = (await mirror(stack, "show")).splitlines()
    assert heading.split()[:2] == ["SOURCE", "DESTINATION"]
    assert "2023-11-14T22:13:20+00:00" in line


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("create", SOURCE, SOURCE), "copy of itself"),
        (("create", COPY, SOURCE), "is a read/write volume"),
        (("create", SOURCE, "/vs1/none"), "no volume"),
        (("update", COPY), "destination of no relationship"),
        (("break", COPY), "destination of no relationship"),
        (("delete", COPY), "destination of no relationship"),
    ],
)
async def test_what_is_refused(stack: ServedStack, words: tuple[str, ...], reason: str) -> None:
    with pytest.raises(TapekitError, match=reason):
        await mirror(stack, *words)


async def test_a_step_out_of_turn_says_what_is_possible(stack: ServedStack) -> None:
    await mirror(stack, "create", SOURCE, COPY)
    with pytest.raises(TapekitError, match="of a relationship already"):
        await mirror(stack, "create", SOURCE, COPY)
    with pytest.raises(TapekitError, match=r"cannot update .* uninitialized; possible: initialize"):
        await mirror(stack, "update", COPY)
    with pytest.raises(TapekitError, match="cannot break"):
        await mirror(stack, "break", COPY)
    await typed(stack, "volume", "offline", COPY)
    with pytest.raises(TapekitError, match="the destination is offline"):
        await mirror(stack, "initialize", COPY)


async def test_a_relationship_that_is_deleted_leaves_the_destination(stack: ServedStack) -> None:
    await initialized(stack)
    await mirror(stack, "delete", COPY)
    assert copies(stack, SOURCE) == []
    assert copies(stack, COPY) == ["snapmirror 1"]
    assert (copy_of(stack) / "file").read_bytes() == b"first"
    name = storage_of(stack).snapshot_copies(COPY)[0].name
    await typed(stack, "volume", "snapshot", "delete", COPY, name)


async def test_the_common_copy_is_locked_on_both_sides(stack: ServedStack) -> None:
    await initialized(stack)
    for volume in (SOURCE, COPY):
        name = storage_of(stack).snapshot_copies(volume)[0].name
        with pytest.raises(TapekitError, match="in use by snapmirror of /vs1/copy"):
            await typed(stack, "volume", "snapshot", "delete", volume, name)


async def test_a_mirror_has_the_copies_that_its_source_has(stack: ServedStack) -> None:
    take(stack, "daily")
    await initialized(stack)
    await typed(stack, "volume", "snapshot", "delete", SOURCE, "daily")
    take(stack, "weekly")
    await mirror(stack, "update", COPY, "--wait")
    assert copies(stack, COPY) == copies(stack, SOURCE) == ["weekly", "snapmirror 2"]


async def test_a_vault_keeps_copies_that_its_source_has_no_more(stack: ServedStack) -> None:
    take(stack, "daily")
    await initialized(stack, "vault")
    await typed(stack, "volume", "snapshot", "delete", SOURCE, "daily")
    await mirror(stack, "update", COPY, "--wait")
    assert copies(stack, SOURCE) == ["snapmirror 2"]
    assert copies(stack, COPY) == ["daily", "snapmirror 2"]
    await mirror(stack, "break", COPY)
    with pytest.raises(TapekitError, match=r"would delete Snapshot copies .*: daily"):
        await mirror(stack, "resync", COPY)
    await mirror(stack, "resync", COPY, "--discard-copies", "--wait")
    assert copies(stack, COPY) == ["snapmirror 3"]
