"""Listening, accepting and connecting of TCP data connections."""

from __future__ import annotations

import errno
import logging
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from tapekit.errors import TapekitError
from tapekit.hookspecs.transport import Endpoint
from tapekit.segments import Batch, Extent
from tapekit_transport_tcp.families import IPV4, IPV6
from tapekit_transport_tcp.settings import TransportTcpSettings
from tapekit_transport_tcp.tcp import TcpTransport

if TYPE_CHECKING:
    from tapekit.hookspecs.transport import DataConnection
    from tapekit_transport_tcp.families import Family
    from tapekit_transport_tcp.tcp import TcpListener

HOST = "127.0.0.1"


def open_descriptors() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


def transport(**settings: object) -> TcpTransport:
    return TcpTransport(TransportTcpSettings(**settings))


async def joined(
    one: TcpTransport, other: TcpTransport | None = None
) -> tuple[DataConnection, DataConnection]:
    listener = await one.listen(HOST)
    accepted: list[DataConnection] = []

    async def accept() -> None:
        accepted.append(await listener.accept())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept)
        connected = await (other or one).connect(listener.endpoints[0])
    return accepted[0], connected


def free_ports(count: int) -> tuple[int, int]:
    """A run of ports that nobody listens on right now."""
    for low in range(20000, 60000, count):
        probes = [socket.socket() for _ in range(count)]
        try:
            for offset, probe in enumerate(probes):
                probe.bind((HOST, low + offset))
        except OSError:
            continue
        else:
            return low, low + count - 1
        finally:
            for probe in probes:
                probe.close()
    pytest.skip("no run of free ports on this machine")


@pytest.mark.requirement("R168")
async def test_two_ends_carry_a_stream_over_tcp() -> None:
    accepted, connected = await joined(transport())
    sink, source = connected.sink(), accepted.source()

    def send() -> None:
        sink.put(Batch.of([memoryview(b"bytes")]))
        sink.finish()

    def receive() -> bytes:
        data = bytearray()
        while (batch := source.get()) is not None:
            for piece in batch.pieces:
                assert not isinstance(piece, Extent)
                data += piece
            batch.release()
        return bytes(data)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, send)
        assert await trio.to_thread.run_sync(receive) == b"bytes"
    accepted.close()
    connected.close()


async def test_both_ends_know_their_peer() -> None:
    accepted, connected = await joined(transport())
    assert accepted.peer is not None
    assert connected.peer is not None
    assert accepted.peer.host == connected.peer.host == HOST
    assert accepted.peer.port != connected.peer.port
    accepted.close()
    connected.close()


async def test_accept_takes_one_connection_and_stops_listening() -> None:
    one = transport()
    listener = await one.listen(HOST)
    (endpoint,) = listener.endpoints
    first = await one.connect(endpoint)
    accepted = await listener.accept()
    with pytest.raises(TapekitError, match=str(endpoint)) as refused:
        await one.connect(endpoint)
    assert refused.value.id == "transport_tcp.connect-refused"
    with pytest.raises(OSError, match="the listener was closed"):
        await listener.accept()
    first.close()
    accepted.close()
    listener.close()


async def test_a_peer_that_left_again_does_not_use_up_the_listener(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "tapekit.transport_tcp")
    one = transport()
    listener = await one.listen(HOST)
    (endpoint,) = listener.endpoints
    # Blocking calls leave the listener no turn in between.
    scanner = socket.create_connection((endpoint.host, endpoint.port))
    scanner.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    scanner.close()
    connected: list[DataConnection] = []

    async def connect() -> None:
        connected.append(await one.connect(endpoint))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(connect)
        accepted = await listener.accept()
    assert [record for record in caplog.records if "left before" in record.getMessage()]
    connected[0].sink().put(Batch.of([memoryview(b"the right one")]))
    batch = await trio.to_thread.run_sync(accepted.source().get)
    assert batch is not None
    assert batch.length == len(b"the right one")
    accepted.close()
    connected[0].close()


async def test_closing_a_listener_wakes_accept() -> None:
    listener = await transport().listen(HOST)

    async def accept() -> None:
        with pytest.raises(OSError, match="the listener was closed") as woken:
            await listener.accept()
        assert woken.value.errno == errno.ECANCELED

    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept)
        await trio.testing.wait_all_tasks_blocked()
        listener.close()
        listener.close()


async def test_listen_uses_the_range_in_turn_and_skips_ports_in_use() -> None:
    low, high = free_ports(3)
    one = transport(data_ports=(low, high))
    with socket.create_server((HOST, low + 1)):
        ports = []
        for _ in range(4):
            listener = await one.listen(HOST)
            ports.append(listener.endpoints[0].port)
            listener.close()
    assert sorted(set(ports)) == [low, high]


async def test_listen_tells_when_the_range_is_used_up() -> None:
    low, high = free_ports(2)
    one = transport(data_ports=(low, high))
    listeners: list[TcpListener] = [await one.listen(HOST), await one.listen(HOST)]
    before = open_descriptors()
    with pytest.raises(TapekitError, match=f"{HOST} from {low} to {high}") as used_up:
        await one.listen(HOST)
    assert used_up.value.id == "transport_tcp.no-free-data-port"
    assert open_descriptors() == before
    for listener in listeners:
        listener.close()


