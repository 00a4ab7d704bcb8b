"""Private data connections over loopback: who gets in, and what an end means."""

from __future__ import annotations

import datetime as dt
import hashlib
import socket
import ssl
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from tapekit.errors import TapekitError
from tapekit.hookspecs.transport import Endpoint
from tapekit.segments import Batch, ConnectionBroken, Extent
from tapekit_transport_tcp.settings import TransportTcpSettings
from tapekit_transport_tcp.tcp import TcpTransport
from tapekit_transport_tls.data import TlsDataTransport
from tapekit_transport_tls.introductions import introduction_of
from tapekit_transport_tls.settings import TransportTlsSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tapekit.hookspecs.transport import Credentials, DataConnection
    from tapekit.segments import DataSource
    from tapekit_transport_tls.data import TlsDataListener

HOST = "127.0.0.1"
RESET = b"\1\0\0\0\0\0\0\0"


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def transport(**limits: object) -> TlsDataTransport:
    return TlsDataTransport(
        TcpTransport(TransportTcpSettings()), TransportTlsSettings(**limits), now
    )


class Waiting:
    """A listener, and whom it has accepted."""

    def __init__(self, listener: TlsDataListener) -> None:
        self.listener = listener
        self.accepted: list[DataConnection] = []
        self.endpoint: Endpoint = listener.endpoints[0]
        self.credentials: Credentials = listener.credentials

    async def accept(self) -> None:
        self.accepted.append(await self.listener.accept())


@asynccontextmanager
async def waiting(one: TlsDataTransport) -> AsyncIterator[Waiting]:
    """A listener that accepts one peer by the end of the block."""
    waits = Waiting(await one.listen(HOST))
    try:
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(waits.accept)
                yield waits
    finally:
        waits.listener.close()


def read_all(source: DataSource) -> bytes:
    data = b""
    while (batch := source.get()) is not None:
        for piece in batch.pieces:
            assert not isinstance(piece, Extent)
            data += piece
        batch.release()
    return data


def send_all(connection: DataConnection, data: bytes) -> None:
    sink = connection.sink()
    sink.put(Batch.of([memoryview(data)]))
    sink.finish()


async def assert_joined(connected: DataConnection, accepted: DataConnection) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, send_all, connected, b"stream")
        assert await trio.to_thread.run_sync(read_all, accepted.source()) == b"stream"
    connected.close()
    accepted.close()


def close(waits: Waiting, connected: DataConnection) -> None:
    connected.close()
    waits.accepted[0].close()


async def test_the_peer_that_was_told_gets_in_and_the_listening_ends() -> None:
    one = transport()
    async with waiting(one) as waits:
        connected = await one.connect(waits.endpoint, waits.credentials)
    assert (one.kind, waits.accepted[0].peer is None) == ("TCP", False)
    await assert_joined(connected, waits.accepted[0])
    with pytest.raises(TapekitError) as late:
        await one.connect(waits.endpoint, waits.credentials)
    assert late.value.id == "transport_tcp.connect-refused"


async def test_each_connection_has_a_key_and_a_token_of_its_own() -> None:
    one = transport()
    listeners = [await one.listen(HOST) for _ in range(2)]
    first, second = (dict(listener.credentials) for listener in listeners)
    assert first.keys() == second.keys() == {"TAPEKIT_TLS_SHA256", "TAPEKIT_TLS_TOKEN"}
    assert set(first.values()).isdisjoint(second.values())
    for listener in listeners:
        listener.close()


def plain_text(endpoint: Endpoint) -> socket.socket:
    stranger = socket.create_connection((endpoint.host, endpoint.port))
    stranger.sendall(b"USER anonymous\r\n" * 10)
    return stranger


def silence(endpoint: Endpoint) -> socket.socket:
    return socket.create_connection((endpoint.host, endpoint.port))


def hang_up(endpoint: Endpoint) -> socket.socket:
    stranger = socket.create_connection((endpoint.host, endpoint.port))
    stranger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    stranger.close()
    return stranger


