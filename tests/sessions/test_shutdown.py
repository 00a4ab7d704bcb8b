"""What a stack waits for when it is told to end."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import pytest
import trio

from session_stack import new_site, serving
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4 import operations as ops
from tapekit_ndmp_v4.numbers import (
    AddrType,
    ConnectionStatusReason,
    DataState,
    MoverMode,
    TapeOpenMode,
)
from tapekit_ndmp_v4.wire import Pair

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from session_stack import ServedStack
    from tapekit_ndmp_v4.client import NdmpClient

FINISH_S = 0.2


def quick(text: str) -> str:
    return text + f"\n[ndmp_v4]\nfinish_timeout_s = {FINISH_S}\n"


async def end_of(client: NdmpClient) -> str:
    with trio.fail_after(60):
        while True:
            post = await client.wait_for(m.NotifyConnectionStatusPost)
            if post.reason == ConnectionStatusReason.SHUTDOWN:
                return post.text_reason


@pytest.mark.parametrize("is_aborted", [True, False])
async def test_sessions_in_which_nothing_runs_hold_no_shutdown_up(
    tmp_path: Path, is_aborted: bool
) -> None:
    kernel = new_site(tmp_path / "site", quick)
    async with serving(tmp_path / "site", kernel) as stack, stack.client() as client:
        await client.call(m.DataListenRequest(addr_type=AddrType.TCP))
        if is_aborted:
            await client.call(m.DataAbortRequest())
        await stack.hurry()
        assert await end_of(client) == "The server shuts down"


async def test_a_job_is_waited_for_and_its_client_may_finish_it(
    edited_stack: Callable[[Callable[[str], str]], AbstractAsyncContextManager[ServedStack]],
) -> None:
    async with edited_stack(quick) as stack, stack.client() as client:
        (stack.volume / "large").write_bytes(bytes(4 << 20))
        with socket.create_server(("127.0.0.1", 0)) as port:
            number = port.getsockname()[1]
            address = m.TcpAddrs(tcp_addr=(m.TcpAddr(ip=0x7F00_0001, port=number, addr_env=()),))
            await client.call(m.DataConnectRequest(addr=address))
            reader, _ = port.accept()
        environment = (Pair("FILESYSTEM", "/vs1/vol1"), Pair("HIST", "N"))
        await client.call(m.DataStartBackupRequest(butype_name="dump", env=environment))
        await stack.hurry()
        with trio.fail_after(60):
            while not stack.kernel.draining.is_set():
                await trio.lowlevel.checkpoint()
        assert (await client.call(m.DataGetStateRequest())).state == DataState.ACTIVE
        with reader:
            await trio.to_thread.run_sync(read_all, reader)
        with trio.fail_after(60):
            await client.wait_for(m.NotifyDataHaltedPost)
            assert (await client.call(m.DataGetEnvRequest())).env
        assert await end_of(client) == "The server shuts down"


def read_all(reader: socket.socket) -> None:
    while reader.recv(1 << 20):
        pass


async def test_a_mover_that_listens_holds_no_shutdown_up(tmp_path: Path) -> None:
    kernel = new_site(tmp_path / "site", quick)
    async with serving(tmp_path / "site", kernel) as stack, stack.client() as client:
        await client.call(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR))
        await client.call(m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.TCP))
        await stack.hurry()
        assert await end_of(client) == "The server shuts down"


async def test_a_stranger_who_takes_no_replies_fills_no_memory_and_is_closed(
    tmp_path: Path,
) -> None:
    limited = "\n[ndmp_v4]\nlogin_timeout_s = 3.0\nqueue_bytes = 65536\n"
    kernel = new_site(tmp_path / "site", lambda text: text + limited)
    async with serving(tmp_path / "site", kernel) as stack:
        stranger = await trio.open_tcp_stream("127.0.0.1", stack.port)
        most = 0

        async def look() -> None:
            nonlocal most
            while True:
                perform = kernel.operations[ops.SESSIONS.name].perform
                for row in (await perform(ops.SessionChoice())).sessions:
                    most = max(most, row.queued_bytes)
                await trio.lowlevel.checkpoint()

        with trio.fail_after(60):
            async with stranger, trio.open_nursery() as nursery:
                nursery.start_soon(look)
                with pytest.raises(trio.BrokenResourceError):
                    await flood(stranger)
                nursery.cancel_scope.cancel()
    assert most < 4 * 65536, "twice the limit and what was being answered"


async def flood(stranger: trio.SocketStream) -> None:
    """Ask CONFIG_GET_SERVER_INFO without end and never read."""
    number = 1
    while True:
        requests = range(number, number + 1000)
        await stranger.send_all(
            b"".join(struct.pack(">7I", 0x8000_0018, each, 0, 0, 0x108, 0, 0) for each in requests)
        )
        number += 1000
