"""Two nodes in two processes: a session on one reaches volumes and drives of
both, for those who know Cluster Aware Backup; NDMJOB does not.
"""

from __future__ import annotations

import os
import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import pytest

from captures import DOUBTFUL, NDMP_PORT, capturing, dissection_of, own_address, packets_in
from interop_peers import need
from running_stack import make_stack
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import (
    CAB,
    BackupPlan,
    Connecting,
    NdmpClient,
    RecoverPlan,
    TapeAt,
    back_up,
    choose_extensions,
    prepare_data_connection,
    recover,
)
from tapekit_ndmp_v4.numbers import AddrType, AuthType, DataHaltReason, DataState
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from running_stack import Stack

LOCAL, TCP = AddrType.LOCAL, AddrType.TCP
PREPARES = "tcp.payload[16:4] == 20:52:00:01"
"""CAB_DATA_CONN_PREPARE and its replies, which the dissector does not know."""

FIRST, SECOND = "/vs1/vol1", "/vs1/vol2"


@contextmanager
def two_nodes(directory: Path) -> Iterator[tuple[Stack, Stack]]:
    """Both serve inside the block; the first knows the second."""
    first = make_stack(directory / "node1", own_address(1), NDMP_PORT)
    second = make_stack(directory / "node2", own_address(2), NDMP_PORT)
    second.edit(r'path = "/vs1/vol1"', f'path = "{SECOND}"')
    for name, stack in (("node1", first), ("node2", second)):
        stack.edit(r'    "cae",\n', '    "cae",\n    "cab",\n')
        stack.edit(r"\Aplugins|^plugins", f'node = "{name}"\nplugins')
    password = first.directory / "node2-password"
    password.touch(0o600)
    password.write_text(second.password)
    with first.file.open("a") as file:
        file.write(
            f'\n[[cab.node]]\nname = "node2"\naddress = "{second.host}:{second.port}"\n'
            'user = "ndmp"\npassword_file = "node2-password"\n'
        )
    for stack in (first, second):
        stack.start()
    try:
        yield first, second
    finally:
        for stack in (first, second):
            if stack.server is not None:
                stack.stop()


@asynccontextmanager
async def session_of(stack: Stack) -> AsyncIterator[NdmpClient]:
    """A session that has chosen the class."""
    async with NdmpClient.connect(stack.host, stack.port, clock=time.time) as client:
        await client.open()
        await client.authenticate(AuthType.MD5, "ndmp", stack.password.encode())
        assert await choose_extensions(client, CAB) == {0x2052: 1}
        yield client


async def there_and_back(client: NdmpClient, device: str, kind: AddrType) -> None:
    connecting = Connecting(kind=kind)
    plan = BackupPlan(
        tape=TapeAt(device),
        environment=(("FILESYSTEM", SECOND), ("HIST", "Y")),
        connecting=connecting,
    )
    backup = await back_up(client, plan)
    names = (m.Name(original_path="", destination_path=f"{SECOND}/back"),)
    restore = RecoverPlan(
        parts=backup.parts,
        environment=backup.environment,
        names=names,
        connecting=connecting,
    )
    await recover(client, restore)


@pytest.mark.requirement("R111")
@pytest.mark.requirement("R193")
@pytest.mark.skipif(os.geteuid() != 0, reason="capturing needs root")
@pytest.mark.parametrize(("device", "kind"), [("node2:nrst0a", LOCAL), ("nrst0a", TCP)])
async def test_a_volume_of_another_process_there_and_back(
    tmp_path: Path, device: str, kind: AddrType
) -> None:
    need("tshark")
    with two_nodes(tmp_path) as (first, second):
        make_tree(second.volume, files=30, seed=2, wide=50, deep=5, far=1 << 20)
        file = tmp_path / "capture.pcapng"
        with capturing(first, file):
            async with session_of(first) as client:
                await there_and_back(client, device, kind)
        (second.volume / "back").rename(tmp_path / "kept")
        found = compare_trees(second.volume, tmp_path / "kept")
    assert [str(each) for each in found if each.path != "."] == []
    dissection = dissection_of(file)
    for message in ("CONFIG_SET_EXT_LIST", "DATA_CONNECT", "DATA_GET_ENV", "NOTIFY_DATA_HALTED"):
        assert message in dissection, message
    assert packets_in(file, "_ws.malformed") == []
    assert len(packets_in(file, PREPARES)) == 4
    assert packets_in(file, f"({DOUBTFUL}) && !({PREPARES})") == []


async def test_a_node_that_is_killed_halts_what_it_did(tmp_path: Path) -> None:
    with two_nodes(tmp_path) as (first, second):
        async with session_of(first) as client:
            assert await prepare_data_connection(client, TCP, "dump", [("FILESYSTEM", SECOND)])
            await client.call(m.DataListenRequest(addr_type=TCP))
            second.kill()
            halted = await client.wait_for(m.NotifyDataHaltedPost)
            assert halted.reason == DataHaltReason.INTERNAL_ERROR
            await client.call(m.DataStopRequest())
            state = await client.call(m.DataGetStateRequest())
            assert state.state == DataState.IDLE


def test_ndmjob_which_knows_no_extension_sees_one_node(tmp_path: Path) -> None:
    need("ndmjob")
    with two_nodes(tmp_path) as (first, second):
        seen = first.ndmjob("-q", "-D", first.agent(), "-T", first.agent())
        assert FIRST in seen.stdout
        for foreign in (SECOND, "node2", second.host, "AFFINITY"):
            assert foreign not in seen.stdout
        make_tree(first.volume, files=5, seed=2, wide=3, deep=2, far=1 << 10)
        first.ndmjob(
            *("-c", "-B", "dump", "-D", first.agent(), "-f", "nrst0a"),
            *("-E", f"FILESYSTEM={FIRST}"),
        )
