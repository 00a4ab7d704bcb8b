"""Every reason for which a mover pauses, what cures it, and what ends it."""

from __future__ import annotations

import socket
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from joint_states import join_locally, start
from memory_stack import image, memory_stack
from plain_client import listening
from tapekit.hookspecs.tape_driver import Condition
from tapekit.testing import MemoryTape
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.numbers import (
    UNLIMITED,
    AddrType,
    DataHaltReason,
    DataState,
    MoverHaltReason,
    MoverMode,
    MoverPauseReason,
    MoverState,
    MtioOp,
    NdmpError,
    TapeOpenMode,
)
from tapekit_ndmp_v4.wire import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memory_stack import MemoryStack
    from plain_client import PlainClient

RECORD: Final = 1024


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryStack]:
    with memory_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture
def stack(served: MemoryStack) -> Iterator[MemoryStack]:
    """The stack with an empty tape in each drive and nobody at it."""
    served.until_free()
    served.tapes.inserted = [MemoryTape(), MemoryTape(), MemoryTape()]
    yield served
    served.tapes.failures.clear()


def open_tape(client: PlainClient, mode: TapeOpenMode = TapeOpenMode.RDWR) -> None:
    client.do(m.TapeOpenRequest(device="nrst0a", mode=mode))
    client.do(m.MoverSetRecordSizeRequest(len=RECORD))


CAUSE = "The drive in memory has no tape"
"""What a drive of these tests says, whatever is the matter with it."""


def set_window(client: PlainClient, offset: int, length: int = UNLIMITED) -> None:
    client.do(m.MoverSetWindowRequest(offset=offset, length=length))


def paused(client: PlainClient, reason: MoverPauseReason, position: int) -> None:
    """The post and the state say that the mover has paused, and where."""
    post = client.post(m.NotifyMoverPausedPost)
    assert (post.reason, post.seek_position) == (reason, position)
    state = client.do(m.MoverGetStateRequest())
    assert (state.state, state.pause_reason, state.halt_reason) == (MoverState.PAUSED, reason, 0)


def halted(client: PlainClient, mover: MoverHaltReason, data: DataHaltReason) -> None:
    """Both posts and both states say why the servers have halted."""
    assert client.post(m.NotifyMoverHaltedPost).reason == mover
    assert client.post(m.NotifyDataHaltedPost).reason == data
    state = client.do(m.MoverGetStateRequest())
    assert (state.state, state.pause_reason, state.halt_reason) == (MoverState.HALTED, 0, mover)
    assert client.do(m.DataGetStateRequest()).halt_reason == data
    client.do(m.DataStopRequest())
    client.do(m.MoverStopRequest())
    idle = client.do(m.MoverGetStateRequest())
    assert (idle.state, idle.halt_reason, idle.bytes_moved) == (MoverState.IDLE, 0, 0)


def written(tape: MemoryTape | None) -> bytes:
    assert tape is not None
    return b"".join(tape.files()[0])


def tape_with(length: int, *, offset: int = 0) -> MemoryTape:
    """A tape with a part of the image in whole records, and a filemark."""
    tape = MemoryTape()
    data = image(offset + length)[offset:]
    tape.items = [data[at : at + RECORD] for at in range(0, length, RECORD)]
    tape.items.append(None)
    return tape


# To tape.


def test_a_full_tape_pauses_with_eom_and_goes_on_with_the_record_kept(stack: MemoryStack) -> None:
    first = stack.tapes.inserted[0] = MemoryTape(capacity=4 * RECORD, early_warning=RECORD)
    with stack.client() as client:
        open_tape(client)
        join_locally(client)
        start(client, 5 * RECORD + 10)
        paused(client, MoverPauseReason.EOM, 3 * RECORD)
        state = client.do(m.MoverGetStateRequest())
        assert (state.bytes_moved, state.record_num) == (3 * RECORD, 3)
        client.do(m.TapeCloseRequest())
        assert client.errors(m.MoverContinueRequest()) == (0, NdmpError.DEV_NOT_OPEN_ERR)
        second = stack.tapes.inserted[0] = MemoryTape()
        open_tape(client, TapeOpenMode.READ)
        assert client.errors(m.MoverContinueRequest()) == (0, NdmpError.PERMISSION_ERR)
        client.do(m.TapeCloseRequest())
        open_tape(client)
        set_window(client, 3 * RECORD, UNLIMITED - 3 * RECORD)
        client.do(m.MoverContinueRequest())
        halted(client, MoverHaltReason.CONNECT_CLOSED, DataHaltReason.SUCCESSFUL)
    assert written(first) + written(second) == image(5 * RECORD + 10).ljust(6 * RECORD, b"\0")


