"""Peers that connect in time, too late, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
import trio
import trio.testing

from tapekit_ndmp_v4.accepting import accept_peer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.transport import Credentials, DataConnection, Endpoint


class MemoryConnection:
    is_closed = False

    def close(self) -> None:
        self.is_closed = True


class MemoryListener:
    """A peer connects when the test says so, and perhaps with it an abort."""

    endpoints: Sequence[Endpoint] = ()
    credentials = cast("Credentials", None)

    def __init__(self, listening: trio.CancelScope, *, is_aborted: bool) -> None:
        self.peer = MemoryConnection()
        self.connects = trio.Event()
        self.is_closed = False
        self._listening = listening
        self._is_aborted = is_aborted

    async def accept(self) -> DataConnection:
        await self.connects.wait()
        if self._is_aborted:
            self._listening.cancel()
        return cast("DataConnection", self.peer)

    def close(self) -> None:
        self.is_closed = True


class FailingListener(MemoryListener):
    async def accept(self) -> DataConnection:
        raise OSError("no more descriptors")


async def test_a_peer_is_taken_in() -> None:
    listening = trio.CancelScope()
    listener = MemoryListener(listening, is_aborted=False)
    listener.connects.set()
    taken: Any = await accept_peer(listener, listening)
    assert taken is listener.peer
    assert listener.is_closed
    assert not listener.peer.is_closed


async def test_a_peer_that_comes_with_an_abort_is_closed() -> None:
    listening = trio.CancelScope()
    listener = MemoryListener(listening, is_aborted=True)
    listener.connects.set()
    assert await accept_peer(listener, listening) is None
    assert listener.is_closed
    assert listener.peer.is_closed


async def test_an_abort_ends_the_waiting() -> None:
    listening = trio.CancelScope()
    listener = MemoryListener(listening, is_aborted=False)
    listening.cancel()
    assert await accept_peer(listener, listening) is None
    assert listener.is_closed


async def test_a_port_that_takes_no_connections_is_told_and_closed() -> None:
    listening = trio.CancelScope()
    listener = FailingListener(listening, is_aborted=False)
    with pytest.raises(OSError, match="no more descriptors"):
        await accept_peer(listener, listening)
    assert listener.is_closed