async def test_listen_on_an_address_of_another_machine_is_refused() -> None:
    before = open_descriptors()
    with pytest.raises(TapekitError, match=r"192\.0\.2\.1") as refused:
        await transport().listen("192.0.2.1")
    assert refused.value.id == "transport_tcp.cannot-listen-for-data"
    assert open_descriptors() == before


@pytest.mark.parametrize(
    ("family", "host"),
    [
        *((IPV4, host) for host in ("::1", "localhost", "")),
        *((IPV6, host) for host in ("127.0.0.1", "::ffff:127.0.0.1", "localhost", "")),
    ],
)
async def test_hosts_that_ndmp_cannot_carry_are_refused(family: Family, host: str) -> None:
    one = TcpTransport(TransportTcpSettings(), family)
    with pytest.raises(TapekitError) as listening:
        await one.listen(host)
    with pytest.raises(TapekitError) as connecting:
        await one.connect(Endpoint(host, 10000))
    assert listening.value.id == connecting.value.id == "transport_tcp.not-of-family"


@pytest.mark.requirement("R187")
async def test_data_uses_an_address_with_a_preferred_role_on_both_sides() -> None:
    one = transport(
        interfaces={"data": ["127.0.0.3"], "intercluster": ["127.0.0.2"]},
        preferred_interface_role=["intercluster", "data"],
    )
    accepted, connected = await joined(one)
    assert accepted.peer is not None
    assert connected.peer is not None
    assert accepted.peer.host == connected.peer.host == "127.0.0.2"
    accepted.close()
    connected.close()


@pytest.mark.requirement("R187")
async def test_without_an_address_of_a_preferred_role_there_is_no_connection() -> None:
    before = open_descriptors()
    one = transport(interfaces={"data": ["::1"]}, preferred_interface_role=["data"])
    for attempt in (one.listen(HOST), one.connect(Endpoint(HOST, 10000))):
        with pytest.raises(TapekitError, match=r"preferred role \(data\) has an IPv4") as refused:
            await attempt
        assert refused.value.id == "transport_tcp.no-preferred-address"
    assert open_descriptors() == before


async def test_a_preferred_address_of_another_machine_makes_no_connection() -> None:
    one = transport(interfaces={"data": ["192.0.2.1"]}, preferred_interface_role=["data"])
    before = open_descriptors()
    with pytest.raises(TapekitError, match=r"127\.0\.0\.1:9") as refused:
        await one.connect(Endpoint(HOST, 9))
    assert refused.value.id == "transport_tcp.connect-refused"
    assert open_descriptors() == before


async def test_a_writer_learns_that_its_reader_has_left() -> None:
    reader, writer = await joined(transport())
    assert not writer.has_peer_left()
    writer.sink().put(Batch.of([memoryview(b"bytes")]))
    assert not writer.has_peer_left()
    reader.source()
    reader.close()
    with trio.fail_after(60):
        while not writer.has_peer_left():
            await trio.lowlevel.checkpoint()
    writer.close()
    assert writer.has_peer_left()


@pytest.mark.parametrize("port", [0, 65536])
async def test_connect_to_a_port_that_cannot_be_is_refused(port: int) -> None:
    before = open_descriptors()
    with pytest.raises(TapekitError) as refused:
        await transport().connect(Endpoint(HOST, port))
    assert refused.value.id == "transport_tcp.connect-refused"
    assert open_descriptors() == before


async def test_connect_gives_up_after_its_limit() -> None:
    # A full queue makes Linux drop the next SYN, which is what a silent host looks like.
    with socket.socket() as full:
        full.bind((HOST, 0))
        full.listen(0)
        endpoint = Endpoint(*full.getsockname())
        waiting = [socket.socket() for _ in range(2)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex((endpoint.host, endpoint.port))
        before = open_descriptors()
        with pytest.raises(TapekitError, match=r"within 0\.05 seconds") as silent:
            await transport(connect_timeout_s=0.05).connect(endpoint)
        assert silent.value.id == "transport_tcp.connect-timed-out"
        assert open_descriptors() == before
        for client in waiting:
            client.close()


async def test_a_cancelled_connect_or_accept_leaves_no_descriptor() -> None:
    one = transport()
    listener = await one.listen(HOST)
    before = open_descriptors()
    with trio.CancelScope() as scope:
        scope.cancel()
        await listener.accept()
    with trio.CancelScope() as scope:
        scope.cancel()
        await one.connect(listener.endpoints[0])
    assert open_descriptors() == before
    listener.close()


async def test_ends_and_listeners_leave_no_descriptor() -> None:
    before = open_descriptors()
    accepted, connected = await joined(transport())
    accepted.abort()
    connected.close()
    assert open_descriptors() == before


def test_tcp_has_no_pair_inside_the_process() -> None:
    one = transport()
    assert one.kind == "TCP"
    with pytest.raises(TapekitError) as refused:
        one.pair()
    assert refused.value.id == "transport_tcp.not-inside"