def test_a_tape_continued_behind_its_warning_is_filled_to_its_end(stack: MemoryStack) -> None:
    """Who continues on the same tape gets what is left of it."""
    tape = stack.tapes.inserted[0] = MemoryTape(capacity=4 * RECORD, early_warning=2 * RECORD)
    with stack.client() as client:
        open_tape(client)
        join_locally(client)
        start(client, 4 * RECORD)
        paused(client, MoverPauseReason.EOM, 2 * RECORD)
        client.do(m.MoverContinueRequest())
        halted(client, MoverHaltReason.CONNECT_CLOSED, DataHaltReason.SUCCESSFUL)
    assert written(tape) == image(4 * RECORD)


def test_a_full_window_pauses_with_eow_and_filemarks_may_be_written(stack: MemoryStack) -> None:
    with stack.client() as client:
        open_tape(client)
        set_window(client, 0, 2 * RECORD)
        join_locally(client)
        start(client, 5 * RECORD)
        paused(client, MoverPauseReason.EOW, 2 * RECORD)
        client.do(m.TapeMtioRequest(tape_op=MtioOp.EOF, count=1))
        set_window(client, 2 * RECORD, RECORD)
        client.do(m.MoverContinueRequest())
        paused(client, MoverPauseReason.EOW, 3 * RECORD)
        client.do(m.TapeMtioRequest(tape_op=MtioOp.EOF, count=1))
        set_window(client, 3 * RECORD)
        client.do(m.MoverContinueRequest())
        halted(client, MoverHaltReason.CONNECT_CLOSED, DataHaltReason.SUCCESSFUL)
    tape = stack.tapes.inserted[0]
    assert tape is not None
    assert [len(file) for file in tape.files()] == [2, 1, 2]
    assert b"".join(record for file in tape.files() for record in file) == image(5 * RECORD)


def test_a_paused_transfer_keeps_its_record_size(stack: MemoryStack) -> None:
    """Else a state would be told that is none, and windows cut where no record ends."""
    with stack.client() as client:
        open_tape(client)
        set_window(client, 0, RECORD)
        join_locally(client)
        start(client, 3 * RECORD)
        paused(client, MoverPauseReason.EOW, RECORD)
        other = m.MoverSetRecordSizeRequest(len=RECORD // 2)
        assert client.errors(other) == (0, NdmpError.ILLEGAL_STATE_ERR)
        client.do(m.MoverSetRecordSizeRequest(len=RECORD))
        assert client.do(m.MoverGetStateRequest()).record_size == RECORD
        set_window(client, RECORD)
        client.do(m.MoverContinueRequest())
        halted(client, MoverHaltReason.CONNECT_CLOSED, DataHaltReason.SUCCESSFUL)
    assert written(stack.tapes.inserted[0]) == image(3 * RECORD)


def test_a_backup_has_no_more_variables_than_can_be_told_at_its_end(stack: MemoryStack) -> None:
    environment = (Pair("BYTES", "0"), *(Pair(f"X{number}", "") for number in range(4000)))
    with stack.client() as client:
        open_tape(client)
        join_locally(client)
        too_many = m.DataStartBackupRequest(butype_name="memory", env=environment)
        assert client.errors(too_many) == (0, NdmpError.ILLEGAL_ARGS_ERR)
        client.do(m.DataStartBackupRequest(butype_name="memory", env=environment[:4000]))
        assert client.post(m.NotifyDataHaltedPost).reason == DataHaltReason.SUCCESSFUL
        assert len(client.do(m.DataGetEnvRequest()).env) > 4000


def test_an_aborted_stream_leaves_the_pause_to_the_client(stack: MemoryStack) -> None:
    """What was aborted cannot go on, but only the client ends a pause."""
    with stack.client() as client, stack.closed_gates():
        stack.tapes.gate.set()
        open_tape(client)
        set_window(client, 0, RECORD)
        join_locally(client)
        start(client, 3 * RECORD)
        paused(client, MoverPauseReason.EOW, RECORD)
        client.do(m.DataAbortRequest())
        assert client.states() == (DataState.HALTED, MoverState.PAUSED)
        stack.open_gates()
        client.do(m.MoverContinueRequest())
        client.until(DataState.HALTED, MoverState.HALTED)
        state = client.do(m.MoverGetStateRequest())
        assert (state.halt_reason, state.bytes_moved) == (MoverHaltReason.CONNECT_ERROR, RECORD)
        client.do(m.DataStopRequest())
        client.do(m.MoverStopRequest())


def test_an_empty_window_pauses_before_anything_is_written(stack: MemoryStack) -> None:
    with stack.client() as client:
        open_tape(client)
        set_window(client, 0, 0)
        join_locally(client)
        start(client, RECORD)
        paused(client, MoverPauseReason.EOW, 0)
        assert client.do(m.MoverGetStateRequest()).bytes_moved == 0
        client.do(m.MoverCloseRequest())
        assert client.post(m.NotifyMoverHaltedPost).reason == MoverHaltReason.CONNECT_CLOSED
    assert written(stack.tapes.inserted[0]) == b""


def test_no_data_at_all_halts_without_a_pause(stack: MemoryStack) -> None:
    with stack.client() as client:
        open_tape(client)
        set_window(client, 0, 0)
        join_locally(client)
        start(client, 0)
        halted(client, MoverHaltReason.CONNECT_CLOSED, DataHaltReason.SUCCESSFUL)
    assert written(stack.tapes.inserted[0]) == b""


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (Condition.MEDIUM_ERROR, "Media error on tape write"),
        (Condition.RESERVED, "Tape reservation preempted"),
        (Condition.HARDWARE_ERROR, "Media error on tape write"),
    ],
    ids=lambda value: value.name if isinstance(value, Condition) else "",
)
def test_a_tape_that_cannot_be_written_halts_both(
    stack: MemoryStack, condition: Condition, text: str
) -> None:
    stack.tapes.failures["write_records"] = condition
    with stack.client() as client, stack.closed_gates():
        stack.tapes.gate.set()
        open_tape(client)
        join_locally(client)
        start(client, 3 * RECORD)
        assert client.post(m.LogMessagePost).entry.startswith(f"{CAUSE} [")
        if condition is not Condition.RESERVED:
            first_record = client.post(m.LogMessagePost).entry
            assert first_record.startswith("Could not initialize media [")
        assert client.post(m.LogMessagePost).entry.startswith(f"{text} [")
        assert client.post(m.NotifyMoverHaltedPost).reason == MoverHaltReason.MEDIA_ERROR
        stack.open_gates()
        assert client.post(m.NotifyDataHaltedPost).reason == DataHaltReason.CONNECT_ERROR
        assert client.states() == (DataState.HALTED, MoverState.HALTED)


