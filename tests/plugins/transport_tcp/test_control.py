"""Control connections on TCP."""

from __future__ import annotations

import errno
import logging
import os
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from tapekit.errors import TapekitError
from tapekit.hookspecs.transport import Endpoint
from tapekit_transport_tcp.control import TcpControlTransport, _bind_error
from tapekit_transport_tcp.settings import TransportTcpSettings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from tapekit.hookspecs.transport import ControlStream

RESET = struct.pack("ii", 1, 0)


def transport(*listen: str, **settings: object) -> TcpControlTransport:
    return TcpControlTransport(TransportTcpSettings(listen=listen, **settings))


async def echo(stream: ControlStream) -> None:
    while data := await stream.receive_some():
        await stream.send_all(data)


async def serving(
    nursery: trio.Nursery,
    handler: Callable[[ControlStream], Awaitable[None]],
    *listen: str,
) -> Sequence[Endpoint]:
    endpoints: Sequence[Endpoint] = await nursery.start(transport(*listen).serve, handler)
    return endpoints


async def exchange(endpoint: Endpoint, data: bytes) -> bytes:
    async with await trio.open_tcp_stream(endpoint.host, endpoint.port) as client:
        await client.send_all(data)
        return bytes(await client.receive_some())


async def reset(client: trio.SocketStream) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    await client.aclose()


def open_descriptors() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


def ipv6_loopback() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


async def test_serve_reports_each_address_and_accepts_there() -> None:
    listen = ["127.0.0.1:0", "127.0.0.2:0"]
    async with trio.open_nursery() as nursery:
        endpoints = await serving(nursery, echo, *listen)
        assert [endpoint.host for endpoint in endpoints] == ["127.0.0.1", "127.0.0.2"]
        for endpoint in endpoints:
            assert endpoint.port > 0
            assert await exchange(endpoint, b"hello") == b"hello"
        nursery.cancel_scope.cancel()


@pytest.mark.requirement("R106")
@pytest.mark.skipif(not ipv6_loopback(), reason="this machine has no IPv6 loopback")
async def test_serve_listens_on_ipv6() -> None:
    peers: list[tuple[Endpoint, bool]] = []

    async def note(stream: ControlStream) -> None:
        peers.append((stream.peer, stream.is_private))
        await echo(stream)

    async with trio.open_nursery() as nursery:
        (endpoint,) = await serving(nursery, note, "[::1]:0")
        assert str(endpoint) == f"[::1]:{endpoint.port}"
        assert await exchange(endpoint, b"six") == b"six"
        nursery.cancel_scope.cancel()
    assert [(peer.host, is_private) for peer, is_private in peers] == [("::1", True)]


async def test_a_stream_knows_both_addresses_and_that_loopback_is_private() -> None:
    seen: list[tuple[Endpoint, Endpoint, bool]] = []

    async def note(stream: ControlStream) -> None:
        seen.append((stream.local, stream.peer, stream.is_private))

    async with trio.open_nursery() as nursery:
        (endpoint,) = await serving(nursery, note, "127.0.0.1:0")
        async with await trio.open_tcp_stream(endpoint.host, endpoint.port) as client:
            mine = Endpoint(*client.socket.getsockname())
            assert await client.receive_some() == b""
        nursery.cancel_scope.cancel()
    assert seen == [(endpoint, mine, True)]


async def test_the_end_of_a_client_is_empty_bytes_and_the_stream_closes_twice() -> None:
    ended = trio.Event()

    async def until_end(stream: ControlStream) -> None:
        assert await stream.receive_some() == b""
        await stream.aclose()
        await stream.aclose()
        ended.set()

    async with trio.open_nursery() as nursery:
        (endpoint,) = await serving(nursery, until_end, "127.0.0.1:0")
        client = await trio.open_tcp_stream(endpoint.host, endpoint.port)
        await client.aclose()
        await ended.wait()
        nursery.cancel_scope.cancel()


async def test_a_reset_client_raises_broken_resource() -> None:
    broken = trio.Event()

    async def expect_break(stream: ControlStream) -> None:
        await stream.send_all(b"hello")
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        broken.set()

    async with trio.open_nursery() as nursery:
        (endpoint,) = await serving(nursery, expect_break, "127.0.0.1:0")
        client = await trio.open_tcp_stream(endpoint.host, endpoint.port)
        assert await client.receive_some() == b"hello"
        await reset(client)
        await broken.wait()
        nursery.cancel_scope.cancel()