@pytest.mark.parametrize("visit", [plain_text, silence, hang_up])
async def test_a_stranger_who_is_first_delays_nobody(
    visit: Callable[[Endpoint], socket.socket],
) -> None:
    one = transport(handshake_timeout_s=600)
    async with waiting(one) as waits:
        strangers = [await trio.to_thread.run_sync(visit, waits.endpoint) for _ in range(3)]
        await trio.testing.wait_all_tasks_blocked()
        connected = await one.connect(waits.endpoint, waits.credentials)
    await assert_joined(connected, waits.accepted[0])
    for stranger in strangers:
        stranger.close()


def with_token(credentials: Credentials, token: str) -> Credentials:
    return tuple({**dict(credentials), "TAPEKIT_TLS_TOKEN": token}.items())


async def test_who_has_another_token_is_turned_away(caplog: pytest.LogCaptureFixture) -> None:
    one = transport()
    async with waiting(one) as waits:
        with pytest.raises(TapekitError) as refused:
            await one.connect(waits.endpoint, with_token(waits.credentials, "5a" * 32))
        assert refused.value.id == "transport_tls.data-peer-without-tls"
        assert waits.accepted == []
        connected = await one.connect(waits.endpoint, waits.credentials)
    assert "it does not have the token" in caplog.text
    await assert_joined(connected, waits.accepted[0])


async def test_a_listener_with_another_certificate_is_shown_no_token(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one = transport()
    async with waiting(one) as waits:
        impostor = await one.listen(HOST)
        with pytest.raises(TapekitError) as refused:
            await one.connect(waits.endpoint, impostor.credentials)
        assert refused.value.id == "transport_tls.data-peer-not-trusted"
        impostor.close()
        connected = await one.connect(waits.endpoint, waits.credentials)
    # It hung up before anything that could have been a token.
    assert "token" not in caplog.text
    close(waits, connected)


@pytest.mark.parametrize(
    ("credentials", "reason"),
    [
        ((), "TAPEKIT_TLS_SHA256 is missing"),
        ((("TAPEKIT_TLS_SHA256", "00" * 32),), "TAPEKIT_TLS_TOKEN is missing"),
        ((("TAPEKIT_TLS_SHA256", "00"), ("TAPEKIT_TLS_TOKEN", "00" * 32)), "1 bytes"),
        ((("TAPEKIT_TLS_SHA256", "zz" * 32),), "non-hexadecimal"),
    ],
)
async def test_nobody_is_connected_to_without_whole_credentials(
    credentials: Credentials, reason: str
) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host=HOST)
    address = listener.socket.getsockname()
    with pytest.raises(TapekitError, match=reason) as refused:
        await transport().connect(Endpoint(*address), credentials)
    assert refused.value.id == "transport_tls.no-data-credentials"
    with trio.move_on_after(0) as nobody:
        await listener.accept()
    assert nobody.cancelled_caught
    await listener.aclose()


async def test_a_listener_that_does_not_speak_tls_is_told(
    autojump_clock: trio.testing.MockClock,
) -> None:
    one = transport(handshake_timeout_s=7)
    listener = await one.listen(HOST)
    credentials = listener.credentials
    listener.close()
    with (
        socket.create_server((HOST, 0)) as server,
        pytest.raises(TapekitError, match="no answer within 7 s"),
    ):
        await one.connect(Endpoint(*server.getsockname()), credentials)


async def test_who_does_not_introduce_itself_in_time_is_turned_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one = transport(handshake_timeout_s=0.05)
    async with waiting(one) as waits:
        with socket.create_connection((waits.endpoint.host, waits.endpoint.port)) as stranger:
            stranger.settimeout(20)
            assert await trio.to_thread.run_sync(stranger.recv, 1) == b""
        connected = await transport().connect(waits.endpoint, waits.credentials)
    assert "did not introduce itself within 0.05 s" in caplog.text
    close(waits, connected)