@pytest.mark.requirement("R329")
def test_a_backup_says_what_the_system_says_of_its_connection(stack: MemoryStack) -> None:
    with stack.client() as client, listening() as (address, server):
        client.do(m.DataConnectRequest(addr=address))
        peer, _ = server.accept()
        # More than the kernel takes for a peer that reads nothing.
        start(client, 32 << 20)
        break_off(peer)
        told = client.post(m.LogMessagePost).entry
        assert told.startswith("Message from Write Dirnet: ")
        assert any(text in told for text in ("Connection reset by peer", "Broken pipe"))
        assert client.post(m.LogMessagePost).entry.startswith("Network communication error")
        assert client.post(m.NotifyDataHaltedPost).reason == DataHaltReason.CONNECT_ERROR


@pytest.mark.requirement("R328")
def test_a_restore_says_what_the_system_says_of_its_connection(stack: MemoryStack) -> None:
    with stack.client() as client, listening() as (address, server):
        client.do(m.DataConnectRequest(addr=address))
        peer, _ = server.accept()
        client.do(m.DataStartRecoverRequest(env=(), nlist=(), butype_name="memory"))
        client.post(m.NotifyDataReadPost)
        break_off(peer)
        told = client.post(m.LogMessagePost).entry
        assert told.startswith("Message from Read Socket: Connection reset by peer")
        assert client.post(m.LogMessagePost).entry.startswith("Network communication error")
        assert client.post(m.NotifyDataHaltedPost).reason == DataHaltReason.CONNECT_ERROR


