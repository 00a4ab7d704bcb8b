"""What sessions on each kind of LIF see, who may log in there, and LIFs that go."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from administrator import asked, typed
from cluster_stacks import second_node
from lif_stacks import (
    LIFS,
    OTHER,
    OWN,
    SVM_PASSWORD,
    devices_of,
    log_in,
    on_lif,
    volumes_of,
    with_lifs,
)
from session_stack import new_site, serving
from tapekit.errors import TapekitError
from tapekit.hookspecs.operations import NoRequest, OperationRefused
from tapekit.hookspecs.placement import Reach
from tapekit_cluster import operations as cluster_ops
from tapekit_cluster.sights import SIGHTS
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import CAB, CAE, BackupPlan, TapeAt, back_up, choose_extensions
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import (
    AddrType,
    AuthType,
    ConnectionStatusReason,
    NdmpError,
    TapeOpenMode,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from session_stack import ServedStack
    from tapekit_cluster.settings import LifRole
    from tapekit_ndmp_v4.client import NdmpClient

HERE = {OWN, OTHER}
FAR = "/vs1/vol2"


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[ServedStack]:
    """A node with a LIF of each role."""
    directory = tmp_path / "node1"
    async with serving(directory, new_site(directory, with_lifs(directory))) as stack:
        yield stack


@asynccontextmanager
async def cluster(tmp_path: Path) -> AsyncIterator[ServedStack]:
    """The same beside a second node with the volume /vs1/vol2."""
    here, there = tmp_path / "node1", tmp_path / "node2"
    async with serving(there, second_node(there)) as second:

        def edit(text: str) -> str:
            password = here / "node2-password"
            password.touch(0o600)
            password.write_bytes(second.password)
            text = with_lifs(here)(text).replace('    "cae",\n', '    "cae",\n    "cab",\n')
            node = (
                '[[cab.node]]\nname = "node2"\nuser = "ndmp"\npassword_file = "node2-password"\n'
                f'address = "127.0.0.2:{second.port}"\n'
            )
            return f'node = "node1"\n{text}\n{node}'

        async with serving(here, new_site(here, edit)) as first:
            yield first


async def refused(client: NdmpClient, request: Any) -> int:
    with pytest.raises(NdmpReplyError) as caught:
        await client.call(request)
    return caught.value.code


async def seen(client: NdmpClient) -> tuple[set[str], set[str], set[str]]:
    """Volumes, the nodes of devices, and kinds of data connection."""
    kinds = (await client.call(m.ConfigGetConnectionTypeRequest())).addr_types
    nodes = {name.rpartition(":")[0] for name in await devices_of(client)}
    return await volumes_of(client), nodes, {AddrType(kind).name for kind in kinds}


@pytest.mark.requirement("R197")
@pytest.mark.requirement("R198")
@pytest.mark.requirement("R199")
@pytest.mark.requirement("R200")
@pytest.mark.requirement("R201")
@pytest.mark.requirement("R202")
@pytest.mark.requirement("R203")
@pytest.mark.requirement("R204")
@pytest.mark.requirement("R205")
@pytest.mark.requirement("R195")
@pytest.mark.requirement("R206")
async def test_each_lif_shows_what_the_table_says(tmp_path: Path) -> None:
    async with cluster(tmp_path) as stack:
        for (role, is_aware), sight in SIGHTS.items():
            async with on_lif(stack, role) as client:
                await log_in(client, stack, role)
                await choose_extensions(client, {**CAB, **CAE} if is_aware else CAE)
                volumes, nodes, kinds = await seen(client)
            expected = HERE if role != "data" else {OWN}
            if sight.volumes is Reach.CLUSTER:
                expected = expected | {FAR}
            assert volumes == expected, (role, is_aware)
            assert nodes == NODES[sight.devices], (role, is_aware)
            assert kinds == sight.address_kinds, (role, is_aware)


NODES = {Reach.NOTHING: set[str](), Reach.NODE: {""}, Reach.CLUSTER: {"", "node2"}}


@pytest.mark.parametrize("role", ["data", "cluster-mgmt"])
async def test_where_no_devices_are_seen_none_is_opened(one: ServedStack, role: LifRole) -> None:
    async with on_lif(one, role) as client:
        await log_in(client, one, role)
        told: list[str] = []
        client.on_post(m.LogMessagePost, lambda post: told.append(post.entry))
        tape = m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR)
        assert await refused(client, tape) == NdmpError.NO_DEVICE_ERR
        assert await refused(client, m.ScsiOpenRequest(device="mc0")) == NdmpError.NO_DEVICE_ERR
        assert "have no tape devices" in told[-1]
        local = m.DataListenRequest(addr_type=AddrType.LOCAL)
        assert await refused(client, local) == NdmpError.ILLEGAL_ARGS_ERR
        assert "no LOCAL data connections" in told[-1]


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
async def test_data_connections_of_the_other_family_use_an_address_of_the_lif(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "site"

    def edit(text: str) -> str:
        address = LIFS["data"]
        return with_lifs(directory)(text).replace(f'["{address}"]', f'["{address}", "::1"]')

    async with (
        serving(directory, new_site(directory, edit)) as stack,
        on_lif(stack, "data") as client,
    ):
        await log_in(client, stack, "data")
        await choose_extensions(client, CAE)
        six = await client.call(m.DataListenRequest(addr_type=AddrType.TCP_IPV6))
        assert isinstance(six.connect_addr, m.TcpIpv6Addrs)
        assert six.connect_addr.tcp_ipv6_addr[0].ip == bytes(15) + b"\1"


@pytest.mark.requirement("R175")
@pytest.mark.requirement("R177")
@pytest.mark.parametrize("role", sorted(LIFS))
async def test_accounts_log_in_on_the_lifs_of_their_kind(one: ServedStack, role: LifRole) -> None:
    async with on_lif(one, role) as client:
        await log_in(client, one, role)
    async with on_lif(one, role) as client:
        wrong = ("ndmp", one.password) if role == "data" else ("anna", SVM_PASSWORD.encode())
        with pytest.raises(NdmpReplyError, match="NOT_AUTHORIZED_ERR"):
            await client.authenticate(AuthType.MD5, *wrong)


@pytest.mark.requirement("R110")
async def test_data_lifs_belong_to_their_svm_and_all_others_to_the_admin_svm(
    one: ServedStack,
) -> None:
    rows = (await asked(one, cluster_ops.LIFS, NoRequest())).lifs
    assert {row.role: row.vserver for row in rows} == {
        "node-mgmt": "cluster",
        "cluster-mgmt": "cluster",
        "intercluster": "cluster",
        "data": "vs1",
    }


async def refusal_on(stack: ServedStack, role: str) -> str:
    """Why no session can be opened on a LIF."""
    with pytest.raises(TapekitError) as caught:
        async with on_lif(stack, role):
            raise AssertionError("the session was opened")
    return str(caught.value)


@pytest.mark.requirement("R109")
async def test_a_lif_takes_connections_while_ndmp_is_on_for_its_svm(one: ServedStack) -> None:
    for svm, roles in {"vs1": ["data"], "cluster": ["node-mgmt", "intercluster"]}.items():
        await typed(one, f"vserver services ndmp off -vserver {svm}")
        for role in roles:
            assert f"NDMP is off for {svm}" in await refusal_on(one, role)
        await typed(one, f"vserver services ndmp on -vserver {svm}")
        for role in roles:
            async with on_lif(one, role) as client:
                await log_in(client, one, role)


@pytest.mark.requirement("R186")
async def test_an_svm_without_the_protocol_has_no_new_sessions(one: ServedStack) -> None:
    async with on_lif(one, "data") as before:
        await log_in(before, one, "data")
        await allow(one, "vs1", is_allowed=False)
        assert "allowed protocols of vs1" in await refusal_on(one, "data")
        assert await volumes_of(before) == {OWN}
    async with on_lif(one, "node-mgmt") as client:
        await log_in(client, one, "node-mgmt")
        assert await volumes_of(client) == {OTHER}
    await allow(one, "vs1", is_allowed=True)
    async with on_lif(one, "data") as client:
        await log_in(client, one, "data")
        assert await volumes_of(client) == {OWN}
    with pytest.raises(OperationRefused, match="there is no SVM vs9"):
        await allow(one, "vs9", is_allowed=False)


async def allow(stack: ServedStack, svm: str, *, is_allowed: bool) -> None:
    request = cluster_ops.ProtocolChange(vserver=svm, is_allowed=is_allowed)
    await asked(stack, cluster_ops.ALLOW, request)


@pytest.mark.requirement("R114")
async def test_the_firewall_policy_says_where_ndmp_is_taken(tmp_path: Path) -> None:
    directory = tmp_path / "site"

    def edit(text: str) -> str:
        text = with_lifs(directory)(text)
        return text.replace(
            'name = "cluster-mgmt"', 'name = "cluster-mgmt"\nfirewall_policy = false'
        )

    async with serving(directory, new_site(directory, edit)) as stack:
        for role in ("node-mgmt", "intercluster", "data"):
            async with on_lif(stack, role):
                pass
        assert "firewall policy of the LIF cluster-mgmt" in await refusal_on(stack, "cluster-mgmt")
        with pytest.raises(TapekitError, match=r"no LIF has the address 127\.0\.0\.1"):
            async with stack.client():
                raise AssertionError("the session was opened")


@pytest.mark.requirement("R115")
async def test_the_root_volume_of_a_node_is_never_backed_up(tmp_path: Path) -> None:
    directory = tmp_path / "site"
    kernel = new_site(directory, with_lifs(directory, f'root_volume = "{OTHER}"'))
    async with serving(directory, kernel) as stack, on_lif(stack, "node-mgmt") as client:
        await log_in(client, stack, "node-mgmt")
        told: list[str] = []
        client.on_post(m.LogMessagePost, lambda post: told.append(post.entry))
        for path in (OTHER, f"{OTHER}/./inner"):
            plan = BackupPlan(tape=TapeAt("nrst0a"), environment=(("FILESYSTEM", path),))
            with pytest.raises(NdmpReplyError, match="PERMISSION_ERR"):
                await back_up(client, plan)
        assert f"{OTHER} is the root volume of this node" in told[0]
        rows = (await client.call(m.ConfigGetFsInfoRequest())).fs_info
        offered = {
            row.fs_logical_device: "AVAILABLE_BACKUP" in {pair.name for pair in row.fs_env}
            for row in rows
        }
        assert offered == {OWN: True, OTHER: False}
        plan = BackupPlan(tape=TapeAt("nrst0a"), environment=(("FILESYSTEM", OWN),))
        assert (await back_up(client, plan)).bytes_processed > 0


@pytest.mark.requirement("R116")
@pytest.mark.requirement("R118")
@pytest.mark.parametrize("way", ["migrated to node9", "taken down"])
async def test_a_lif_that_goes_ends_the_jobs_on_it(one: ServedStack, way: str) -> None:
    moved = cluster_ops.LifMove(lif="data", is_down=True)
    if way != "taken down":
        moved = cluster_ops.LifMove(lif="data", vserver="vs1", node="node9")
    told: list[m.NotifyConnectionStatusPost] = []
    async with on_lif(one, "data") as client, on_lif(one, "node-mgmt") as bystander:
        await log_in(client, one, "data")
        await log_in(bystander, one, "node-mgmt")
        client.on_post(m.NotifyConnectionStatusPost, told.append)
        await client.call(m.DataListenRequest(addr_type=AddrType.TCP))
        await asked(one, cluster_ops.MOVE_LIF, moved)
        with trio.fail_after(60), pytest.raises(TapekitError):
            await asking_on(client)
        assert told[-1].reason == ConnectionStatusReason.SHUTDOWN
        assert way in told[-1].text_reason
        assert await volumes_of(bystander) == HERE
    assert way in await refusal_on(one, "data")
    (row,) = (r for r in (await asked(one, cluster_ops.LIFS, NoRequest())).lifs if r.lif == "data")
    assert (row.status, row.is_home) == (("down", True) if moved.is_down else ("up", False))
    await asked(one, cluster_ops.MOVE_LIF, cluster_ops.LifMove(lif="data"))
    async with on_lif(one, "data") as client:
        await log_in(client, one, "data")
        assert await volumes_of(client) == {OWN}


async def asking_on(client: NdmpClient) -> None:
    while True:
        await client.call(m.DataGetStateRequest())


async def test_a_lif_that_is_not_there_cannot_be_moved(one: ServedStack) -> None:
    for wrong in (
        cluster_ops.LifMove(lif="lif9"),
        cluster_ops.LifMove(lif="data", vserver="cluster"),
    ):
        with pytest.raises(OperationRefused, match="there is no LIF"):
            await asked(one, cluster_ops.MOVE_LIF, wrong)