async def test_strangers_are_heard_in_limited_number(caplog: pytest.LogCaptureFixture) -> None:
    one = transport(handshakes=2)
    async with waiting(one) as waits:
        strangers = [await trio.to_thread.run_sync(silence, waits.endpoint) for _ in range(3)]
        strangers[2].settimeout(20)
        assert await trio.to_thread.run_sync(strangers[2].recv, 1) == b""
        assert "2 others are in their handshake" in caplog.text
        for stranger in strangers:
            stranger.close()
        while True:
            try:
                connected = await one.connect(waits.endpoint, waits.credentials)
            except TapekitError:
                continue
            break
    close(waits, connected)


async def test_closing_a_listener_wakes_accept() -> None:
    listener = await transport().listen(HOST)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_close_when_blocked, listener)
        with pytest.raises(OSError, match="the listener was closed"):
            await listener.accept()


async def _close_when_blocked(listener: TlsDataListener) -> None:
    await trio.testing.wait_all_tasks_blocked()
    listener.close()


def open_descriptors() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


async def test_a_cancelled_listener_leaves_no_descriptor() -> None:
    before = open_descriptors()
    listener = await transport().listen(HOST)
    stranger = silence(listener.endpoints[0])
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.accept)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    listener.close()
    stranger.close()
    assert open_descriptors() == before


async def test_a_stream_that_is_cut_off_below_tls_is_broken() -> None:
    """Somebody on the way can end the TCP connection, but not the stream."""
    one = transport()
    async with waiting(one) as waits, trio.open_nursery() as relay:
        (middle,) = await trio.open_tcp_listeners(0, host=HOST)
        relay.start_soon(_cut_after, middle, waits.endpoint, 200_000)
        at = Endpoint(*middle.socket.getsockname())
        connected = await one.connect(at, waits.credentials)
        while not waits.accepted:
            await trio.lowlevel.checkpoint()
        source = waits.accepted[0].source()

        async def send() -> None:
            with pytest.raises(ConnectionBroken):
                await trio.to_thread.run_sync(send_all, connected, bytes(20_000_000))

        relay.start_soon(send)
        with pytest.raises(ConnectionBroken, match="EOF"):
            await trio.to_thread.run_sync(read_all, source)
        waits.accepted[0].close()
    connected.close()


async def _cut_after(middle: trio.SocketListener, to: Endpoint, limit: int) -> None:
    """Carry bytes both ways, and end both connections after so many."""
    near = await middle.accept()
    await middle.aclose()
    far = await trio.open_tcp_stream(to.host, to.port)
    async with near, far, trio.open_nursery() as nursery:

        async def back() -> None:
            async for data in far:
                await near.send_all(data)

        nursery.start_soon(back)
        carried = 0
        while carried < limit and (data := await near.receive_some()):
            await far.send_all(data)
            carried += len(data)
        await far.send_eof()
        nursery.cancel_scope.cancel()


async def test_only_tls_1_3_is_spoken() -> None:
    one = transport()
    async with waiting(one) as waits:
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        address = (waits.endpoint.host, waits.endpoint.port)

        def shake_hands() -> None:
            with socket.create_connection(address) as plain, old.wrap_socket(plain):
                raise AssertionError("an old version was accepted")

        with pytest.raises(ssl.SSLError):
            await trio.to_thread.run_sync(shake_hands)

        def look() -> tuple[str | None, bytes]:
            old.maximum_version = ssl.TLSVersion.TLSv1_3
            with socket.create_connection(address) as plain, old.wrap_socket(plain) as secure:
                return secure.version(), secure.getpeercert(binary_form=True) or b""

        version, certificate = await trio.to_thread.run_sync(look)
        assert version == "TLSv1.3"
        told = introduction_of(waits.credentials, waits.endpoint).fingerprint
        assert hashlib.sha256(certificate).digest() == told
        connected = await one.connect(waits.endpoint, waits.credentials)
    close(waits, connected)


async def test_nothing_is_paired_inside_the_process() -> None:
    with pytest.raises(TapekitError) as refused:
        transport().pair()
    assert refused.value.id == "transport_tcp.not-inside"
