"""Local transfers whose data server has halted while the mover has not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from joint_states import RECORD, join_locally, start
from memory_stack import image, memory_stack
from tapekit.testing import MemoryTape
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4 import mover_server
from tapekit_ndmp_v4.numbers import (
    UNLIMITED,
    DataHaltReason,
    DataState,
    MoverHaltReason,
    MoverMode,
    MoverPauseReason,
    MoverState,
    NdmpError,
    TapeOpenMode,
)
from tapekit_ndmp_v4.wire import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memory_stack import MemoryStack
    from plain_client import PlainClient

HELD: Final = 3 * RECORD
"""What fits on each tape before it warns of its end."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryStack]:
    with memory_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture
def stack(served: MemoryStack) -> MemoryStack:
    """The stack with an empty tape in each drive and nobody at it."""
    served.until_free()
    served.tapes.inserted = [MemoryTape(), MemoryTape(), MemoryTape()]
    return served


def small_tape() -> MemoryTape:
    return MemoryTape(capacity=HELD + RECORD, early_warning=RECORD)


def open_tape(client: PlainClient) -> None:
    client.do(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR))
    client.do(m.MoverSetRecordSizeRequest(len=RECORD))


def paused_at(client: PlainClient, reason: MoverPauseReason, position: int) -> None:
    post = client.post(m.NotifyMoverPausedPost)
    assert (post.reason, post.seek_position) == (reason, position)


def data_has_succeeded(client: PlainClient) -> None:
    assert client.post(m.NotifyDataHaltedPost).reason == DataHaltReason.SUCCESSFUL


def next_tape(stack: MemoryStack, client: PlainClient, position: int) -> MemoryTape:
    """Change tapes as a client does in a pause, and go on."""
    client.do(m.TapeCloseRequest())
    tape = stack.tapes.inserted[0] = small_tape()
    go_on(client, position)
    return tape


def go_on(client: PlainClient, position: int) -> None:
    """Leave a pause on the tape that is in the drive now."""
    open_tape(client)
    client.do(m.MoverSetWindowRequest(offset=position, length=UNLIMITED - position))
    client.do(m.MoverContinueRequest())


def written(*tapes: MemoryTape) -> bytes:
    return b"".join(record for tape in tapes for record in tape.files()[0])


@pytest.mark.parametrize("stops_first", [False, True], ids=["halted", "stopped"])
def test_what_the_data_server_left_behind_reaches_the_next_tapes(
    stack: MemoryStack, *, stops_first: bool
) -> None:
    """The data server halts while the mover waits at the end of the first tape
    and holds the rest of the stream; it may even be back in IDLE.
    """
    length = 2 * HELD + RECORD + 10
    tapes = [small_tape()]
    stack.tapes.inserted[0] = tapes[0]
    with stack.client() as client:
        open_tape(client)
        with stack.closed_gates():
            join_locally(client)
            start(client, length)
            paused_at(client, MoverPauseReason.EOM, HELD)
        data_has_succeeded(client)
        assert client.states() == (DataState.HALTED, MoverState.PAUSED)
        if stops_first:
            client.do(m.DataStopRequest())
        tapes.append(next_tape(stack, client, HELD))
        paused_at(client, MoverPauseReason.EOM, 2 * HELD)
        tapes.append(next_tape(stack, client, 2 * HELD))
        assert client.post(m.NotifyMoverHaltedPost).reason == MoverHaltReason.CONNECT_CLOSED
        assert client.do(m.MoverGetStateRequest()).bytes_moved == 2 * HELD + 2 * RECORD
    assert written(*tapes) == image(length).ljust(2 * HELD + 2 * RECORD, b"\0")


@pytest.mark.parametrize("pauses", [True, False], ids=["paused", "between ranges"])
def test_a_mover_ends_by_itself_after_a_local_restore(
    stack: MemoryStack, monkeypatch: pytest.MonkeyPatch, *, pauses: bool
) -> None:
    """Nobody is left to continue for, and MOVER_CLOSE finds it done."""
    monkeypatch.setattr(mover_server, "_PEER_CHECK_S", 0.01)
    ranges = f"0:{4 * RECORD}" if pauses else f"0:{RECORD}"
    tape = stack.tapes.inserted[0] = MemoryTape()
    tape.items = [image(2 * RECORD)[:RECORD], image(2 * RECORD)[RECORD:], None]
    with stack.client() as client:
        client.do(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.READ))
        client.do(m.MoverSetRecordSizeRequest(len=RECORD))
        join_locally(client, MoverMode.WRITE)
        recover = m.DataStartRecoverRequest(
            env=(Pair("RANGES", ranges),), nlist=(), butype_name="memory"
        )
        client.do(recover)
        if pauses:
            paused_at(client, MoverPauseReason.EOF, 2 * RECORD)
            client.do(m.DataAbortRequest())
            assert client.post(m.NotifyDataHaltedPost).reason == DataHaltReason.ABORTED
        else:
            data_has_succeeded(client)
        assert client.post(m.NotifyMoverHaltedPost).reason == MoverHaltReason.CONNECT_CLOSED
        refused = (0, NdmpError.ILLEGAL_STATE_ERR)
        assert client.errors(m.MoverContinueRequest()) == refused
        client.do(m.MoverCloseRequest())
        client.do(m.MoverStopRequest())
        client.do(m.DataStopRequest())
