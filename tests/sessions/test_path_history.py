"""File history with whole paths, as a client gets it and uses it."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from administrator import typed
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import (
    BackupPlan,
    BackupResult,
    NdmpClient,
    Positions,
    RecoverPlan,
    TapeAt,
    Watch,
    back_up,
    recover,
)
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from session_stack import ServedStack

VOLUME = "/vs1/vol1"


async def back_up_with(client: NdmpClient, form: str) -> tuple[BackupResult, list[Any]]:
    posts: list[Any] = []
    environment = (("FILESYSTEM", VOLUME), ("LEVEL", "0"), ("HIST", form))
    plan = BackupPlan(tape=TapeAt("nrst0a"), environment=environment, record_size=10240)
    backup = await back_up(client, plan, watch=Watch(on_post=posts.append))
    return backup, posts


def positions_of(posts: Iterable[Any]) -> Positions:
    positions = Positions()
    for post in posts:
        positions.add(post)
    return positions


def paths_in(root: Path) -> set[str]:
    return {
        os.path.relpath(f"{place}/{name}", root)
        for place, *lists in os.walk(root)
        for names in lists
        for name in names
    }


def without_atime(entry: m.FhFile | m.FhNode) -> m.FileStat:
    """What a backup leaves alone: reading a symbolic link changes its access time."""
    (attributes,) = entry.stats
    return msgspec.structs.replace(attributes, atime=0)


@pytest.mark.requirement("R113")
@pytest.mark.requirement("R139")
async def test_paths_say_what_directories_and_nodes_say(stack: ServedStack) -> None:
    make_tree(stack.volume, files=60, seed=3, wide=40, deep=5, far=1 << 20)
    (stack.volume / os.fsdecode(b"odd\xff\xfe\n")).write_bytes(b"odd")
    async with stack.client() as client:
        _, with_nodes = await back_up_with(client, "Y")
        _, with_paths = await back_up_with(client, "F")
    kinds = {type(post) for post in with_paths} - {m.LogMessagePost}
    assert kinds == {m.FhAddFilePost}
    by_node, by_path = positions_of(with_nodes), positions_of(with_paths)
    files = [
        each for post in with_paths if isinstance(post, m.FhAddFilePost) for each in post.files
    ]
    nodes = [
        each for post in with_nodes if isinstance(post, m.FhAddNodePost) for each in post.nodes
    ]
    present = paths_in(stack.volume)
    assert {each.names[0].unix_name for each in files} == {"/", *(f"/{path}" for path in present)}
    assert len(files) == len(present) + 1
    stats_of_nodes = {each.node: without_atime(each) for each in nodes}
    stats_of_files = {each.node: without_atime(each) for each in files}
    assert stats_of_files.keys() == stats_of_nodes.keys()
    for path in ("", *present):
        # Objects of one directory may get their numbers in another order.
        by_names, whole = by_node.find(path), by_path.find(path)
        assert by_names is not None
        assert whole is not None
        assert stats_of_files[whole[0]] == stats_of_nodes[by_names[0]], path


@pytest.mark.requirement("R131")
async def test_files_and_directories_come_back_directly_by_paths(stack: ServedStack) -> None:
    for name in ("a", "b", "c"):
        below = stack.volume / name / "inner"
        below.mkdir(parents=True)
        (below.parent / "large").write_bytes(os.urandom(6 << 20))
        (below / "small").write_bytes(name.encode() * 5000)
    os.link(stack.volume / "a/inner/small", stack.volume / "c/other name")
    async with stack.client() as client:
        backup, posts = await back_up_with(client, "F")
        positions = positions_of(posts)
        wanted = ("b/inner", "/c/other name")
        plan = RecoverPlan(
            parts=backup.parts,
            environment=(*backup.environment, ("DIRECT", "Y"), ("ENHANCED_DAR_ENABLED", "Y")),
            names=tuple(
                positions.name(path, f"{VOLUME}/back/{path.strip('/')}") for path in wanted
            ),
            record_size=10240,
        )
        told: list[Any] = []
        await recover(client, plan, watch=Watch(on_post=told.append))
    results = [each.recovery_status for each in told if isinstance(each, m.LogFilePost)]
    assert results == [0, 0]
    back = stack.volume / "back"
    assert (back / "b/inner/small").read_bytes() == b"b" * 5000
    assert (back / "c/other name").read_bytes() == b"a" * 5000
    assert not (back / "a").exists()
    read = [each.entry for each in told if isinstance(each, m.LogMessagePost)]
    assert any("directly" in text for text in read), read


@pytest.mark.requirement("R113")
@pytest.mark.parametrize(("form", "entries"), [("N", 0), ("Y", 2 + 3 + 3), ("F", 4)])
async def test_sessions_show_what_file_history_costs(
    stack: ServedStack, form: str, entries: int
) -> None:
    (stack.volume / "d").mkdir()
    (stack.volume / "d/a").write_bytes(b"a")
    os.link(stack.volume / "d/a", stack.volume / "b")
    async with stack.client() as client:
        await back_up_with(client, form)
        (row,) = json.loads((await typed(stack, "ndmp probe 1 --json")).out)
        table = (await typed(stack, "ndmp status")).out.splitlines()
    assert row["history_entries"] == entries
    assert row["client_wait_s"] >= 0
    head, *_, cells = (re.split(r"\s{2,}", line.strip()) for line in table)
    shown = dict(zip(head, cells, strict=True))
    assert shown["History"] == str(entries)
    assert shown["Waited"].endswith(" s")
