"""Transport: control connections in trio, data connections for threads.

A control transport accepts connections and hands each to the protocol. A
data transport makes one kind of data connection; its ends are blocking,
since they live in worker threads, and aborting an end wakes the thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

import msgspec

from tapekit.hookspecs._markers import hookspec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import trio

    from tapekit.segments import DataSink, DataSource

__all__ = [
    "ControlStream",
    "ControlTransport",
    "Credentials",
    "DataConnection",
    "DataListener",
    "DataTransport",
    "Endpoint",
    "tapekit_register_control_transports",
    "tapekit_register_data_transports",
]


Credentials: TypeAlias = "Sequence[tuple[str, str]]"
"""Names and values that go with an address (NDMP v4, addr_env)."""


class Endpoint(msgspec.Struct, frozen=True):
    """An address: numeric host and port."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class ControlStream(Protocol):
    """One control connection."""

    @property
    def local(self) -> Endpoint:
        """Our address on this connection."""
        ...

    @property
    def peer(self) -> Endpoint:
        """The client's address."""
        ...

    @property
    def is_private(self) -> bool:
        """Whether the bytes cannot be read on the way (loopback, TLS)."""
        ...

    @property
    def svms(self) -> frozenset[str]:
        """The storage virtual machines to which the connection leads; empty
        means all.
        """
        ...

    async def receive_some(self) -> bytes:
        """Bytes as they come; empty at the end.

        :raises trio.BrokenResourceError: the connection broke.
        """
        ...

    async def send_all(self, data: bytes) -> None:
        """Send everything; one task at a time.

        :raises trio.BrokenResourceError: the connection broke.
        """
        ...

    async def aclose(self) -> None:
        """Close, forcefully if need be."""
        ...


class ControlTransport(Protocol):
    """Listeners for control connections."""

    @property
    def name(self) -> str:
        """Name in listings and logs, such as ``tcp``."""
        ...

    async def serve(
        self,
        handler: Callable[[ControlStream], Awaitable[None]],
        task_status: trio.TaskStatus[Sequence[Endpoint]],
    ) -> None:
        """Accept connections until cancelled, each handled in a task.

        ``task_status.started`` gets the addresses once all listen. An error
        in one handler must not reach another connection.

        :raises TapekitError: an address cannot be bound.
        """
        ...


class DataConnection(Protocol):
    """An open data connection; use one of its ends from one thread."""

    @property
    def peer(self) -> Endpoint | None:
        """The other side, or ``None`` for a connection inside the process."""
        ...

    def sink(self) -> DataSink:
        """The writing end."""
        ...

    def source(self) -> DataSource:
        """The reading end."""
        ...

    def has_peer_left(self) -> bool:
        """Whether the other side, which only reads, has gone.

        For a writer with nothing to write, who would hear of it nowhere
        else. Never waits; callable from any thread.
        """
        ...

    def abort(self) -> None:
        """Break the connection at once and wake whoever blocks on it.

        Callable from any thread, any number of times, also after the end.
        """
        ...

    def close(self) -> None:
        """Free the connection after its end was used up; like abort otherwise."""
        ...


class DataListener(Protocol):
    """A data connection that waits for its other side."""

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """Where the peer may connect, best first."""
        ...

    @property
    def credentials(self) -> Credentials:
        """What the peer must bring besides the address; empty if whoever
        connects first is the peer. They serve for this one connection.
        """
        ...

    async def accept(self) -> DataConnection:
        """Wait for the one peer, then stop listening.

        Who comes without the credentials is turned away and keeps nobody
        waiting.

        :raises OSError: listening broke.
        """
        ...

    def close(self) -> None:
        """Stop listening."""
        ...


class DataTransport(Protocol):
    """One kind of data connection."""

    @property
    def kind(self) -> str:
        """``LOCAL``, ``TCP`` or ``TCP_IPV6``, the stem of NDMP's address type."""
        ...

    def pair(self) -> tuple[DataConnection, DataConnection]:
        """Two joined ends inside the process (kind ``LOCAL`` only).

        :raises TapekitError: this kind needs an address.
        """
        ...

    async def listen(self, host: str) -> DataListener:
        """Listen on a port of ``host``, the server's address on the control
        connection, or of another address that the settings prefer.

        :raises TapekitError: the address cannot be bound or the kind has none.
        """
        ...

    async def connect(self, endpoint: Endpoint, credentials: Credentials = ()) -> DataConnection:
        """Connect within the transport's time limit.

        :param credentials: what came with the address. A kind that knows
            none passes over them; one that needs them refuses to go without.
        :raises TapekitError: nobody answered, the kind has no addresses, or
            the peer is not the one that the credentials are of.
        """
        ...


@hookspec
def tapekit_register_control_transports() -> Sequence[ControlTransport]:
    """Offer listeners for control connections.

    Called once, before anything runs. All results are joined; a name that
    is offered twice stops the start with ``core.duplicate-name``.
    """
    ...


@hookspec
def tapekit_register_data_transports() -> Sequence[DataTransport]:
    """Offer kinds of data connections.

    Called once, before anything runs. All results are joined; a kind that
    is offered twice stops the start with ``core.duplicate-name``.
    """
    ...