async def test_a_client_that_left_before_it_was_served_is_noted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "tapekit.transport_tcp")
    async with trio.open_nursery() as nursery:
        (endpoint,) = await serving(nursery, echo, "127.0.0.1:0")
        # Blocking calls leave the server no turn in between.
        gone = socket.create_connection((endpoint.host, endpoint.port))
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        gone.close()
        assert await exchange(endpoint, b"next") == b"next"
        nursery.cancel_scope.cancel()
    assert [record.getMessage() for record in caplog.records if "left" in record.getMessage()]


@pytest.mark.parametrize("grouped", [False, True])
async def test_what_a_handler_raises_ends_its_connection_alone(
    grouped: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail_on_bang(stream: ControlStream) -> None:
        while data := await stream.receive_some():
            if data == b"!":
                error = RuntimeError("out of ideas")
                raise ExceptionGroup("several", [error]) if grouped else error
            await stream.send_all(data)

    async with trio.open_nursery() as nursery:
        (endpoint,) = await serving(nursery, fail_on_bang, "127.0.0.1:0")
        async with await trio.open_tcp_stream(endpoint.host, endpoint.port) as bystander:
            assert await exchange(endpoint, b"!") == b""
            await bystander.send_all(b"still here")
            assert await bystander.receive_some() == b"still here"
        nursery.cancel_scope.cancel()
    (record,) = [one for one in caplog.records if one.name == "tapekit.transport_tcp"]
    assert record.levelno == logging.ERROR
    assert "closed after an error" in record.getMessage()
    assert "out of ideas" in caplog.text


async def test_cancelling_closes_listeners_and_connections() -> None:
    before = open_descriptors()
    async with trio.open_nursery() as nursery:
        (endpoint,) = await serving(nursery, echo, "127.0.0.1:0")
        client = await trio.open_tcp_stream(endpoint.host, endpoint.port)
        await client.send_all(b"x")
        assert await client.receive_some() == b"x"
        nursery.cancel_scope.cancel()
    with trio.CancelScope(shield=True):
        assert await client.receive_some() == b""
        await client.aclose()
    assert open_descriptors() == before


async def test_connections_get_the_options_of_the_settings() -> None:
    options: list[int] = []

    async def note(stream: ControlStream) -> None:
        options.append(stream._stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    async with trio.open_nursery() as nursery:
        (endpoint,) = await serving(nursery, note, "127.0.0.1:0")
        assert await exchange(endpoint, b"x") == b""
        nursery.cancel_scope.cancel()
    assert options == [1]


async def test_an_address_in_use_is_named_and_the_others_are_let_go() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = f"127.0.0.1:{server.getsockname()[1]}"
        before = open_descriptors()
        with pytest.raises(TapekitError, match=taken) as refused:
            await transport("127.0.0.1:0", taken).serve(echo)
        assert open_descriptors() == before
    assert refused.value.id == "transport_tcp.address-in-use"


async def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(TapekitError, match=r"192\.0\.2\.1:10000") as refused:
        await transport("192.0.2.1:10000").serve(echo)
    assert refused.value.id == "transport_tcp.address-not-here"


async def test_a_name_without_address_is_told() -> None:
    with pytest.raises(TapekitError, match=r"nowhere\.invalid:10000") as refused:
        await transport("nowhere.invalid:10000").serve(echo)
    assert refused.value.id == "transport_tcp.host-not-found"


@pytest.mark.parametrize(
    ("number", "row"),
    [
        (errno.EADDRINUSE, "address-in-use"),
        (errno.EACCES, "port-not-permitted"),
        (errno.EPERM, "port-not-permitted"),
        (errno.EADDRNOTAVAIL, "address-not-here"),
        (errno.ENOBUFS, "cannot-listen"),
    ],
)
def test_each_refusal_of_the_system_has_its_row(number: int, row: str) -> None:
    error = _bind_error(Endpoint("127.0.0.1", 1), OSError(number, os.strerror(number)), "x")
    assert error.id == f"transport_tcp.{row}"
    assert "127.0.0.1:1" in str(error)
