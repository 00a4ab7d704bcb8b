"""Data connections inside TLS, chosen by whole sessions: three-way and server to server."""

from __future__ import annotations

import contextlib
import functools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio

from administrator import asked
from session_stack import new_site, serving
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4 import operations as ops
from tapekit_ndmp_v4.addresses import to_endpoint
from tapekit_ndmp_v4.client import (
    CAE,
    PRIVATE_DATA,
    BackupPlan,
    BackupResult,
    Connecting,
    CopyPlan,
    NdmpClient,
    PrivateData,
    RecoverPlan,
    TapeAt,
    agree_on_private_data,
    back_up,
    choose_extensions,
    connection_types,
    copy_across,
    recover,
)
from tapekit_ndmp_v4.errors import NdmpReplyError, OperationFailed
from tapekit_ndmp_v4.numbers import (
    AddrType,
    DataHaltReason,
    DataState,
    MoverHaltReason,
    MoverMode,
    MoverState,
    NdmpError,
    TapeOpenMode,
)
from tapekit_ndmp_v4.wire import Pair
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from session_stack import ServedStack

VOLUME = "/vs1/vol1"
TOKEN = "TAPEKIT_TLS_TOKEN"
REQUIRED, PREFERRED = PrivateData.REQUIRED, PrivateData.PREFERRED


def plan(connecting: Connecting) -> BackupPlan:
    environment = (("FILESYSTEM", VOLUME), ("LEVEL", "0"), ("HIST", "Y"))
    return BackupPlan(tape=TapeAt("nrst0a"), environment=environment, connecting=connecting)


def back(backup: BackupResult, connecting: Connecting) -> RecoverPlan:
    return RecoverPlan(
        parts=backup.parts,
        environment=backup.environment,
        names=(m.Name(original_path="", destination_path=f"{VOLUME}/back"),),
        connecting=connecting,
    )


def differences(stack: ServedStack, kept: Path) -> list[str]:
    (stack.volume / "back").rename(kept)
    return [str(each) for each in compare_trees(stack.volume, kept) if each.path != "."]


def without_private_data(text: str) -> str:
    return text.replace("[transport_tls]\n", "[transport_tls]\nprivate_data = false\n")


class Relay:
    """Stands between two servers, as a network does, and sees what passes."""

    def __init__(self) -> None:
        self.seen = bytearray()

    async def carry(self, listener: trio.SocketListener, to: tuple[str, int]) -> None:
        near = await listener.accept()
        await listener.aclose()
        far = await trio.open_tcp_stream(*to)
        async with near, far, trio.open_nursery() as nursery:
            nursery.start_soon(self._copy, near, far)
            nursery.start_soon(self._copy, far, near)

    async def _copy(self, source: trio.SocketStream, sink: trio.SocketStream) -> None:
        try:
            async for data in source:
                self.seen += data
                await sink.send_all(data)
            await sink.send_eof()
        except trio.BrokenResourceError:
            return


@pytest.mark.requirement("R168")
@pytest.mark.parametrize("data_listens", [False, True], ids=["mover listens", "data listens"])
async def test_a_private_three_way_backup_comes_back_equal(
    stack: ServedStack, tmp_path: Path, *, data_listens: bool
) -> None:
    make_tree(stack.volume, files=60, seed=3, wide=40, deep=5, far=1 << 20)
    (stack.volume / "large").write_bytes(bytes(range(256)) * 40_000)
    connecting = Connecting(data_listens=data_listens, private_data=REQUIRED)
    async with stack.client() as data, stack.client() as tape:
        backup = await back_up(data, plan(connecting), tape=tape)
        await recover(data, back(backup, connecting), tape=tape)
        assert 0x7A9E in data.extensions.keys() & tape.extensions.keys()
    assert differences(stack, tmp_path / "kept") == []


def demanding(text: str) -> str:
    return text.replace("[transport_tls]\n", "[transport_tls]\nrequire_private_data = true\n")


