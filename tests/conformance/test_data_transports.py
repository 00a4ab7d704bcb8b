"""The connection checks over every kind of data connection, and over
connections with one fault each.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tapekit.segments import Batch, ConnectionBroken, Extent
from tapekit.testing import bytes_of, check_data_transport
from tapekit_transport_tcp.ring import LocalTransport
from tapekit_transport_tcp.settings import TransportTcpSettings
from tapekit_transport_tcp.tcp import TcpTransport

if TYPE_CHECKING:
    from tapekit.hookspecs.transport import DataConnection, DataTransport


def tcp_pair(transport: DataTransport) -> tuple[DataConnection, DataConnection]:
    """Two ends over loopback, the writer on the side that connects."""

    async def connect() -> tuple[DataConnection, DataConnection]:
        listener = await transport.listen("127.0.0.1")
        accepted: list[DataConnection] = []
        connected: list[DataConnection] = []

        async def accept() -> None:
            accepted.append(await listener.accept())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept)
            connected.append(await transport.connect(listener.endpoints[0]))
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
        if name in {"abort", "close", "peer"}:
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


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
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