def break_off(peer: socket.socket) -> None:
    """Close a connection so that the other side sees a failure, not an end."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


# From tape.


@contextmanager
def reader(client: PlainClient) -> Iterator[socket.socket]:
    """A program that a mover sends to."""
    listen = m.MoverListenRequest(mode=MoverMode.WRITE, addr_type=AddrType.TCP)
    port = client.do(listen).connect_addr.tcp_addr[0].port
    with socket.create_connection(("127.0.0.1", port), 10) as peer:
        client.until(DataState.IDLE, MoverState.ACTIVE)
        yield peer


def received(peer: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = peer.recv(length - len(data))
        assert part, f"the stream ends after {len(data)} bytes"
        data += part
    return data


def test_a_read_in_pieces_sends_each_piece_and_nothing_else(stack: MemoryStack) -> None:
    stack.tapes.inserted[0] = tape_with(20 * RECORD)
    whole = image(20 * RECORD)
    with stack.client() as client:
        open_tape(client, TapeOpenMode.READ)
        with reader(client) as peer:
            for offset, length in (
                (0, 100),
                (100, 5000),
                (5100, 1),
                (19 * RECORD - 1, RECORD + 1),
                (3, 3 * RECORD),
                (7 * RECORD, RECORD),
                (0, 20 * RECORD),
            ):
                client.do(m.MoverReadRequest(offset=offset, length=length))
                assert received(peer, length) == whole[offset : offset + length]
                state = client.do(m.MoverGetStateRequest())
                assert (state.state, state.bytes_left_to_read) == (MoverState.ACTIVE, 0)
                assert state.seek_position == offset
            client.do(m.MoverCloseRequest())
            assert peer.recv(1) == b""
        assert client.post(m.NotifyMoverHaltedPost).reason == MoverHaltReason.CONNECT_CLOSED


def test_a_second_read_waits_its_turn(stack: MemoryStack) -> None:
    stack.tapes.inserted[0] = tape_with(2 * RECORD)
    with stack.client() as client:
        open_tape(client, TapeOpenMode.READ)
        with reader(client):
            client.do(m.MoverReadRequest(offset=0, length=UNLIMITED))
            paused(client, MoverPauseReason.EOF, 2 * RECORD)
            set_window(client, 0, UNLIMITED)
            client.do(m.MoverContinueRequest())
            assert client.errors(m.MoverReadRequest(offset=0, length=1)) in {
                (0, NdmpError.READ_IN_PROGRESS_ERR),
                (0, NdmpError.ILLEGAL_STATE_ERR),
            }
        client.errors(m.MoverAbortRequest())


def test_a_read_of_nothing_is_no_read(stack: MemoryStack) -> None:
    with stack.client() as client:
        open_tape(client)
        with reader(client):
            read = m.MoverReadRequest(offset=0, length=0)
            assert client.errors(read) == (0, NdmpError.ILLEGAL_ARGS_ERR)


def test_the_end_of_a_tape_file_pauses_with_eof_and_the_next_goes_on(stack: MemoryStack) -> None:
    stack.tapes.inserted[0] = tape_with(3 * RECORD)
    whole = image(5 * RECORD)
    with stack.client() as client:
        open_tape(client, TapeOpenMode.READ)
        with reader(client) as peer:
            client.do(m.MoverReadRequest(offset=RECORD, length=4 * RECORD))
            assert received(peer, 2 * RECORD) == whole[RECORD : 3 * RECORD]
            paused(client, MoverPauseReason.EOF, 3 * RECORD)
            left = client.do(m.MoverGetStateRequest()).bytes_left_to_read
            assert left == 2 * RECORD
            client.do(m.TapeCloseRequest())
            stack.tapes.inserted[0] = tape_with(2 * RECORD, offset=3 * RECORD)
            open_tape(client, TapeOpenMode.READ)
            set_window(client, 3 * RECORD)
            client.do(m.MoverContinueRequest())
            assert received(peer, 2 * RECORD) == whole[3 * RECORD :]


def test_a_read_outside_the_window_pauses_with_seek_until_it_is_inside(stack: MemoryStack) -> None:
    stack.tapes.inserted[0] = tape_with(3 * RECORD)
    whole = image(6 * RECORD)
    with stack.client() as client:
        open_tape(client, TapeOpenMode.READ)
        set_window(client, 0, 3 * RECORD)
        with reader(client) as peer:
            client.do(m.MoverReadRequest(offset=4 * RECORD + 5, length=RECORD))
            paused(client, MoverPauseReason.SEEK, 4 * RECORD + 5)
            # A window that does not help either is no disaster.
            set_window(client, 5 * RECORD)
            client.do(m.MoverContinueRequest())
            paused(client, MoverPauseReason.SEEK, 4 * RECORD + 5)
            client.do(m.TapeCloseRequest())
            stack.tapes.inserted[0] = tape_with(3 * RECORD, offset=3 * RECORD)
            open_tape(client, TapeOpenMode.READ)
            set_window(client, 3 * RECORD, 3 * RECORD)
            client.do(m.MoverContinueRequest())
            assert received(peer, RECORD) == whole[4 * RECORD + 5 : 5 * RECORD + 5]


def test_a_read_that_runs_over_the_windows_end_pauses_with_seek(stack: MemoryStack) -> None:
    stack.tapes.inserted[0] = tape_with(4 * RECORD)
    with stack.client() as client:
        open_tape(client, TapeOpenMode.READ)
        set_window(client, 0, 2 * RECORD)
        with reader(client) as peer:
            client.do(m.MoverReadRequest(offset=0, length=3 * RECORD))
            assert received(peer, 2 * RECORD) == image(2 * RECORD)
            paused(client, MoverPauseReason.SEEK, 2 * RECORD)
            set_window(client, 2 * RECORD)
            client.do(m.MoverContinueRequest())
            assert received(peer, RECORD) == image(3 * RECORD)[2 * RECORD :]


def test_a_tape_that_cannot_be_read_halts(stack: MemoryStack) -> None:
    stack.tapes.inserted[0] = tape_with(4 * RECORD)
    stack.tapes.failures["read_records"] = Condition.MEDIUM_ERROR
    with stack.client() as client:
        open_tape(client, TapeOpenMode.READ)
        with reader(client) as peer:
            client.do(m.MoverReadRequest(offset=0, length=RECORD))
            for text in (CAUSE, "Could not initialize media", "Media error on tape read"):
                assert client.post(m.LogMessagePost).entry.startswith(f"{text} [")
            assert client.post(m.NotifyMoverHaltedPost).reason == MoverHaltReason.MEDIA_ERROR
            with pytest.raises(ConnectionResetError):
                assert peer.recv(1)
            assert client.states() == (DataState.IDLE, MoverState.HALTED)


@pytest.mark.parametrize("ending", [m.MoverAbortRequest(), m.MoverCloseRequest()])
def test_a_paused_mover_ends_when_told(stack: MemoryStack, ending: m.Message) -> None:
    stack.tapes.inserted[0] = tape_with(RECORD)
    with stack.client() as client:
        open_tape(client, TapeOpenMode.READ)
        with reader(client) as peer:
            client.do(m.MoverReadRequest(offset=0, length=UNLIMITED))
            assert received(peer, RECORD) == image(RECORD)
            paused(client, MoverPauseReason.EOF, RECORD)
            client.do(ending)
            is_close = isinstance(ending, m.MoverCloseRequest)
            reason = MoverHaltReason.CONNECT_CLOSED if is_close else MoverHaltReason.ABORTED
            assert client.post(m.NotifyMoverHaltedPost).reason == reason
            client.do(m.MoverStopRequest())
            assert client.states() == (DataState.IDLE, MoverState.IDLE)


# Restores that ask for ranges by themselves.


@pytest.mark.parametrize("ranges", ["0:3000", "0:100 100:900 4096:1 9000:1240", "5000:10 0:20"])
def test_a_local_restore_gets_its_ranges_without_the_client(
    stack: MemoryStack, ranges: str
) -> None:
    stack.tapes.inserted[0] = tape_with(10 * RECORD)
    whole = image(10 * RECORD)
    with stack.client() as client:
        open_tape(client, TapeOpenMode.READ)
        join_locally(client, MoverMode.WRITE)
        request = m.DataStartRecoverRequest(
            env=(Pair("RANGES", ranges),), nlist=(), butype_name="memory"
        )
        client.do(request)
        assert client.post(m.NotifyDataHaltedPost).reason == DataHaltReason.SUCCESSFUL
        client.do(m.MoverCloseRequest())
        assert client.post(m.NotifyMoverHaltedPost).reason == MoverHaltReason.CONNECT_CLOSED
    check_ranges(stack, ranges, whole)


def check_ranges(stack: MemoryStack, ranges: str, whole: bytes) -> None:
    asked = [tuple(map(int, each.split(":"))) for each in ranges.split()]
    assert stack.engine.restored == [whole[at : at + length] for at, length in asked]


def test_a_mover_that_is_closed_leaves_the_end_to_a_slow_restore(stack: MemoryStack) -> None:
    """All bytes have been taken, but the data server has yet to look for more."""
    stack.tapes.inserted[0] = tape_with(3 * RECORD)
    with stack.closed_gates(), stack.client() as client:
        open_tape(client, TapeOpenMode.READ)
        join_locally(client, MoverMode.WRITE)
        environment = (Pair("SLOW", "y"),)
        client.do(m.DataStartRecoverRequest(env=environment, nlist=(), butype_name="memory"))
        paused(client, MoverPauseReason.EOF, 3 * RECORD)
        client.do(m.MoverCloseRequest())
        stack.open_gates()
        halted(client, MoverHaltReason.CONNECT_CLOSED, DataHaltReason.SUCCESSFUL)
    assert stack.engine.restored == [image(3 * RECORD)]
