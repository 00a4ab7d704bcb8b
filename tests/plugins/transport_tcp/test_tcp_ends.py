"""The blocking ends of TCP data connections, over loopback."""

from __future__ import annotations

import os
import resource
import socket
import struct
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.transport import Endpoint
from tapekit.segments import (
    BUFFER_BYTES,
    Batch,
    ConnectionBroken,
    DataSink,
    DataSource,
    Extent,
    Piece,
)
from tapekit_transport_tcp.settings import TransportTcpSettings
from tapekit_transport_tcp.tcp import TcpConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 60
RESET = struct.pack("ii", 1, 0)
UNREAD = 200_000


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def joined_sockets() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    return near, far


def joined_with_small_window() -> tuple[socket.socket, socket.socket]:
    """As above; UNREAD bytes fit on the way, but not into the reader's window."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UNREAD // 8)
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        near = socket.create_connection(server.getsockname())
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD)
        far, _ = server.accept()
    return near, far


class Wire:
    """A connection under test and the plain socket at its other side."""

    def __init__(
        self,
        join: Callable[[], tuple[socket.socket, socket.socket]] = joined_sockets,
        **settings: object,
    ) -> None:
        near, self.peer = join()
        where = Endpoint(*near.getpeername())
        self.connection = TcpConnection(near, where, TransportTcpSettings(**settings))
        self.peer.settimeout(PATIENCE_S)

    def received(self) -> bytes:
        data = bytearray()
        while chunk := self.peer.recv(1 << 20):
            data += chunk
        return bytes(data)

    def reset(self) -> None:
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.peer.close()

    def close(self) -> None:
        self.connection.close()
        self.peer.close()


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()


@pytest.fixture
def slow_wire() -> Iterator[Wire]:
    """A wire with UNREAD bytes on it that the peer has not taken."""
    wire = Wire(joined_with_small_window)
    wire.connection.sink().put(Batch.of([memoryview(bytes(UNREAD))]))
    yield wire
    wire.close()


@pytest.fixture(params=["copy", "sendfile"])
def either_way(request: pytest.FixtureRequest) -> Iterator[Wire]:
    wire = Wire(send_extents=request.param)
    yield wire
    wire.close()


def assert_blocked(future: Future[object]) -> None:
    with pytest.raises(StillRunning):
        future.result(timeout=0.05)


def open_descriptors() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


def pattern(length: int) -> bytes:
    return bytes(range(251)) * (length // 251) + bytes(range(length % 251))


def file_of(folder: Path, data: bytes) -> int:
    path = folder / "file"
    path.write_bytes(data)
    return os.open(path, os.O_RDONLY)


def read_all(source: DataSource) -> bytes:
    data = bytearray()
    while (batch := source.get()) is not None:
        for piece in batch.pieces:
            assert not isinstance(piece, Extent)
            data += piece
        batch.release()
    return bytes(data)


def put_for_ever(sink: DataSink, release: Callable[[], None] | None = None) -> None:
    while True:
        sink.put(Batch.of([memoryview(bytes(BUFFER_BYTES))], release))


def fill(wire: Wire) -> None:
    """Send until nobody can: the peer does not read."""
    put_for_ever(wire.connection.sink())


def use_up_descriptors(number: int, spare: list[int]) -> None:
    while True:
        spare.append(os.dup(number))


def test_sink_sends_views_and_extents_in_order(
    either_way: Wire, threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    data = pattern(5 * BUFFER_BYTES + 77)
    fd = file_of(tmp_path, data)
    pieces: list[Piece] = [
        memoryview(b"head"),
        Extent(fd, 3, 10),
        memoryview(b""),
        Extent(fd, 100, 0),
        memoryview(b"mid"),
        Extent(fd, 0, len(data)),
        Extent(fd, 9, BUFFER_BYTES),
        memoryview(b"tail"),
    ]
    wanted = b"head" + data[3:13] + b"mid" + data + data[9 : 9 + BUFFER_BYTES] + b"tail"
    got = threads.submit(either_way.received)
    sink = either_way.connection.sink()
    sink.put(Batch.of(pieces, lambda: os.close(fd)))
    sink.finish()
    assert got.result(PATIENCE_S) == wanted


def test_sink_sends_zeros_for_what_a_file_lacks(
    either_way: Wire, threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    fd = file_of(tmp_path, b"short")
    got = threads.submit(either_way.received)
    sink = either_way.connection.sink()
    sink.put(Batch.of([Extent(fd, 0, 2 * BUFFER_BYTES), memoryview(b"end")]))
    sink.finish()
    os.close(fd)
    assert got.result(PATIENCE_S) == b"short".ljust(2 * BUFFER_BYTES, b"\0") + b"end"


def test_sink_sends_any_number_of_views(wire: Wire, threads: ThreadPoolExecutor) -> None:
    views = [memoryview(b"%04d" % number) for number in range(3000)]
    got = threads.submit(wire.received)
    sink = wire.connection.sink()
    sink.put(Batch.of(views))
    sink.finish()
    assert got.result(PATIENCE_S) == b"".join(views)


def test_a_batch_is_released_once_it_is_sent(wire: Wire) -> None:
    released: list[str] = []
    sink = wire.connection.sink()
    sink.put(Batch.of([memoryview(b"x")], lambda: released.append("once")))
    sink.drain()
    assert released == ["once"]


def test_the_writer_fills_buffers_while_others_wait_for_a_slow_peer(
    threads: ThreadPoolExecutor,
) -> None:
    wire = Wire(joined_with_small_window, ring_buffers=2)
    sink = wire.connection.sink()

    def fill_one(byte: bytes) -> None:
        buffer = sink.acquire()
        buffer[:] = byte * BUFFER_BYTES
        sink.put(Batch.of([buffer], lambda: sink.recycle(buffer)))

    fill_one(b"1")
    fill_one(b"2")
    third = threads.submit(fill_one, b"3")
    assert_blocked(third)
    assert wire.peer.recv(1) == b"1"
    got = threads.submit(wire.received)
    third.result(PATIENCE_S)
    sink.finish()
    assert got.result(PATIENCE_S) == b"".join(
        (b"1" * (BUFFER_BYTES - 1), b"2" * BUFFER_BYTES, b"3" * BUFFER_BYTES)
    )
    wire.close()


def test_an_unreadable_file_is_told_and_the_stream_never_looks_whole(
    either_way: Wire, tmp_path: Path
) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    released: list[str] = []
    sink = either_way.connection.sink()
    sink.put(Batch.of([memoryview(b"x"), Extent(folder, 0, 9)], lambda: released.append("x")))
    for call in (sink.drain, sink.finish, lambda: sink.put(Batch.of([memoryview(b"y")]))):
        with pytest.raises(TapekitError, match="Is a directory") as told:
            call()
        assert told.value.id == "transport_tcp.file-unreadable"
    os.close(folder)
    assert released == ["x"]
    with pytest.raises(ConnectionResetError):
        either_way.received()


def test_what_could_not_be_sent_is_released_when_nobody_can_take_it_for_sent(
    wire: Wire, tmp_path: Path
) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    sink = wire.connection.sink()
    broken: list[bool] = []
    extent = Extent(folder, 0, 9)
    sink.put(Batch.of([extent], lambda: broken.append(sink._ring.is_broken)))
    with pytest.raises(TapekitError):
        sink.finish()
    os.close(folder)
    assert broken == [True]


def test_finish_ends_the_stream_once(wire: Wire, threads: ThreadPoolExecutor) -> None:
    sink = wire.connection.sink()
    sink.put(Batch.of([memoryview(b"whole")]))
    sink.drain()
    got = threads.submit(wire.received)
    sink.finish()
    sink.finish()
    assert got.result(PATIENCE_S) == b"whole"
    wire.connection.close()


def test_finish_does_not_need_the_peer_to_close_or_to_read(wire: Wire) -> None:
    sink = wire.connection.sink()
    sink.put(Batch.of([memoryview(b"small")]))
    sink.finish()
    wire.connection.close()
    assert wire.received() == b"small"


def test_finish_waits_until_everything_has_arrived(
    slow_wire: Wire, threads: ThreadPoolExecutor
) -> None:
    finished = threads.submit(slow_wire.connection.sink().finish)
    assert_blocked(finished)
    assert len(slow_wire.received()) == UNREAD
    finished.result(PATIENCE_S)


def test_finish_drops_what_the_peer_says(wire: Wire) -> None:
    wire.peer.sendall(b"chatter")
    wire.peer.shutdown(socket.SHUT_WR)
    sink = wire.connection.sink()
    sink.finish()
    wire.connection.close()
    assert wire.received() == b""


def test_finish_tells_of_a_peer_that_reset(slow_wire: Wire, threads: ThreadPoolExecutor) -> None:
    finished = threads.submit(slow_wire.connection.sink().finish)
    assert_blocked(finished)
    slow_wire.reset()
    with pytest.raises(ConnectionBroken):
        finished.result(PATIENCE_S)


def test_source_gives_all_then_the_end(wire: Wire, threads: ThreadPoolExecutor) -> None:
    data = pattern(3 * BUFFER_BYTES + 5)
    sending = threads.submit(wire.peer.sendall, data)
    sending.add_done_callback(lambda _: wire.peer.shutdown(socket.SHUT_WR))
    source = wire.connection.source()
    assert read_all(source) == data
    assert source.get() is None


def test_source_gives_what_has_come_without_waiting_for_more(wire: Wire) -> None:
    wire.peer.sendall(b"a few bytes")
    batch = wire.connection.source().get()
    assert batch is not None
    assert [bytes(piece) for piece in batch.pieces if not isinstance(piece, Extent)] == [
        b"a few bytes"
    ]


def test_source_keeps_held_batches_whole_in_few_buffers(wire: Wire) -> None:
    source = wire.connection.source()
    held: list[Batch] = []
    for number in range(100):
        wire.peer.sendall(b"%03d" % number)
        batch = source.get()
        assert batch is not None
        held.append(batch)
    texts = [bytes(piece) for batch in held for piece in batch.pieces]
    assert texts == [b"%03d" % number for number in range(100)]
    assert len({id(piece.obj) for batch in held for piece in batch.pieces}) == 1


def test_source_takes_another_buffer_when_one_is_full_and_comes_back(
    wire: Wire, threads: ThreadPoolExecutor
) -> None:
    data = pattern(4 * BUFFER_BYTES)
    sending = threads.submit(wire.peer.sendall, data)
    source = wire.connection.source()
    held: list[Batch] = []
    while sum(batch.length for batch in held) < len(data):
        batch = source.get()
        assert batch is not None
        held.append(batch)
    sending.result(PATIENCE_S)
    assert b"".join(piece for batch in held for piece in batch.pieces) == data
    assert len(source._aside) >= 3
    for batch in held:
        batch.release()
    known = {id(buffer) for buffer in (*source._aside, source._current)}
    wire.peer.sendall(b"more")
    assert source.get() is not None
    assert id(source._current) in known


def test_source_tells_a_reset_from_the_end(wire: Wire) -> None:
    wire.peer.sendall(b"half")
    source = wire.connection.source()
    assert source.get() is not None
    wire.reset()
    with pytest.raises(ConnectionBroken, match="reset"):
        source.get()


def test_sink_tells_of_a_peer_that_reset(wire: Wire) -> None:
    wire.reset()
    released: list[str] = []
    sink = wire.connection.sink()
    with pytest.raises(ConnectionBroken):
        put_for_ever(sink, lambda: released.append("x"))
    assert released


def test_abort_wakes_a_blocked_reader(wire: Wire, threads: ThreadPoolExecutor) -> None:
    reader = threads.submit(wire.connection.source().get)
    assert_blocked(reader)
    wire.connection.abort()
    with pytest.raises(ConnectionBroken):
        reader.result(PATIENCE_S)


def test_abort_wakes_a_blocked_writer_and_resets_the_peer(
    either_way: Wire, threads: ThreadPoolExecutor
) -> None:
    writer = threads.submit(fill, either_way)
    assert_blocked(writer)
    either_way.connection.abort()
    with pytest.raises(ConnectionBroken):
        writer.result(PATIENCE_S)
    with pytest.raises(ConnectionResetError):
        either_way.received()


def test_abort_wakes_a_blocked_sendfile(threads: ThreadPoolExecutor, tmp_path: Path) -> None:
    wire = Wire(send_extents="sendfile")
    fd = file_of(tmp_path, bytes(8 * BUFFER_BYTES))
    extents = [Extent(fd, 0, 8 * BUFFER_BYTES)] * 20
    sink = wire.connection.sink()
    sink.put(Batch.of(extents))
    writer = threads.submit(sink.drain)
    assert_blocked(writer)
    wire.connection.abort()
    with pytest.raises(ConnectionBroken):
        writer.result(PATIENCE_S)
    os.close(fd)
    wire.close()


def test_abort_wakes_finish(slow_wire: Wire, threads: ThreadPoolExecutor) -> None:
    finished = threads.submit(slow_wire.connection.sink().finish)
    assert_blocked(finished)
    slow_wire.connection.abort()
    with pytest.raises(ConnectionBroken):
        finished.result(PATIENCE_S)


def test_abort_of_an_idle_connection_resets_the_peer(wire: Wire) -> None:
    wire.connection.abort()
    wire.connection.abort()
    wire.connection.close()
    with pytest.raises(ConnectionResetError):
        wire.received()


def test_every_call_after_abort_is_broken(wire: Wire) -> None:
    sink, source = wire.connection.sink(), wire.connection.source()
    wire.connection.abort()
    released: list[str] = []
    for call in (sink.acquire, sink.drain, sink.finish, source.get):
        with pytest.raises(ConnectionBroken):
            call()
    with pytest.raises(ConnectionBroken):
        sink.put(Batch.of([memoryview(b"x")], lambda: released.append("x")))
    assert released == ["x"]


def test_close_without_finish_resets_the_peer(wire: Wire) -> None:
    wire.connection.sink().put(Batch.of([memoryview(b"half of it")]))
    wire.connection.close()
    with pytest.raises(ConnectionResetError):
        wire.received()


def test_a_reader_that_closes_early_ends_cleanly(wire: Wire) -> None:
    wire.peer.sendall(b"ab")
    assert wire.connection.source().get() is not None
    wire.connection.close()
    assert wire.received() == b""


def test_close_during_a_call_wakes_it_and_keeps_the_descriptor_until_then(
    wire: Wire, threads: ThreadPoolExecutor
) -> None:
    reader = threads.submit(wire.connection.source().get)
    assert_blocked(reader)
    wire.connection.close()
    with pytest.raises(ConnectionBroken):
        reader.result(PATIENCE_S)
    assert wire.received() == b""


def test_no_descriptor_is_left(threads: ThreadPoolExecutor) -> None:
    before = open_descriptors()
    for end in ("close", "abort"):
        wire = Wire()
        reader = threads.submit(wire.connection.source().get)
        assert_blocked(reader)
        getattr(wire.connection, end)()
        with pytest.raises(ConnectionBroken):
            reader.result(PATIENCE_S)
        wire.peer.close()
    assert open_descriptors() == before


def test_no_descriptor_is_left_when_there_are_no_more() -> None:
    near, far = joined_sockets()
    peer = Endpoint(*near.getpeername())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    number = near.fileno()
    spare: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (number + 64, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            use_up_descriptors(number, spare)
        with pytest.raises(OSError, match="Too many open files"):
            TcpConnection(near, peer, TransportTcpSettings())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in spare:
            os.close(fd)
    assert near.fileno() == -1
    far.close()


@pytest.mark.slow
def test_descriptors_that_are_reused_at_once_are_never_touched(
    threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    # Each round aborts under a running writer while a third thread grabs
    # every number that becomes free and checks that nobody writes into it.
    for number in range(60):
        wire = Wire()
        writer = threads.submit(fill, wire)
        wire.peer.recv(1)
        grabbing = threads.submit(
            lambda folder=tmp_path, round_number=number: [
                os.open(folder / f"{round_number}-{one}", os.O_RDWR | os.O_CREAT)
                for one in range(20)
            ]
        )
        wire.connection.abort()
        with pytest.raises(ConnectionBroken):
            writer.result(PATIENCE_S)
        for fd in grabbing.result(PATIENCE_S):
            assert os.fstat(fd).st_size == 0
            os.close(fd)
        wire.peer.close()
