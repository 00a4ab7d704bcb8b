"""Cluster Aware Backup: what is prepared, and volumes and drives of two nodes."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio

from cluster_stacks import (
    THERE,
    cluster_client,
    first_node,
    second_node,
    two_nodes,
    with_cab,
)
from session_stack import clock, serving
from tapekit.kernel import assemble, installed
from tapekit_cab import limiting as limits
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import (
    CAB,
    BackupPlan,
    BackupResult,
    Connecting,
    RecoverPlan,
    TapeAt,
    Watch,
    affinity_of,
    back_up,
    choose_extensions,
    prepare_data_connection,
    recover,
)
from tapekit_ndmp_v4.cluster_aware import EXCHANGES, CabDataConnPrepareRequest
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import (
    AddrType,
    AuthType,
    DataHaltReason,
    DataState,
    MoverMode,
    MoverState,
    MtioOp,
    NdmpError,
    TapeOpenMode,
)
from tapekit_ndmp_v4.wire import Pair
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from session_stack import ServedStack
    from tapekit.kernel import StackKernel
    from tapekit_ndmp_v4.client import NdmpClient

LOCAL, TCP, TCP_IPV6 = AddrType.LOCAL, AddrType.TCP, AddrType.TCP_IPV6
FIRST, SECOND = "/vs1/vol1", "/vs1/vol2"


async def error_of(client: NdmpClient, request: Any) -> int:
    with pytest.raises(NdmpReplyError) as caught:
        await client.call(request)
    return caught.value.code


async def prepare(client: NdmpClient, kind: AddrType, volume: str = FIRST) -> None:
    assert await prepare_data_connection(client, kind, "dump", [("FILESYSTEM", volume)])


def messages_of(client: NdmpClient) -> list[str]:
    """What the server will have told its operator."""
    told: list[str] = []
    client.on_post(m.LogMessagePost, lambda post: told.append(post.entry))
    return told


# One node.


@pytest.mark.requirement("R335")
@pytest.mark.requirement("R336")
async def test_a_data_connection_has_the_type_that_was_prepared(
    edited_stack: Callable[[Callable[[str], str]], AbstractAsyncContextManager[ServedStack]],
) -> None:
    async with edited_stack(with_cab) as stack, cluster_client(stack) as client:
        told = messages_of(client)
        await prepare(client, TCP)
        listen = m.DataListenRequest(addr_type=LOCAL)
        assert await error_of(client, listen) == NdmpError.PRECONDITION_ERR
        assert told[-1].startswith("DATA LISTEN: CAB data connection prepare precondition error")
        await prepare(client, LOCAL)
        connect = m.DataConnectRequest(
            addr=m.TcpAddrs(tcp_addr=(m.TcpAddr(ip=0x7F00_0001, port=9, addr_env=()),))
        )
        assert await error_of(client, connect) == NdmpError.PRECONDITION_ERR
        assert told[-1].startswith("DATA CONNECT: CAB data connection prepare precondition error")
        await client.call(listen)
        state = await client.call(m.DataGetStateRequest())
        assert state.state == DataState.LISTEN
        again = CabDataConnPrepareRequest(addr_type=TCP, butype_name="dump", env=())
        assert await error_of(client, again) == NdmpError.ILLEGAL_STATE_ERR


async def test_the_mover_is_not_judged_by_what_was_prepared(
    edited_stack: Callable[[Callable[[str], str]], AbstractAsyncContextManager[ServedStack]],
) -> None:
    async with edited_stack(with_cab) as stack, cluster_client(stack) as client:
        await prepare(client, TCP)
        await client.call(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR))
        await client.call(m.MoverSetRecordSizeRequest(len=10240))
        await client.call(m.MoverListenRequest(mode=MoverMode.READ, addr_type=LOCAL))
        assert await error_of(client, m.DataConnectRequest(addr=m.LocalAddr())) == (
            NdmpError.PRECONDITION_ERR
        )
        await prepare(client, LOCAL)
        await client.call(m.DataConnectRequest(addr=m.LocalAddr()))


@pytest.mark.requirement("R188")
async def test_peers_that_choose_without_looking_can_work(
    edited_stack: Callable[[Callable[[str], str]], AbstractAsyncContextManager[ServedStack]],
) -> None:
    def edit(text: str) -> str:
        return with_cab(text).replace('    "cae",\n', '    "cae",\n    "snapext",\n')

    blind = m.ConfigSetExtListRequest(
        ndmp_selected_ext=tuple(
            m.ClassVersion(ext_class_id=class_id, ext_version=version)
            for class_id, version in ((0x2050, 3), (0x2051, 1), (0x2052, 1))
        )
    )
    async with edited_stack(edit) as stack, stack.client() as client:
        await client.call(blind)
        assert await error_of(client, blind) == NdmpError.EXT_DN_ILLEGAL_ERR
        client.wire.exchanges = client.wire.exchanges.extended(EXCHANGES)
        client.extensions = {0x2052: 1}
        await prepare(client, TCP)
        await client.call(m.DataListenRequest(addr_type=TCP))


@pytest.mark.requirement("R188")
async def test_without_the_class_nothing_can_be_prepared(
    edited_stack: Callable[[Callable[[str], str]], AbstractAsyncContextManager[ServedStack]],
) -> None:
    async with edited_stack(with_cab) as stack, stack.client() as client:
        listing = (await client.call(m.ConfigGetExtListRequest())).class_list
        assert m.ClassVersions(ext_class_id=0x2052, ext_version=(1,)) in listing
        assert not await prepare_data_connection(client, TCP, "dump", [])
        client.wire.exchanges = client.wire.exchanges.extended(EXCHANGES)
        request = CabDataConnPrepareRequest(addr_type=TCP, butype_name="dump", env=())
        assert await error_of(client, request) == NdmpError.NOT_SUPPORTED_ERR
        (row,) = (await client.call(m.ConfigGetFsInfoRequest())).fs_info
        assert affinity_of(row.fs_env) is None


# Two nodes.


def plan(volume: str, device: str, kind: AddrType, *, data_listens: bool = False) -> BackupPlan:
    return BackupPlan(
        tape=TapeAt(device),
        environment=(("FILESYSTEM", volume), ("LEVEL", "0"), ("HIST", "Y")),
        connecting=Connecting(kind=kind, data_listens=data_listens),
    )


def everything_to(path: str, backup: BackupResult, kind: AddrType) -> RecoverPlan:
    return RecoverPlan(
        parts=backup.parts,
        environment=backup.environment,
        names=(m.Name(original_path="", destination_path=path),),
        connecting=Connecting(kind=kind),
    )


def affinities(rows: Iterable[Any]) -> dict[str, str | None]:
    """Devices with their places."""
    return {each.device: affinity_of(each.capability) for row in rows for each in row.caplist}


@pytest.mark.requirement("R111")
@pytest.mark.requirement("R194")
async def test_listings_are_of_the_cluster_and_tell_what_is_together(tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as (first, second):
        async with cluster_client(first) as client:
            rows = (await client.call(m.ConfigGetFsInfoRequest())).fs_info
            volumes = {row.fs_logical_device: affinity_of(row.fs_env) for row in rows}
            drives = affinities((await client.call(m.ConfigGetTapeInfoRequest())).tape_info)
            changers = affinities((await client.call(m.ConfigGetScsiInfoRequest())).scsi_info)
        async with cluster_client(second, THERE) as client:
            there = affinities((await client.call(m.ConfigGetTapeInfoRequest())).tape_info)
        async with first.client() as client:
            alone = (await client.call(m.ConfigGetFsInfoRequest())).fs_info
    assert set(volumes) == {FIRST, SECOND}
    assert volumes[FIRST] == drives["nrst0a"] == changers["mc0"]
    assert volumes[SECOND] == drives["node2:nrst0a"] == changers["node2:mc0"] == there["nrst0a"]
    assert volumes[FIRST] != volumes[SECOND]
    assert [row.fs_logical_device for row in alone] == [FIRST]


@pytest.mark.requirement("R193")
async def test_the_node_with_the_volume_makes_the_data_connection(tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as (first, _), cluster_client(first) as client:
        for volume, ip in ((SECOND, 0x7F00_0002), (FIRST, 0x7F00_0001)):
            await prepare(client, TCP, volume)
            reply = await client.call(m.DataListenRequest(addr_type=TCP))
            assert isinstance(reply.connect_addr, m.TcpAddrs)
            assert reply.connect_addr.tcp_addr[0].ip == ip
            state = await client.call(m.DataGetStateRequest())
            assert state.state == DataState.LISTEN
            await client.call(m.DataAbortRequest())
            halted = await client.wait_for(m.NotifyDataHaltedPost)
            assert halted.reason == DataHaltReason.ABORTED
            await client.call(m.DataStopRequest())


@pytest.mark.requirement("R111")
@pytest.mark.requirement("R193")
@pytest.mark.parametrize(
    ("volume", "device", "kind", "data_listens"),
    [
        (SECOND, "node2:nrst0a", LOCAL, False),
        (SECOND, "nrst0a", TCP, False),
        (SECOND, "nrst0a", TCP, True),
        (FIRST, "node2:nrst0a", TCP, False),
        (FIRST, "nrst0a", LOCAL, False),
    ],
)
async def test_a_volume_of_any_node_goes_to_a_drive_of_any_node_and_back(
    tmp_path: Path, volume: str, device: str, kind: AddrType, *, data_listens: bool
) -> None:
    async with two_nodes(tmp_path) as (first, second), cluster_client(first) as client:
        owner = second if volume == SECOND else first
        make_tree(owner.volume, files=30, seed=9, wide=20, deep=4, far=1 << 20)
        named: list[m.FhAddDirPost] = []
        watch = Watch(
            on_post=lambda post: named.append(post) if isinstance(post, m.FhAddDirPost) else None
        )
        asked = plan(volume, device, kind, data_listens=data_listens)
        backup = await back_up(client, asked, watch=watch)
        await recover(client, everything_to(f"{volume}/back", backup, kind))
        (owner.volume / "back").rename(tmp_path / "kept")
        found = compare_trees(owner.volume, tmp_path / "kept")
        assert sum(len(post.dirs) for post in named) > 30
    assert [str(each) for each in found if each.path != "."] == []


# What goes wrong.


async def stalled_backup(client: NdmpClient, device: str, kind: AddrType) -> None:
    """A backup of the second node's volume that waits for its client: the
    first window of the tape is full.
    """
    record = 65536
    await client.call(m.MoverSetRecordSizeRequest(len=record))
    await client.call(m.TapeOpenRequest(device=device, mode=TapeOpenMode.RDWR))
    await client.call(m.MoverSetWindowRequest(offset=0, length=record))
    await prepare(client, kind, SECOND)
    reply = await client.call(m.MoverListenRequest(mode=MoverMode.READ, addr_type=kind))
    await client.call(m.DataConnectRequest(addr=reply.connect_addr))
    environment = (Pair("FILESYSTEM", SECOND), Pair("HIST", "N"))
    await client.call(m.DataStartBackupRequest(butype_name="dump", env=environment))
    await client.wait_for(m.NotifyMoverPausedPost)


def large_tree(stack: ServedStack) -> None:
    """More than a window, a ring and the buffers of a socket hold."""
    (stack.volume / "large").write_bytes(bytes(1 << 26))


async def until_free(stack: ServedStack) -> None:
    """Wait until nobody holds a drive."""
    inventory = stack.kernel.tape_inventory
    assert inventory is not None
    with trio.fail_after(60):
        while any(row.holder is not None for row in inventory.drives()):
            await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("device", ["node2:nrst0a", "nrst0a"])
async def test_a_client_that_goes_away_leaves_nothing_on_either_node(
    tmp_path: Path, device: str
) -> None:
    kind = LOCAL if ":" in device else TCP
    async with two_nodes(tmp_path) as (first, second):
        large_tree(second)
        async with first.client() as client:
            await choose_extensions(client, CAB)
            await stalled_backup(client, device, kind)
            await client.close(timeout_s=0)
        for stack in (first, second):
            await until_free(stack)
        async with cluster_client(second, THERE) as client:
            await prepare(client, TCP, SECOND)
            await client.call(m.DataListenRequest(addr_type=TCP))


@pytest.mark.parametrize("device", ["node2:nrst0a", "nrst0a"])
async def test_work_on_another_node_is_aborted_like_any(tmp_path: Path, device: str) -> None:
    kind = LOCAL if ":" in device else TCP
    async with two_nodes(tmp_path) as (first, second), cluster_client(first) as client:
        large_tree(second)
        await stalled_backup(client, device, kind)
        await client.call(m.DataAbortRequest())
        halted = await client.wait_for(m.NotifyDataHaltedPost)
        assert halted.reason == DataHaltReason.ABORTED
        await client.call(m.MoverAbortRequest())
        await client.wait_for(m.NotifyMoverHaltedPost)
        await client.call(m.DataStopRequest())
        await client.call(m.MoverStopRequest())
        await client.call(m.TapeCloseRequest())
        await until_free(second)
        (second.volume / "large").unlink()
        make_tree(first.volume, files=3, seed=1, wide=2, deep=2, far=1 << 10)
        await back_up(client, plan(FIRST, "nrst0a", LOCAL))


@asynccontextmanager
async def node_that_can_die(directory: Path) -> AsyncIterator[tuple[ServedStack, trio.CancelScope]]:
    """The second node, and what ends it without a word."""
    up, life = trio.Event(), trio.CancelScope()
    found: list[ServedStack] = []

    async def serve() -> None:
        with life:
            async with serving(directory, second_node(directory)) as stack:
                found.append(stack)
                up.set()
                await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        await up.wait()
        yield found[0], life
        life.cancel()


async def test_a_node_that_goes_away_halts_what_it_did(tmp_path: Path) -> None:
    two, one = tmp_path / "node2", tmp_path / "node1"
    async with (
        node_that_can_die(two) as (second, life),
        serving(one, first_node(one, second)) as first,
        cluster_client(first) as client,
    ):
        told = messages_of(client)
        large_tree(second)
        await stalled_backup(client, "nrst0a", TCP)
        life.cancel()
        halted = await client.wait_for(m.NotifyDataHaltedPost)
        assert halted.reason != DataHaltReason.SUCCESSFUL
        state = await client.call(m.DataGetStateRequest())
        assert state.state == DataState.HALTED
        await client.call(m.MoverAbortRequest())
        await client.wait_for(m.NotifyMoverHaltedPost)
        await client.call(m.DataStopRequest())
        await client.call(m.MoverStopRequest())
        await client.call(m.TapeCloseRequest())
        make_tree(first.volume, files=3, seed=1, wide=2, deep=2, far=1 << 10)
        await back_up(client, plan(FIRST, "nrst0a", LOCAL))
        assert any("node2" in each for each in told)
        assert await error_of(client, open_at("node2:nrst0a")) == NdmpError.UNDEFINED_ERR
        assert "does not take work of this session" in told[-1]


async def test_what_is_left_of_a_lost_node_is_halted_servers_and_closed_devices(
    tmp_path: Path,
) -> None:
    two, one = tmp_path / "node2", tmp_path / "node1"
    async with (
        node_that_can_die(two) as (second, life),
        serving(one, first_node(one, second)) as first,
        cluster_client(first) as client,
    ):
        await client.call(open_at("node2:nrst0a"))
        await client.call(m.MoverListenRequest(mode=MoverMode.READ, addr_type=TCP))
        await prepare(client, TCP, SECOND)
        life.cancel()
        await client.wait_for(m.NotifyMoverHaltedPost)
        mover = await client.call(m.MoverGetStateRequest())
        assert mover.state == MoverState.HALTED
        rewind = m.TapeMtioRequest(tape_op=MtioOp.REW, count=1)
        assert await error_of(client, rewind) == NdmpError.ILLEGAL_STATE_ERR
        await client.call(m.MoverStopRequest())
        await client.call(m.TapeCloseRequest())
        mover = await client.call(m.MoverGetStateRequest())
        assert mover.state == MoverState.IDLE
        await client.call(open_at("nrst0a"))


def open_at(device: str) -> m.TapeOpenRequest:
    return m.TapeOpenRequest(device=device, mode=TapeOpenMode.RDWR)


async def test_a_session_has_one_device_on_whatever_node(tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as (first, _), cluster_client(first) as client:
        for one, other in (("nrst0a", "node2:nrst0a"), ("node2:nrst0a", "nrst0a")):
            await client.call(open_at(one))
            assert await error_of(client, open_at(other)) == NdmpError.DEVICE_OPENED_ERR
            await client.call(m.TapeCloseRequest())
        assert await error_of(client, open_at("node2:nrst9")) == NdmpError.NO_DEVICE_ERR
        assert await error_of(client, open_at("node3:nrst0a")) == NdmpError.NO_DEVICE_ERR
        await client.call(m.ScsiOpenRequest(device="node2:mc0"))
        state = await client.call(m.ScsiGetStateRequest())
        assert state.target_controller >= 0
        await client.call(m.ScsiCloseRequest())


@pytest.mark.parametrize(
    ("pattern", "replacement", "text"),
    [
        ('name = "node2"', 'name = "node3"', "is the node node2, not node3"),
        (r'address = "[^"]*"', 'address = "127.0.0.2:1"', "does not take work of this session"),
        ("node2-password", "nothing-here", "No such file or directory"),
        ("node2-password", "tapekit.toml", "others than its owner may use it"),
    ],
)
async def test_a_node_that_takes_no_work_is_left_out_and_named(
    tmp_path: Path, pattern: str, replacement: str, text: str
) -> None:
    def edit(stack: str) -> str:
        head, table, tail = stack.partition("[[cab.node]]")
        return head + table + re.sub(pattern, replacement, tail)

    async with two_nodes(tmp_path, edit) as (first, _), cluster_client(first) as client:
        told = messages_of(client)
        rows = (await client.call(m.ConfigGetFsInfoRequest())).fs_info
        assert [row.fs_logical_device for row in rows] == [FIRST]
        assert text in told[-1]
        await back_up(client, plan(FIRST, "nrst0a", LOCAL))
        with pytest.raises(NdmpReplyError):
            await back_up(client, plan(SECOND, "nrst0a", TCP))


# Users who may not use everything.


def with_bob(text: str) -> str:
    """An edit that adds a user of vs3 alone, with the password of the first."""
    bob = '{ name = "bob", password_file = "ndmp-password", svms = ["vs3"] },'
    return text.replace("users = [", f"users = [{bob} ")


async def test_a_limited_user_is_limited_on_all_nodes(tmp_path: Path) -> None:
    async with two_nodes(tmp_path, with_bob) as (first, _), first.stranger() as client:
        await client.open()
        await client.authenticate(AuthType.MD5, "bob", first.password)
        await choose_extensions(client, CAB)
        assert (await client.call(m.ConfigGetFsInfoRequest())).fs_info == ()
        with pytest.raises(NdmpReplyError) as caught:
            await prepare(client, TCP, SECOND)
        assert caught.value.code == NdmpError.PERMISSION_ERR


async def test_another_login_gets_nothing_by_the_limits_of_the_first(tmp_path: Path) -> None:
    async with two_nodes(tmp_path, with_bob) as (first, _), cluster_client(first) as client:
        told = messages_of(client)
        assert len((await client.call(m.ConfigGetFsInfoRequest())).fs_info) == 2
        await client.authenticate(AuthType.MD5, "bob", first.password)
        assert (await client.call(m.ConfigGetFsInfoRequest())).fs_info == ()
        assert "works for another user of this session" in told[-1]


async def test_a_limit_is_narrowed_and_never_lifted(tmp_path: Path) -> None:
    limiting = {limits.LIMITING_CLASS: (limits.LIMITING_VERSION,)}
    async with two_nodes(tmp_path) as (first, _):
        for svms, count in (((("vs1", "vs9"),), 1), ((("vs9",), ("vs1",)), 0)):
            async with first.client() as client:
                await choose_extensions(client, limiting, limits.EXCHANGES)
                for each in svms:
                    await client.call(limits.NodeLimitRequest(svms=each))
                rows = (await client.call(m.ConfigGetFsInfoRequest())).fs_info
                assert len(rows) == count


async def test_a_node_that_cannot_limit_gets_no_work_of_limited_users(tmp_path: Path) -> None:
    two, one = tmp_path / "node2", tmp_path / "node1"
    plain = second_node(two, lambda text: text.replace('    "cab",\n', ""))
    async with (
        serving(two, plain) as second,
        serving(one, first_node(one, second, with_bob)) as first,
        first.stranger() as client,
    ):
        told = messages_of(client)
        await client.open()
        await client.authenticate(AuthType.MD5, "bob", first.password)
        await choose_extensions(client, CAB)
        await client.call(m.ConfigGetTapeInfoRequest())
        assert "does not limit sessions" in told[-1]


# A volume that moves.


def edit_file(kernel: StackKernel, edit: Callable[[str], str]) -> StackKernel:
    """The kernel of a stack file after an edit."""
    kernel.stack_file.write_text(edit(kernel.stack_file.read_text()))
    return assemble(kernel.stack_file, installed(), clock=clock)


def moved_away(text: str) -> str:
    """The second node without its volume."""
    head, volumes, tail = text.partition("[[volumes.volume]]")
    assert volumes
    return head + tail[tail.index("[vtape]") :]


@pytest.mark.requirement("R196")
@pytest.mark.requirement("R272")
@pytest.mark.parametrize("is_shared", [True, False], ids=["shared state", "state of its own"])
async def test_after_a_move_the_same_policy_goes_three_way_and_stays_incremental(
    tmp_path: Path, *, is_shared: bool
) -> None:
    two, one, shared = tmp_path / "node2", tmp_path / "node1", tmp_path / "shared.sqlite"

    def sharing(text: str) -> str:
        if not is_shared:
            return text
        return re.sub(r'(?m)^path = "state.*"$', f'path = "{shared}"', text)

    told: list[str] = []
    watch = Watch(
        on_post=lambda post: told.append(post.entry) if isinstance(post, m.LogMessagePost) else None
    )

    def moved_here(text: str) -> str:
        volume = (
            "[[volumes.volume]]\n"
            f'path = "{SECOND}"\n'
            f'directory = "{two}/volumes/vs1/vol1"\n'
            'snapshots = "copy"\n\n[vtape]'
        )
        return text.replace("[vtape]", volume)

    async def back_up_by_policy(stack: ServedStack, level: str) -> tuple[BackupResult, AddrType]:
        """A policy that names the volume and the drive, and looks at affinity."""
        async with cluster_client(stack) as client:
            rows = (await client.call(m.ConfigGetFsInfoRequest())).fs_info
            places = {row.fs_logical_device: affinity_of(row.fs_env) for row in rows}
            drives = affinities((await client.call(m.ConfigGetTapeInfoRequest())).tape_info)
            kind = LOCAL if places[SECOND] == drives["node2:nrst0a"] else TCP
            environment = (
                ("FILESYSTEM", SECOND),
                ("LEVEL", level),
                ("UPDATE", "Y"),
                ("HIST", "N"),
            )
            asked = msgspec.structs.replace(
                plan(SECOND, "node2:nrst0a", kind), environment=environment
            )
            return await back_up(client, asked, watch=watch), kind

    second = edit_file(second_node(two), sharing)
    async with serving(two, second) as served:
        first = edit_file(first_node(one, served), sharing)
        make_tree(served.volume, files=30, seed=9, wide=20, deep=4, far=1 << 20)
        async with serving(one, first) as stack:
            _, kind = await back_up_by_policy(stack, "0")
            assert kind == LOCAL
    async with serving(two, edit_file(second, moved_away)) as served:

        def readdressed(text: str) -> str:
            return re.sub(rf'"{THERE}:\d+"', f'"{THERE}:{served.port}"', moved_here(text))

        async with serving(one, edit_file(first, readdressed)) as stack:
            told.clear()
            _, kind = await back_up_by_policy(stack, "1")
    assert kind == TCP
    assert any("so this one is a full backup of level 0" in line for line in told) != is_shared