@pytest.mark.parametrize("is_offered", [True, False], ids=["on offer", "switched off"])
async def test_a_server_may_demand_that_data_is_private(
    edited_stack: Callable[..., Any], *, is_offered: bool
) -> None:
    async with edited_stack(demanding) as stack:
        if not is_offered:
            change = ops.ExtensionChange(class_id=0x7A9E, is_enabled=False)
            await asked(stack, ops.MODIFY_EXTENSION, change)
        told: list[str] = []
        async with stack.client() as data, stack.client() as tape:
            data.on_post(m.LogMessagePost, lambda post: told.append(post.entry))
            with pytest.raises(NdmpReplyError, match="PERMISSION_ERR"):
                await data.call(m.DataListenRequest(addr_type=AddrType.TCP))
            assert "data connections of the kind TCP need the extension PRIVATE_DATA" in told[0]
            await back_up(data, plan(Connecting()))
            if is_offered:
                async with stack.client() as other:
                    await back_up(other, plan(Connecting(private_data=REQUIRED)), tape=tape)


async def test_a_private_copy_goes_from_server_to_server(stack: ServedStack) -> None:
    make_tree(stack.volume / "tree", files=30, seed=4, wide=20, deep=4)
    async with stack.client() as source, stack.client() as destination:
        assert await agree_on_private_data(source, destination)
        assert AddrType.TCP in await connection_types(source, ipv6=True)
        copied = CopyPlan(
            backup=(("FILESYSTEM", f"{VOLUME}/tree"),),
            recover=(("FILESYSTEM", VOLUME),),
            names=(m.Name(original_path="", destination_path=f"{VOLUME}/back"),),
        )
        await copy_across(source, destination, copied)
    assert compare_trees(stack.volume / "tree", stack.volume / "back") == []


def redirected(addr: m.Addr, port: int) -> m.TcpAddrs:
    """The address of somebody on the way, with all that came with the first."""
    assert isinstance(addr, m.TcpAddrs)
    (first,) = addr.tcp_addr
    return m.TcpAddrs(tcp_addr=(msgspec.structs.replace(first, port=port),))


@asynccontextmanager
async def private_pair(stack: ServedStack) -> AsyncIterator[tuple[NdmpClient, NdmpClient]]:
    async with stack.client() as data, stack.client() as tape:
        assert await agree_on_private_data(data, tape)
        yield data, tape


async def mover_listens(tape: NdmpClient) -> m.Addr:
    await tape.call(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR))
    listen = m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.TCP)
    return (await tape.call(listen)).connect_addr


