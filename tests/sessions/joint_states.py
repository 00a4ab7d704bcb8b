"""How a session gets into each pair of states, by messages that a client may send.

A pair that no recipe leads to cannot be reached; the search at the end walks
the tables of the two machines and says which pairs those are.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from memory_stack import image
from plain_client import listening
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.data_state import TRANSITIONS as DATA
from tapekit_ndmp_v4.data_state import DataEvent
from tapekit_ndmp_v4.joint_state import JOINT
from tapekit_ndmp_v4.mover_state import TRANSITIONS as MOVER
from tapekit_ndmp_v4.mover_state import MoverEvent
from tapekit_ndmp_v4.numbers import AddrType, DataState, MoverMode, MoverState, TapeOpenMode
from tapekit_ndmp_v4.wire import Pair

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from memory_stack import MemoryStack
    from plain_client import PlainClient

D, M = DataState, MoverState
Joint = tuple[DataState, MoverState]

RECORD: Final = 1024
NEW_DATA: Final = frozenset({DataEvent.LISTEN, DataEvent.CONNECT})
NEW_MOVER: Final = frozenset({MoverEvent.LISTEN, MoverEvent.CONNECT})


@contextmanager
def session_in(stack: MemoryStack, joint: Joint) -> Iterator[PlainClient]:
    """A session in a pair of states, with a tape open for writing.

    Engines come to a closed gate, so nothing moves by itself inside the block.
    """
    stack.until_free()
    with stack.closed_gates(), stack.client() as client:
        client.do(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR))
        client.do(m.MoverSetRecordSizeRequest(len=RECORD))
        with RECIPES[joint](stack, client):
            client.until(*joint)
            yield client


def start(client: PlainClient, length: int) -> None:
    pairs = (Pair("BYTES", str(length)),)
    client.do(m.DataStartBackupRequest(butype_name="memory", env=pairs))


def join_locally(client: PlainClient, mode: MoverMode = MoverMode.READ) -> None:
    client.do(m.MoverListenRequest(mode=mode, addr_type=AddrType.LOCAL))
    client.do(m.DataConnectRequest(addr=m.LocalAddr()))


@contextmanager
def peer_of_mover(client: PlainClient) -> Iterator[socket.socket]:
    """A program that sends to the mover."""
    import socket

    listen = m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.TCP)
    port = client.do(listen).connect_addr.tcp_addr[0].port
    with socket.create_connection(("127.0.0.1", port)) as peer:
        yield peer


@contextmanager
def both_idle(_stack: MemoryStack, _client: PlainClient) -> Iterator[None]:
    yield


@contextmanager
def data_listens(_stack: MemoryStack, client: PlainClient) -> Iterator[None]:
    client.do(m.DataListenRequest(addr_type=AddrType.LOCAL))
    yield


@contextmanager
def data_connected(_stack: MemoryStack, client: PlainClient) -> Iterator[None]:
    with listening() as (address, _):
        client.do(m.DataConnectRequest(addr=address))
        yield


@contextmanager
def data_active(stack: MemoryStack, client: PlainClient) -> Iterator[None]:
    with data_connected(stack, client):
        start(client, 0)
        yield


@contextmanager
def data_halted(stack: MemoryStack, client: PlainClient) -> Iterator[None]:
    with data_active(stack, client):
        client.do(m.DataAbortRequest())
        yield


@contextmanager
def mover_listens(_stack: MemoryStack, client: PlainClient) -> Iterator[None]:
    client.do(m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.TCP))
    yield


@contextmanager
def mover_active(_stack: MemoryStack, client: PlainClient) -> Iterator[None]:
    with peer_of_mover(client):
        yield


@contextmanager
def mover_paused(_stack: MemoryStack, client: PlainClient) -> Iterator[None]:
    client.do(m.MoverSetWindowRequest(offset=0, length=0))
    with peer_of_mover(client) as peer:
        peer.sendall(image(RECORD))
        client.post(m.NotifyMoverPausedPost)
        yield


@contextmanager
def mover_halted(_stack: MemoryStack, client: PlainClient) -> Iterator[None]:
    client.do(m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.LOCAL))
    client.do(m.MoverAbortRequest())
    yield


@contextmanager
def joined(_stack: MemoryStack, client: PlainClient) -> Iterator[None]:
    join_locally(client)
    yield


@contextmanager
def both_active(stack: MemoryStack, client: PlainClient) -> Iterator[None]:
    with joined(stack, client):
        start(client, 0)
        yield


@contextmanager
def active_and_paused(stack: MemoryStack, client: PlainClient) -> Iterator[None]:
    client.do(m.MoverSetWindowRequest(offset=0, length=0))
    with joined(stack, client):
        start(client, RECORD)
        client.post(m.NotifyMoverPausedPost)
        yield


@contextmanager
def active_and_halted(stack: MemoryStack, client: PlainClient) -> Iterator[None]:
    with both_active(stack, client):
        client.do(m.MoverAbortRequest())
        yield


@contextmanager
def halted_and_active(stack: MemoryStack, client: PlainClient) -> Iterator[None]:
    """The drive is so slow that the mover does not hear of the abort."""
    stack.tapes.gate.clear()
    with joined(stack, client):
        start(client, RECORD)
        while not client.do(m.DataGetStateRequest()).bytes_processed:
            pass
        stack.tapes.waiting.wait()
        client.do(m.DataAbortRequest())
        yield


@contextmanager
def halted_and_paused(stack: MemoryStack, client: PlainClient) -> Iterator[None]:
    with active_and_paused(stack, client):
        client.do(m.DataAbortRequest())
        yield


@contextmanager
def both_halted(stack: MemoryStack, client: PlainClient) -> Iterator[None]:
    with both_active(stack, client):
        client.do(m.DataAbortRequest())
        client.post(m.NotifyMoverHaltedPost)
        yield


RECIPES: Final[dict[Joint, Callable[[MemoryStack, PlainClient], object]]] = {
    (D.IDLE,      M.IDLE):   both_idle,
    (D.LISTEN,    M.IDLE):   data_listens,
    (D.CONNECTED, M.IDLE):   data_connected,
    (D.ACTIVE,    M.IDLE):   data_active,
    (D.HALTED,    M.IDLE):   data_halted,
    (D.IDLE,      M.LISTEN): mover_listens,
    (D.IDLE,      M.ACTIVE): mover_active,
    (D.IDLE,      M.PAUSED): mover_paused,
    (D.IDLE,      M.HALTED): mover_halted,
    (D.CONNECTED, M.ACTIVE): joined,
    (D.ACTIVE,    M.ACTIVE): both_active,
    (D.ACTIVE,    M.PAUSED): active_and_paused,
    (D.ACTIVE,    M.HALTED): active_and_halted,
    (D.HALTED,    M.ACTIVE): halted_and_active,
    (D.HALTED,    M.PAUSED): halted_and_paused,
    (D.HALTED,    M.HALTED): both_halted,
}  # fmt: skip


def reachable() -> set[Joint]:
    """All pairs that any events could lead to, by the tables.

    A machine leaves IDLE only while the other is IDLE or, LOCALly, waits for
    it in LISTEN; a peer from outside can come to any listener.
    """
    seen: set[Joint] = set()
    waiting: list[Joint] = [(D.IDLE, M.IDLE)]
    while waiting:
        joint = waiting.pop()
        if joint not in seen:
            seen.add(joint)
            waiting += _next(*joint)
    return seen


def _next(data: DataState, mover: MoverState) -> Iterator[Joint]:
    for event, state in DATA[data].items():
        if event in NEW_DATA and not (
            mover is M.IDLE or (event is DataEvent.CONNECT and mover is M.LISTEN)
        ):
            continue
        # Without its mover a data server at the end of a local connection has
        # nothing to do, and no request starts it.
        if event is DataEvent.START and mover not in {M.IDLE, M.ACTIVE}:
            continue
        yield _settled(state, mover)
    for mover_event, mover_state in MOVER[mover].items():
        if mover_event in NEW_MOVER and not (
            data is D.IDLE or (mover_event is MoverEvent.CONNECT and data is D.LISTEN)
        ):
            continue
        # A mover that is joined locally has nothing to pause for before the
        # data server works.
        if mover_event is MoverEvent.PAUSE and data is D.CONNECTED:
            continue
        yield _settled(data, mover_state)


def _settled(data: DataState, mover: MoverState) -> Joint:
    match JOINT.get((data, mover)):
        case DataEvent() as event:
            return DATA[data][event], mover
        case MoverEvent() as mover_event:
            return data, MOVER[mover][mover_event]
    return data, mover
