"""Data connections whose other side goes away without a word."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
import trio

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4 import mover_server
from tapekit_ndmp_v4.addresses import to_endpoint
from tapekit_ndmp_v4.numbers import AddrType, MoverHaltReason, MoverMode, MoverState, TapeOpenMode

if TYPE_CHECKING:
    from session_stack import ServedStack


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_a_mover_between_two_ranges_notices_that_its_data_server_left(
    stack: ServedStack, monkeypatch: pytest.MonkeyPatch, *, reset: bool
) -> None:
    monkeypatch.setattr(mover_server, "_PEER_CHECK_S", 0.05)
    async with stack.client() as client:
        await client.call(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.READ))
        listen = m.MoverListenRequest(mode=MoverMode.WRITE, addr_type=AddrType.TCP)
        endpoint = to_endpoint((await client.call(listen)).connect_addr)
        assert endpoint is not None
        data_server = await trio.open_tcp_stream(endpoint.host, endpoint.port)
        while (await client.call(m.MoverGetStateRequest())).state != MoverState.ACTIVE:
            await trio.lowlevel.checkpoint()
        if reset:
            linger = b"\1\0\0\0\0\0\0\0"
            data_server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        await data_server.aclose()
        with trio.fail_after(60):
            halted = await client.wait_for(m.NotifyMoverHaltedPost)
        assert halted.reason == MoverHaltReason.CONNECT_CLOSED
        await client.call(m.MoverStopRequest())


async def test_a_mover_whose_data_server_is_there_goes_on_waiting(
    stack: ServedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mover_server, "_PEER_CHECK_S", 0.01)
    async with stack.client() as client:
        await client.call(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.READ))
        listen = m.MoverListenRequest(mode=MoverMode.WRITE, addr_type=AddrType.TCP)
        endpoint = to_endpoint((await client.call(listen)).connect_addr)
        assert endpoint is not None
        async with await trio.open_tcp_stream(endpoint.host, endpoint.port) as data_server:
            await data_server.send_all(b"what nobody asked for")
            with trio.move_on_after(0.2) as patience:
                await client.wait_for(m.NotifyMoverHaltedPost)
            assert patience.cancelled_caught
            assert (await client.call(m.MoverGetStateRequest())).state == MoverState.ACTIVE