@pytest.mark.parametrize("is_private", [True, False], ids=["private", "in the clear"])
async def test_who_is_on_the_way_sees_no_byte_of_a_file(
    stack: ServedStack, *, is_private: bool
) -> None:
    secret = b"nobody is to read this"
    (stack.volume / "a-name-of-its-own").write_bytes(secret * 10_000)
    relay = Relay()
    async with stack.client() as data, stack.client() as tape, trio.open_nursery() as nursery:
        wanted = REQUIRED if is_private else PrivateData.NO
        assert await agree_on_private_data(data, tape, wanted) is is_private
        addr = await mover_listens(tape)
        endpoint = to_endpoint(addr)
        assert endpoint is not None
        (middle,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(relay.carry, middle, (endpoint.host, endpoint.port))
        on_the_way = redirected(addr, middle.socket.getsockname()[1])
        await data.call(m.DataConnectRequest(addr=on_the_way))
        environment = (Pair("FILESYSTEM", VOLUME),)
        await data.call(m.DataStartBackupRequest(butype_name="dump", env=environment))
        halted = await data.wait_for(m.NotifyDataHaltedPost)
        assert halted.reason == DataHaltReason.SUCCESSFUL
        await tape.wait_for(m.NotifyMoverHaltedPost)
    assert len(relay.seen) > len(secret) * 10_000
    assert (secret in relay.seen) is not is_private
    assert (b"a-name-of-its-own" in relay.seen) is not is_private


async def test_the_first_to_connect_is_not_the_peer(stack: ServedStack) -> None:
    (stack.volume / "file").write_bytes(b"content" * 1000)
    async with private_pair(stack) as (data, tape):
        addr = await mover_listens(tape)
        endpoint = to_endpoint(addr)
        assert endpoint is not None
        async with await trio.open_tcp_stream(endpoint.host, endpoint.port) as stranger:
            await stranger.send_all(b"x" * 1000)
            with trio.fail_after(60), contextlib.suppress(trio.BrokenResourceError):
                # A warning of TLS, and then the end.
                while await stranger.receive_some():
                    pass
        state = await tape.call(m.MoverGetStateRequest())
        assert state.state == MoverState.LISTEN
        await data.call(m.DataConnectRequest(addr=addr))
        while (await tape.call(m.MoverGetStateRequest())).state != MoverState.ACTIVE:
            await trio.lowlevel.checkpoint()


async def error_of(client: NdmpClient, request: Any) -> tuple[int, str]:
    told: list[m.LogMessagePost] = []
    client.on_post(m.LogMessagePost, told.append)
    with pytest.raises(NdmpReplyError) as caught:
        await client.call(request)
    return caught.value.code, told[-1].entry


def changed(addr: m.Addr, edit: Callable[[dict[str, str]], dict[str, str]]) -> m.TcpAddrs:
    assert isinstance(addr, m.TcpAddrs)
    (first,) = addr.tcp_addr
    env = edit({pair.name: pair.value for pair in first.addr_env})
    pairs = tuple(Pair(*pair) for pair in env.items())
    return m.TcpAddrs(tcp_addr=(msgspec.structs.replace(first, addr_env=pairs),))


@pytest.mark.parametrize(
    ("edit", "text"),
    [
        (lambda _env: {}, "came without what a private data connection needs"),
        (lambda env: {**env, "TAPEKIT_TLS_SHA256": "00" * 32}, "its certificate is another one"),
        (lambda env: {**env, TOKEN: "00" * 32}, "No private data connection to"),
    ],
    ids=["no credentials", "fingerprint", "token"],
)
async def test_wrong_credentials_are_refused_and_the_listener_goes_on(
    stack: ServedStack, edit: Callable[[dict[str, str]], dict[str, str]], text: str
) -> None:
    async with private_pair(stack) as (data, tape):
        addr = await mover_listens(tape)
        code, told = await error_of(data, m.DataConnectRequest(addr=changed(addr, edit)))
        assert code == NdmpError.CONNECT_ERR
        assert text in told
        assert (await data.call(m.DataGetStateRequest())).state == DataState.IDLE
        assert (await tape.call(m.MoverGetStateRequest())).state == MoverState.LISTEN
        await data.call(m.DataConnectRequest(addr=addr))


async def test_a_connection_cut_in_the_middle_is_no_end(stack: ServedStack) -> None:
    """A FIN that somebody else sends halts the mover as a lost connection does."""
    async with private_pair(stack) as (data, tape):
        addr = await mover_listens(tape)
        endpoint = to_endpoint(addr)
        assert endpoint is not None
        (middle,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with trio.open_nursery() as nursery:
            request = m.DataConnectRequest(addr=redirected(addr, middle.socket.getsockname()[1]))
            nursery.start_soon(data.call, request)
            near = await middle.accept()
            far = await trio.open_tcp_stream(endpoint.host, endpoint.port)
            async with trio.open_nursery() as carrying:
                carrying.start_soon(_carry, near, far)
                carrying.start_soon(_carry, far, near)
                while (await tape.call(m.MoverGetStateRequest())).state != MoverState.ACTIVE:
                    await trio.lowlevel.checkpoint()
                carrying.cancel_scope.cancel()
            await far.send_eof()
            with trio.fail_after(60):
                halted = await tape.wait_for(m.NotifyMoverHaltedPost)
            assert halted.reason == MoverHaltReason.CONNECT_ERROR
            await near.aclose()
            await far.aclose()
        await middle.aclose()


async def _carry(source: trio.SocketStream, sink: trio.SocketStream) -> None:
    async for data in source:
        await sink.send_all(data)


async def test_sessions_that_do_not_choose_it_are_as_they_were(
    stack: ServedStack, tmp_path: Path
) -> None:
    make_tree(stack.volume, files=20, seed=5, wide=10, deep=3)
    async with stack.client() as data, stack.client() as tape:
        listening = (await tape.call(m.ConfigGetExtListRequest())).class_list
        assert m.ClassVersions(ext_class_id=0x7A9E, ext_version=(1,)) in listening
        backup = await back_up(data, plan(Connecting()), tape=tape)
        await recover(data, back(backup, Connecting()), tape=tape)
        addr = await mover_listens(tape)
        assert isinstance(addr, m.TcpAddrs)
        assert addr.tcp_addr[0].addr_env == ()
    assert differences(stack, tmp_path / "kept") == []


async def test_local_connections_are_not_encrypted(stack: ServedStack, tmp_path: Path) -> None:
    make_tree(stack.volume, files=20, seed=6, wide=10, deep=3)
    connecting = Connecting(private_data=REQUIRED)
    async with stack.client() as client:
        await choose_extensions(client, PRIVATE_DATA)
        backup = await back_up(client, plan(connecting))
        await recover(client, back(backup, connecting))
    assert differences(stack, tmp_path / "kept") == []


@pytest.mark.parametrize("lacking", ["data", "tape"])
async def test_one_side_without_it_ends_a_transfer_before_it_begins(
    stack: ServedStack, tmp_path: Path, lacking: str
) -> None:
    (stack.volume / "file").write_bytes(b"content")
    site = tmp_path / "other"
    async with serving(site, new_site(site, without_private_data)) as other:
        first, second = (other, stack) if lacking == "data" else (stack, other)
        (first.volume / "file").write_bytes(b"content")
        async with first.client() as data, second.client() as tape:
            required = plan(Connecting(private_data=REQUIRED))
            with pytest.raises(OperationFailed, match=rf"with [\d.]+:{other.port}$"):
                await back_up(data, required, tape=tape)
            assert (data.extensions, tape.extensions) == ({}, {})
            # Told otherwise, it goes on in the clear.
            await back_up(data, plan(Connecting(private_data=PREFERRED)), tape=tape)


async def test_a_session_that_has_it_talks_to_no_session_without(stack: ServedStack) -> None:
    async with stack.client() as data, stack.client() as tape:
        await choose_extensions(data, {**PRIVATE_DATA, **CAE})
        await choose_extensions(tape, CAE)
        for wanted in PrivateData:
            with pytest.raises(OperationFailed) as refused:
                await back_up(data, plan(Connecting(private_data=wanted)), tape=tape)
            assert refused.value.id == "ndmp_v4.no-private-data"


async def test_a_choice_that_comes_too_late_is_told(stack: ServedStack) -> None:
    (stack.volume / "file").write_bytes(b"content")
    async with stack.client() as data, stack.client() as tape:
        await back_up(data, plan(Connecting()), tape=tape)
        for wanted in (PREFERRED, REQUIRED):
            attempt = functools.partial(agree_on_private_data, data, tape, wanted)
            if wanted is PREFERRED:
                assert await attempt() is False
                continue
            with pytest.raises(OperationFailed, match="no private data connections with"):
                await attempt()


async def test_ipv6_is_chosen_along_with_it(
    edited_stack: Callable[[Callable[[str], str]], AbstractAsyncContextManager[ServedStack]],
) -> None:
    async with edited_stack(str) as stack, stack.client() as data, stack.client() as tape:
        assert await agree_on_private_data(data, tape)
        assert data.extensions.keys() == {0x2051, 0x7A9E}
        assert await agree_on_private_data(data, tape)
