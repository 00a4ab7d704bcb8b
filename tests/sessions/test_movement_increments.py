"""Increments after storage has moved, where the state moved along and where it did not."""

from __future__ import annotations

import contextlib
import re
import shutil
from typing import TYPE_CHECKING

import pytest
from movement_stack import backup, fill, movement_stack, typed, with_storage_to_move

from cluster_stacks import THERE, cluster_client, first_node, second_node
from lif_stacks import scoped
from session_stack import clock, new_site, serving
from tapekit.kernel import assemble, installed
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import BackupPlan, Connecting, TapeAt, Watch, back_up
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import AddrType

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from session_stack import ServedStack
    from tapekit.kernel import StackKernel

FULL_AGAIN = "so this one is a full backup of level 0"


async def increment(stack: ServedStack, level: str) -> str:
    """What a dump of a level tells, by a policy that does not change."""
    told: list[str] = []
    more = (("LEVEL", level), ("UPDATE", "Y"), ("HIST", "Y"))
    await backup(stack, "dump", more=more, told=told)
    return "\n".join(told)


def change(stack: ServedStack, name: str) -> None:
    (stack.volume / name).write_bytes(b"changed")


@pytest.mark.requirement("R270")
@pytest.mark.requirement("R276")
@pytest.mark.parametrize(
    ("there", "back", "group"),
    [
        (
            "storage failover takeover -ofnode n1",
            "storage failover giveback -ofnode n1",
            "storage failover",
        ),
        ("metrocluster switchover", "metrocluster switchback", "metrocluster"),
    ],
)
async def test_increments_go_on_where_state_and_address_move_with_the_storage(
    tmp_path: Path, there: str, back: str, group: str
) -> None:
    home, partner = tmp_path / "home", tmp_path / "partner"
    async with movement_stack(home) as stack:
        told = await increment(stack, "0")
        assert FULL_AGAIN not in told
        await typed(stack, there)
    # All that the node had is at the other one now, and so is its address.
    shutil.move(home, partner)
    async with movement_stack(partner) as stack:
        await typed(stack, f"{group} complete")
        change(stack, "after the first movement")
        told = await increment(stack, "1")
        assert FULL_AGAIN not in told
        assert "objects" in told
        await typed(stack, back)
    shutil.move(partner, home)
    async with movement_stack(home) as stack:
        await typed(stack, f"{group} complete")
        change(stack, "after the second movement")
        assert FULL_AGAIN not in await increment(stack, "2")


@pytest.mark.requirement("R270")
async def test_a_node_with_a_state_of_its_own_begins_with_a_baseline(tmp_path: Path) -> None:
    async with movement_stack(tmp_path / "site") as stack:
        await increment(stack, "0")
        await typed(stack, "storage failover takeover -ofnode n1")
        volumes = tmp_path / "site" / "volumes"

        def partner(text: str) -> str:
            text = with_storage_to_move(text).replace('node = "n1"', 'node = "n2"')
            text = text.replace('directory = "volumes/', f'directory = "{volumes}/')
            return f'{text}\n[[volumes.aggregate]]\nname = "aggr1"\nnode = "n1"\n'

        directory = tmp_path / "partner"
        async with serving(directory, new_site(directory, partner)) as second:
            assert (await refused(second)).startswith("the aggregate aggr1 is at n1")
            await typed(second, "storage failover takeover -ofnode n1")
            await typed(second, "storage failover complete")
            assert FULL_AGAIN in await increment(second, "1")
            assert FULL_AGAIN not in await increment(second, "2")
            await typed(second, "storage failover giveback -ofnode n1")
            await typed(second, "storage failover complete")
            assert (await refused(second)).startswith("the aggregate aggr1 is at n1")


@pytest.mark.requirement("R269")
@pytest.mark.parametrize("is_failover", [True, False], ids=["takeover", "relocation"])
async def test_with_cab_a_policy_stays_as_it_is_when_the_node_of_its_volume_changes(
    tmp_path: Path, *, is_failover: bool
) -> None:
    two, one, partner = tmp_path / "node2", tmp_path / "node1", tmp_path / "partner"
    begin, group = (
        ("storage failover takeover -ofnode node2", "storage failover")
        if is_failover
        else (
            "storage aggregate relocation start -node node2 -destination node3 -aggregate-list *",
            "storage aggregate relocation",
        )
    )
    async with serving(two, second_node(two, scoped)) as second:
        fill(second.volume)
        async with serving(one, first_node(one, second, scoped)) as first:
            assert FULL_AGAIN not in await increment_by_policy(first, "0")
            await typed(second, begin)
            refusal = await increment_by_policy(first, "1")
            assert "no dump backup begins during the" in refusal
    shutil.move(two, partner)
    if not is_failover:
        # The server of another node, which has the storage and the state now.
        edit(partner, lambda text: text.replace('node = "node2"', 'node = "node3"'))
    async with serving(partner, reassembled(partner)) as moved:
        await typed(moved, f"{group} complete")
        change(moved, "after the movement")

        def readdressed(text: str) -> str:
            text = text.replace('name = "node2"', f'name = "{moved.kernel.node_name}"')
            return re.sub(rf'"{THERE}:\d+"', f'"{THERE}:{moved.port}"', text)

        edit(one, readdressed)
        async with serving(one, reassembled(one)) as first:
            told = await increment_by_policy(first, "1")
    assert FULL_AGAIN not in told
    assert "objects" in told


def edit(directory: Path, change_text: Callable[[str], str]) -> None:
    file = directory / "tapekit.toml"
    file.write_text(change_text(file.read_text()))


def reassembled(directory: Path) -> StackKernel:
    return assemble(directory / "tapekit.toml", installed(), clock=clock)


async def increment_by_policy(stack: ServedStack, level: str) -> str:
    """What a dump tells that names a volume of the cluster and a drive of one node."""
    told: list[str] = []

    def hear(post: object) -> None:
        if isinstance(post, m.LogMessagePost):
            told.append(post.entry.strip())

    plan = BackupPlan(
        tape=TapeAt("nrst0a"),
        environment=(("FILESYSTEM", "/vs1/vol2"), ("LEVEL", level), ("UPDATE", "Y")),
        connecting=Connecting(kind=AddrType.TCP),
    )
    async with cluster_client(stack) as client:
        with contextlib.suppress(NdmpReplyError):
            await back_up(client, plan, watch=Watch(on_post=hear))
    return "\n".join(told)


async def refused(stack: ServedStack) -> str:
    told: list[str] = []
    with pytest.raises(NdmpReplyError):
        await backup(stack, "dump", told=told)
    return told[-1]
