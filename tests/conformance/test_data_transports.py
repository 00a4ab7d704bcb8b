"""The connection checks over every kind of data connection, and over
connections with one fault each.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tapekit.segments import Batch, ConnectionBroken, Extent
from tapekit.testing import bytes_of, check_data_transport
from tapekit_transport_tcp.families import IPV6
from tapekit_transport_tcp.ring import LocalTransport
from tapekit_transport_tcp.settings import TransportTcpSettings
from tapekit_transport_tcp.tcp import TcpTransport
from tapekit_transport_tls.data import TlsDataTransport
from tapekit_transport_tls.settings import TransportTlsSettings

if TYPE_CHECKING:
    from tapekit.hookspecs.transport import DataConnection, DataTransport


def tcp_pair(
    transport: DataTransport, host: str = "127.0.0.1"
) -> tuple[DataConnection, DataConnection]:
    """Two ends over loopback, the writer on the side that connects."""

    async def connect() -> tuple[DataConnection, DataConnection]:
        listener = await transport.listen(host)
        accepted: list[DataConnection] = []
        connected: list[DataConnection] = []

        async def accept() -> None:
            accepted.append(await listener.accept())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept)
            connected.append(await transport.connect(listener.endpoints[0], listener.credentials))
        return connected[0], accepted[0]

    return trio.run(connect)


@pytest.mark.parametrize("buffers", [2, 8])
def test_local_connections_keep_the_contract(buffers: int) -> None:
    check_data_transport(LocalTransport(buffers).pair)


@pytest.mark.parametrize("send_extents", ["copy", "sendfile"])
def test_tcp_connections_keep_the_contract(send_extents: Any) -> None:
    transport = TcpTransport(TransportTcpSettings(send_extents=send_extents))
    check_data_transport(lambda: tcp_pair(transport))


def test_tcp_connections_keep_the_contract_in_both_directions() -> None:
    def backwards() -> tuple[DataConnection, DataConnection]:
        connected, accepted = tcp_pair(transport)
        return accepted, connected

    transport = TcpTransport(TransportTcpSettings())
    check_data_transport(backwards)


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.parametrize("backwards", [False, True], ids=["connecting side", "listening side"])
def test_private_connections_keep_the_contract(*, backwards: bool) -> None:
    def pair() -> tuple[DataConnection, DataConnection]:
        connected, accepted = tcp_pair(transport)
        return (accepted, connected) if backwards else (connected, accepted)

    # Files sent inside the kernel would not be encrypted.
    below = TcpTransport(TransportTcpSettings(send_extents="sendfile"))
    transport = TlsDataTransport(below, TransportTlsSettings(), lambda: dt.datetime.now(dt.UTC))
    check_data_transport(pair)


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
def test_tcp_connections_over_ipv6_keep_the_contract() -> None:
    transport = TcpTransport(TransportTcpSettings(), IPV6)
    check_data_transport(lambda: tcp_pair(transport, "::1"))


class OneFault:
    """A right connection; the subclasses do one thing wrong."""

    def __init__(self, connection: DataConnection) -> None:
        self._connection = connection
        self._end: Any = None

    def sink(self) -> Any:
        self._end = self._connection.sink()
        return self

    def source(self) -> Any:
        self._end = self._connection.source()
        return self

    def __getattr__(self, name: str) -> Any:
        if name in {"abort", "close", "has_peer_left", "peer"}:
            return getattr(self._connection, name)
        return getattr(self._end, name)


class ShortFilesAreShort(OneFault):
    def put(self, batch: Batch) -> None:
        pieces = [
            memoryview(bytes_of([piece]).rstrip(b"\0")) if isinstance(piece, Extent) else piece
            for piece in batch.pieces
        ]
        self._end.put(Batch.of(pieces, batch.release))


class ReleasesNothing(OneFault):
    def put(self, batch: Batch) -> None:
        self._end.put(Batch(batch.pieces, batch.length))


class ReleasesBeforeUse(OneFault):
    def put(self, batch: Batch) -> None:
        batch.release()
        self._end.put(batch)


class CloseLooksLikeTheEnd(OneFault):
    def close(self) -> None:
        if self._end is not None and hasattr(self._end, "finish"):
            with contextlib.suppress(ConnectionBroken):
                self._end.finish()
        self._connection.close()


class AbortIsSilent(OneFault):
    def abort(self) -> None:
        """Nobody is woken."""

    def close(self) -> None:
        self._connection.abort()


class LeavesUnseen(OneFault):
    def has_peer_left(self) -> bool:
        return False


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (LeavesUnseen, "has_peer_left after the reader closed"),
        (ShortFilesAreShort, "extents"),
        (ReleasesNothing, "released once drained"),
        (ReleasesBeforeUse, "bytes"),
        (CloseLooksLikeTheEnd, "closed early"),
        (AbortIsSilent, "abort"),
    ],
)
def test_a_fault_is_found_and_told(wrong: type[OneFault], words: str) -> None:
    def pair() -> tuple[Any, Any]:
        writer, reader = LocalTransport(4).pair()
        return wrong(writer), wrong(reader)

    with pytest.raises(AssertionError, match=words):
        check_data_transport(pair, patience_s=0.5)
